/* Measures how fast a session gets tokens that it stores: `save DIRECTORY [COUNT]`. Each row has a new store, each token is of another
 * resource, and each is stored before the call returns. The rows:
 *
 * - adopt: `keyferry_session_adopt`, which stores a given token. The time is that of the store.
 * - fetch: `masv_token_for` with a plugin that returns at once. The time is that of the store and of the flight around it.
 * - fetch, 40 ms: the same with a plugin that takes 40 ms, in 64 threads.
 *
 * The columns: tokens per second, and the median and the 99th percentile of a call in microseconds. The rows of the memory store show the
 * same work without files. SAVE_PLUGIN is the path of the plugin, save_plugin.c. */
#define _GNU_SOURCE
#include <keyferry.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS = 64, VALUE_BYTES = 600, TURNS = 3 };

typedef int get_token(const keyferry_session *session, unsigned number);

static char value[VALUE_BYTES];

static void die(const char *what, keyferry_error *error) {
    fprintf(stderr, "save: %s: %s\n", what, error ? keyferry_error_message(error) : "");
    exit(1);
}

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int adopt(const keyferry_session *session, unsigned number) {
    char name[64];
    keyferry_error *error = NULL;
    snprintf(name, sizeof name, "packages/01SAVED%08u", number);
    if (keyferry_session_adopt(session, name, value, KEYFERRY_NO_EXPIRY, &error)) die("cannot store a token", error);
    return 0;
}

static int fetch_named(const keyferry_session *session, const char *form, unsigned number) {
    char name[64];
    keyferry_token *token = NULL;
    keyferry_error *error = NULL;
    snprintf(name, sizeof name, form, number);
    if (masv_token_for(session, name, &token, &error)) die("cannot get a token", error);
    keyferry_token_free(token);
    return 0;
}

static int fetch(const keyferry_session *session, unsigned number) { return fetch_named(session, "saved:01FAST%08u", number); }

static int fetch_slowly(const keyferry_session *session, unsigned number) { return fetch_named(session, "saved:SLOW%08u", number); }

typedef struct {
    const keyferry_session *session;
    get_token *get;
    unsigned first, count;
    double *us;
} job;

static void *run(void *argument) {
    job *mine = argument;
    for (unsigned n = 0; n < mine->count; n++) {
        double began = now_us();
        mine->get(mine->session, mine->first + n);
        mine->us[n] = now_us() - began;
    }
    return NULL;
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Opens a session with a store. The first token makes the session create the files that the store needs. */
static keyferry_session *open_session(const char *store, get_token *get) {
    keyferry_config *config = NULL;
    keyferry_session *session = NULL;
    keyferry_error *error = NULL;
    const char *plugin = getenv("SAVE_PLUGIN");
    if (!plugin) die("SAVE_PLUGIN is not set; set it to the path of the plugin", NULL);
    if (keyferry_config_new(&config, &error) || keyferry_config_set(config, "plugins", plugin, &error) ||
        keyferry_config_set(config, "store", store, &error) || keyferry_session_open(config, &session, &error))
        die("cannot open a session", error);
    keyferry_config_free(config);
    get(session, 99999999);
    return session;
}

/* A result: tokens per second, the median and the 99th percentile of a call. */
typedef struct {
    double per_second, median_us, late_us;
} result;

static result measure(const char *store, get_token *get, unsigned threads, unsigned count) {
    keyferry_session *session = open_session(store, get);
    double *us = calloc(count, sizeof *us);
    job jobs[THREADS];
    pthread_t ids[THREADS];
    double began = now_us();
    for (unsigned n = 0; n < threads; n++) {
        unsigned share = count / threads;
        jobs[n] = (job){session, get, n * share, share, us + (size_t)n * share};
        if (pthread_create(&ids[n], NULL, run, &jobs[n])) die("cannot start a thread", NULL);
    }
    for (unsigned n = 0; n < threads; n++) pthread_join(ids[n], NULL);
    double took = now_us() - began;
    keyferry_session_free(session);
    count -= count % threads;
    qsort(us, count, sizeof *us, by_size);
    result found = {count / took * 1e6, us[count / 2], us[count * 99 / 100]};
    free(us);
    return found;
}

static const struct {
    const char *name;
    get_token *get;
    unsigned threads;
} ROWS[] = {
    {"adopt", adopt, 1},
    {"adopt, 64 threads", adopt, THREADS},
    {"fetch", fetch, 1},
    {"fetch, 64 threads", fetch, THREADS},
    {"fetch, 40 ms, 64 threads", fetch_slowly, THREADS},
};
enum { ROW_COUNT = sizeof ROWS / sizeof *ROWS };

int main(int argc, char **argv) {
    unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 6400;
    if (argc < 2 || count < THREADS) return 2;
    memset(value, 'v', sizeof value - 1);
    memcpy(value, "eyJ.", 4);
    printf("row\tfile, tokens/s\tmedian us\t99 %% us\tmemory, tokens/s\tmedian us\t99 %% us\tfile / memory\n");
    for (size_t row = 0; row < ROW_COUNT; row++) {
        result best[2] = {{0, 0, 0}, {0, 0, 0}};
        for (int turn = 0; turn < TURNS; turn++) { /* the stores take turns, so noise affects both alike */
            char store[4096];
            snprintf(store, sizeof store, "file:%s/%zu-%d", argv[1], row, turn);
            const char *stores[] = {store, "memory"};
            for (int kind = 0; kind < 2; kind++) {
                result found = measure(stores[kind], ROWS[row].get, ROWS[row].threads, count);
                if (found.per_second > best[kind].per_second) best[kind] = found;
            }
        }
        printf("%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\n", ROWS[row].name, best[0].per_second, best[0].median_us, best[0].late_us,
               best[1].per_second, best[1].median_us, best[1].late_us, best[0].per_second / best[1].per_second);
        fflush(stdout);
    }
    return 0;
}
