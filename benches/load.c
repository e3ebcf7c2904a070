/* Measures the time and the resident memory of loading the library and of the first hit: `load LIBRARY`. With any second argument, the
 * session uses the user's configuration and so also opens its files. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <keyferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Reads the resident memory in KiB: all of it, and the part that is dirty and not shared with other processes. */
static void memory(long *resident, long *private_dirty) {
    char line[256];
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    if (!file) exit(1);
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "Rss: %ld", resident);
        sscanf(line, "Private_Dirty: %ld", private_dirty);
    }
    fclose(file);
}

#define FIND(name) __extension__((__typeof__(&name))dlsym(library, #name))

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    long before[2] = {0, 0}, after[2] = {0, 0};
    memory(&before[0], &before[1]); /* the first call makes stdio allocate its buffers */
    memory(&before[0], &before[1]);
    double begin = now_us();
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "load: %s\n", dlerror());
        return 1;
    }
    double loaded = now_us();
    keyferry_config *config = NULL;
    keyferry_session *session = NULL;
    char line[1024];
    size_t length = 0;
    int failed = (argc == 2 && FIND(keyferry_config_new)(&config, NULL)) || FIND(keyferry_session_open)(config, &session, NULL) ||
                 FIND(keyferry_session_adopt)(session, "transfers/01A", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", KEYFERRY_NO_EXPIRY, NULL) ||
                 FIND(keyferry_session_peek)(session, "transfers/01A", line, sizeof line, &length);
    double hit = now_us();
    memory(&after[0], &after[1]);
    printf("load and first hit\tload us\t%.0f\tfirst hit us\t%.0f\ttogether us\t%.0f\tprivate KiB\t%ld\tresident KiB\t%ld\n",
           loaded - begin, hit - loaded, hit - begin, after[1] - before[1], after[0] - before[0]);
    return failed;
}
