/* Measures cache hits through the C ABI and compares them with the row `limit` (see limit.h) of the same run. Prints one line per row,
 * with the times for one thread and for two threads. `hit ROW N` runs N look-ups of one row, for counting instructions. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <keyferry.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "limit.h"

enum { NAME = 96, LINE = 600, CAPACITY = 1024, SMALL = 1000 };
static keyferry_session *session;
static limit_table limit;
static size_t tokens;
static char (*names)[NAME]; /* the names that a row looks up, shuffled */
static keyferry_request **requests; /* one for each name, for the rows that use prepared requests */

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

static keyferry_request *request_for(const char *name) { return requests[(size_t)(name - names[0]) / NAME]; }

static size_t by_request(const char *name, char *buffer) {
    keyferry_token *token = NULL;
    (void)buffer;
    if (keyferry_session_token_for(session, request_for(name), &token, NULL)) return 0;
    size_t found = keyferry_token_header_value(token, 0) != NULL;
    keyferry_token_free(token);
    return found;
}

static size_t by_cached(const char *name, char *buffer) {
    keyferry_token *token = NULL;
    (void)buffer;
    if (keyferry_session_cached(session, request_for(name), &token, NULL)) return 0;
    size_t found = keyferry_token_header_value(token, 0) != NULL;
    keyferry_token_free(token);
    return found;
}

typedef struct {
    look_up *look;
    size_t rounds, offset;
    int misses, core;
    pthread_barrier_t *start;
    double began, ended;
} job;

static void *run(void *argument) {
    job *mine = argument;
    char buffer[CAPACITY];
    size_t at = mine->offset, found = 0;
    if (mine->start) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(mine->core, &one);
        pthread_setaffinity_np(pthread_self(), sizeof one, &one);
        pthread_barrier_wait(mine->start);
    }
    mine->began = now_ns();
    for (size_t n = 0; n < mine->rounds; n++) {
        found += mine->look(names[at], buffer) > 0;
        if (++at == tokens) at = 0;
    }
    mine->ended = now_ns();
    if (found != (mine->misses ? 0 : mine->rounds)) die("a look-up returned the wrong result");
    return NULL;
}

/* Runs one turn: all threads start together, each pinned to its own core. Returns the nanoseconds per look-up. */
static double turn(look_up *look, int threads, int misses, size_t rounds) {
    job jobs[2];
    pthread_t ids[2];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int n = 0; n < threads; n++) {
        jobs[n] = (job){look, rounds, tokens / (size_t)threads * (size_t)n, misses, n, &start, 0, 0};
        if (pthread_create(&ids[n], NULL, run, &jobs[n])) die("cannot start a thread");
    }
    double began = 1e300, ended = 0;
    for (int n = 0; n < threads; n++) {
        pthread_join(ids[n], NULL);
        if (jobs[n].began < began) began = jobs[n].began;
        if (jobs[n].ended > ended) ended = jobs[n].ended;
    }
    pthread_barrier_destroy(&start);
    return (ended - began) / (double)(rounds * (size_t)threads);
}

/* Fills in the names, in an order that the hardware prefetcher can't predict. */
static void name_all(const char *form) {
    for (size_t n = 0; n < tokens; n++) {
        size_t shuffled = (n * 7919 + 13) % tokens;
        snprintf(names[n], NAME, form, (unsigned)shuffled);
    }
}

/* Prepares the requests for all names, and uses each once. */
static void prepare_all(void) {
    if (!requests) requests = calloc(tokens, sizeof *requests);
    for (size_t n = 0; n < tokens; n++) {
        keyferry_request_free(requests[n]);
        if (keyferry_request_new(names[n], &requests[n], NULL)) die("cannot create a request");
        if (!by_cached(names[n], NULL)) die("the token of a request is not cached");
    }
}

static void free_all(void) {
    for (size_t n = 0; requests && n < tokens; n++) keyferry_request_free(requests[n]);
    free(requests);
    requests = NULL;
    free(names);
}

static void open_session(void) {
    keyferry_config *config = NULL;
    const char *plugin = getenv("HIT_PLUGIN");
    if (!plugin) die("HIT_PLUGIN is not set; set it to the path of the plugin");
    if (keyferry_config_new(&config, NULL) || keyferry_config_set(config, "plugins", plugin, NULL)) die("cannot configure the plugin");
    if (keyferry_session_open(config, &session, NULL)) die("cannot open a session");
    keyferry_config_free(config);
    if (keyferry_session_adopt(session, "packages/FIRST", "eyJmaXJzdA.e30.e30", KEYFERRY_NO_EXPIRY, NULL)) die("cannot store a token");
}

/* Caches `count` tokens of transfers. If `count` is at most SMALL, also caches `count` tokens of packages and of the plugin. */
static void fill(size_t count) {
    char value[LINE], name[NAME];
    for (size_t n = 0; n < count; n++) {
        memset(value, 'v', sizeof value);
        int head = snprintf(value, sizeof value, "eyJ%08u.", (unsigned)n);
        value[head] = 'v';
        value[LINE - sizeof "X-Transfer-Token: "] = 0;
        snprintf(name, sizeof name, "transfers/01J0SANDB0XTRANSFER%07u", (unsigned)n);
        if (keyferry_session_adopt(session, name, value, KEYFERRY_NO_EXPIRY, NULL)) die("cannot store a token");
        snprintf(name, sizeof name, "packages/01J0SANDB0XPACKAGE%07u", (unsigned)n);
        if (count > SMALL) continue;
        if (keyferry_session_adopt(session, name, value, KEYFERRY_NO_EXPIRY, NULL)) die("cannot store a token");
        keyferry_token *token = NULL;
        snprintf(name, sizeof name, "tables:01J0SANDB0XAPLUGINS%07u", (unsigned)n);
        if (masv_token_for(session, name, &token, NULL)) die("cannot get a token from the plugin");
        keyferry_token_free(token);
    }
}

static void fill_limit(size_t count, const char *form) {
    char line[LINE + 1], name[NAME];
    limit = limit_new(count);
    memset(line, 'v', LINE);
    line[LINE] = 0;
    for (size_t n = 0; n < count; n++) {
        snprintf(name, sizeof name, form, (unsigned)n);
        limit_put(&limit, name, line, INT64_MAX);
    }
}

static const struct {
    const char *name, *form;
    look_up *look;
    int misses;
} ROWS[] = {
    {"limit", "transfers/01J0SANDB0XTRANSFER%07u", by_limit, 0},
    {"peek, short form", "transfers/01J0SANDB0XTRANSFER%07u", by_peek, 0},
    {"peek, URL", "https://api.massive.app/v1/transfers/01J0SANDB0XTRANSFER%07u/retry", by_peek, 0},
    {"peek, miss", "transfers/01J0SANDB0XMISSED00%07u", by_peek, 1},
    {"token_for, short form", "transfers/01J0SANDB0XTRANSFER%07u", by_token, 0},
    {"token_for, URL", "https://api.massive.app/v1/transfers/01J0SANDB0XTRANSFER%07u/retry", by_token, 0},
    {"token_for, prepared short form", "transfers/01J0SANDB0XTRANSFER%07u", by_request, 0},
    {"token_for, prepared URL", "https://api.massive.app/v1/transfers/01J0SANDB0XTRANSFER%07u/retry", by_request, 0},
    {"cached, prepared short form", "transfers/01J0SANDB0XTRANSFER%07u", by_cached, 0},
    {"peek, write token", "packages/01J0SANDB0XPACKAGE%07u", by_peek, 0},
    {"peek, URL of a new file", "https://api.massive.app/v1/packages/01J0SANDB0XPACKAGE%07u/files/new", by_peek, 0},
    {"peek, plugin token", "tables:01J0SANDB0XAPLUGINS%07u", by_peek, 0},
    {"peek, URL of plugin token", "http://127.0.0.1:9/01J0SANDB0XAPLUGINS%07u", by_peek, 0},
    {"token_for, plugin token", "tables:01J0SANDB0XAPLUGINS%07u", by_token, 0},
};
enum { ROW_COUNT = sizeof ROWS / sizeof *ROWS, ROW_COUNT_LARGE = ROW_COUNT - 5 };

static void prepare(int row) {
    name_all(ROWS[row].form);
    if (ROWS[row].look == by_request || ROWS[row].look == by_cached) prepare_all();
}

/* Keeps the best time of many short turns, because noise can only add time. The rows and the numbers of threads take turns, so noise
 * affects all of them alike. */
static void measure(int row_count, size_t rounds, int turns, double best[][3]) {
    for (int n = 0; n < turns; n++) {
        for (int row = 0; row < row_count; row++) {
            prepare(row);
            for (int threads = 1; threads <= 2; threads++) {
                double ns = turn(ROWS[row].look, threads, ROWS[row].misses, rounds);
                if (n == 0 || ns < best[row][threads]) best[row][threads] = ns;
            }
        }
    }
}

/* Returns the resident memory of the process in bytes. */
static size_t resident(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) die("cannot read /proc/self/statm");
    fclose(file);
    return (size_t)pages * 4096;
}

static void all_rows(size_t count) {
    size_t kept = count <= SMALL ? 3 * count : count;
    tokens = count;
    names = malloc(count * NAME);
    open_session();
    fill(1); /* makes the one-time allocations before memory is measured */
    size_t before = resident();
    fill(count);
    size_t ours = resident() - before;
    before = resident();
    fill_limit(count, ROWS[0].form);
    size_t theirs = resident() - before;

    double best[ROW_COUNT][3] = {{0}};
    int rows = count <= SMALL ? ROW_COUNT : ROW_COUNT_LARGE;
    measure(rows, count <= SMALL ? 50000 : 100000, count <= SMALL ? 60 : 10, best);
    for (int row = 0; row < rows; row++) {
        double *ns = best[row], *bound = best[0];
        printf("%s\t%zu\t%.1f\t%.2f\t%.1f\t%.2f\t%.2f\n", ROWS[row].name, count, ns[1], ns[1] / bound[1], ns[2], ns[2] / bound[2], ns[1] / ns[2]);
    }
    printf("memory, bytes per token\t%zu\t%zu\t%.2f\n", kept, ours / kept, (double)ours / (double)kept / ((double)theirs / (double)count));
    fflush(stdout);
    free_all();
    keyferry_session_free(session);
}

int main(int argc, char **argv) {
    if (argc == 3) { /* N look-ups of one name, in one row */
        tokens = 1;
        names = malloc(NAME);
        open_session();
        fill(1);
        fill_limit(1, ROWS[0].form);
        size_t row = strtoul(argv[1], NULL, 10), rounds = strtoul(argv[2], NULL, 10);
        if (row >= ROW_COUNT) die("no such row");
        prepare((int)row);
        job one = {ROWS[row].look, rounds, 0, ROWS[row].misses, 0, NULL, 0, 0};
        run(&one);
        return 0;
    }
    printf("row\ttokens\tns, one thread\ttimes limit\tns, two threads\ttimes limit\tthroughput of two, times one\n");
    all_rows(10);
    all_rows(1000);
    all_rows(100000);
    return 0;
}
