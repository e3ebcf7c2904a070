/* What a hit costs through the C ABI, beside the limit row in the same run. Prints one line a row:
 * row, tokens, threads, ns per look-up, times the limit. `hit ROW N` runs one row alone, for counting instructions. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <keyferry.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>

#include "limit.h"

enum { NAME = 96, LINE = 600, CAPACITY = 1024 };
static keyferry_session *session;
static limit_table limit;
static size_t tokens;
static char (*names)[NAME]; /* the names that a row looks up, in random order */

static void die(const char *what) {
    fprintf(stderr, "hit: %s\n", what);
    exit(1);
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

typedef size_t look_up(const char *name, char *buffer);

static size_t by_limit(const char *name, char *buffer) { return limit_get(&limit, name, buffer, CAPACITY); }

static size_t by_peek(const char *name, char *buffer) {
    size_t length = 0;
    return keyferry_session_peek(session, name, buffer, CAPACITY, &length) ? 0 : length;
}

static size_t by_token(const char *name, char *buffer) {
    keyferry_token *token = NULL;
    (void)buffer;
    if (masv_token_for(session, name, &token, NULL)) return 0;
    size_t found = keyferry_token_header_value(token, 0) != NULL;
    keyferry_token_free(token);
    return found;
}

typedef struct {
    look_up *look;
    size_t rounds, offset;
    int misses;
    double ns;
} job;

static void *run(void *argument) {
    job *mine = argument;
    char buffer[CAPACITY];
    size_t at = mine->offset, found = 0;
    double begin = now_ns();
    for (size_t n = 0; n < mine->rounds; n++) {
        found += mine->look(names[at], buffer) > 0;
        if (++at == tokens) at = 0;
    }
    mine->ns = (now_ns() - begin) / (double)mine->rounds;
    if (found != (mine->misses ? 0 : mine->rounds)) die("a look-up went wrong");
    return NULL;
}

/* The best of many short turns: noise only adds. */
static double measure(look_up *look, int threads, int misses, size_t rounds) {
    double best = 1e18;
    int turns = (int)(8000000 / rounds) + 3;
    for (int turn = 0; turn < turns; turn++) {
        job jobs[8];
        pthread_t ids[8];
        double begin = now_ns();
        for (int n = 0; n < threads; n++) {
            jobs[n] = (job){look, rounds, tokens / (size_t)threads * (size_t)n, misses, 0};
            pthread_create(&ids[n], NULL, run, &jobs[n]);
        }
        for (int n = 0; n < threads; n++) pthread_join(ids[n], NULL);
        double ns = (now_ns() - begin) / (double)(rounds * (size_t)threads);
        if (ns < best) best = ns;
    }
    return best;
}

/* Names of `count` things, in an order that no prefetcher guesses. */
static void name_all(const char *form) {
    for (size_t n = 0; n < tokens; n++) {
        size_t shuffled = (n * 7919 + 13) % tokens;
        snprintf(names[n], NAME, form, (unsigned)shuffled);
    }
}

static void fill(size_t count) {
    char value[LINE], name[NAME];
    tokens = count;
    names = malloc(count * NAME);
    keyferry_config *config = NULL;
    if (keyferry_config_new(&config, NULL) || keyferry_session_open(config, &session, NULL)) die("no session");
    keyferry_config_free(config);
    for (size_t n = 0; n < count; n++) {
        memset(value, 'v', sizeof value);
        int head = snprintf(value, sizeof value, "eyJ%08u.", (unsigned)n);
        value[head] = 'v';
        value[LINE - sizeof "X-Transfer-Token: "] = 0;
        snprintf(name, sizeof name, "transfers/01J0SANDB0XTRANSFER%07u", (unsigned)n);
        if (keyferry_session_adopt(session, name, value, KEYFERRY_NO_EXPIRY, NULL)) die("no token");
        snprintf(name, sizeof name, "packages/01J0SANDB0XPACKAGE%07u", (unsigned)n);
        if (count <= 1000 && keyferry_session_adopt(session, name, value, KEYFERRY_NO_EXPIRY, NULL)) die("no token");
    }
}

static size_t fill_limit(size_t count, const char *form) {
    char line[LINE + 1], name[NAME];
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    limit = limit_new(count);
    memset(line, 'v', LINE);
    line[LINE] = 0;
    for (size_t n = 0; n < count; n++) {
        snprintf(name, sizeof name, form, (unsigned)n);
        limit_put(&limit, name, line, INT64_MAX);
    }
    return mallinfo2().uordblks + mallinfo2().hblkhd - before;
}

static const struct {
    const char *name, *form;
    look_up *look;
    int misses;
} ROWS[] = {
    {"limit", "transfers/01J0SANDB0XTRANSFER%07u", by_limit, 0},
    {"peek, short form", "transfers/01J0SANDB0XTRANSFER%07u", by_peek, 0},
    {"peek, URL", "https://api.massive.app/v1/transfers/01J0SANDB0XTRANSFER%07u/retry", by_peek, 0},
    {"peek, write token", "packages/01J0SANDB0XPACKAGE%07u", by_peek, 0},
    {"peek, URL of a new file", "https://api.massive.app/v1/packages/01J0SANDB0XPACKAGE%07u/files/new", by_peek, 0},
    {"peek, miss", "transfers/01J0SANDB0XMISSED00%07u", by_peek, 1},
    {"token_for, short form", "transfers/01J0SANDB0XTRANSFER%07u", by_token, 0},
    {"token_for, URL", "https://api.massive.app/v1/transfers/01J0SANDB0XTRANSFER%07u/retry", by_token, 0},
};
enum { ROW_COUNT = sizeof ROWS / sizeof *ROWS };

int main(int argc, char **argv) {
    size_t sizes[] = {10, 1000, 100000};
    if (argc == 3) { /* one row, so many look-ups of one name */
        fill(1);
        fill_limit(1, ROWS[0].form);
        size_t row = strtoul(argv[1], NULL, 10), rounds = strtoul(argv[2], NULL, 10);
        if (row >= ROW_COUNT) die("no such row");
        name_all(ROWS[row].form);
        job one = {ROWS[row].look, rounds, 0, ROWS[row].misses, 0};
        run(&one);
        return 0;
    }
    printf("row\ttokens\tthreads\tns\ttimes limit\n");
    for (size_t s = 0; s < 3; s++) {
        size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
        fill(sizes[s]);
        size_t ours = mallinfo2().uordblks + mallinfo2().hblkhd - before - sizes[s] * NAME;
        size_t theirs = fill_limit(sizes[s], ROWS[0].form);
        
        double at_limit[3] = {0, 0, 0};
        for (int row = 0; row < ROW_COUNT; row++) {
            if (sizes[s] > 1000 && strstr(ROWS[row].form, "packages")) continue;
            name_all(ROWS[row].form);
            for (int threads = 1; threads <= 2; threads++) {
                size_t rounds = sizes[s] > 1000 ? 400000 : threads == 1 ? 20000 : 200000;
                double ns = measure(ROWS[row].look, threads, ROWS[row].misses, rounds);
                if (row == 0) at_limit[threads] = ns;
                printf("%s\t%zu\t%d\t%.1f\t%.2f\n", ROWS[row].name, sizes[s], threads, ns, ns / at_limit[threads]);
                fflush(stdout);
            }
        }
        printf("heap, bytes a token\t%zu\t-\t%zu\t%.2f\n", sizes[s], ours / sizes[s], (double)ours / (double)theirs);
        keyferry_session_free(session);
        free(names);
    }
    return 0;
}
