/* What loading the library and the first hit cost a host: time and resident memory. `load LIBRARY` */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <keyferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static long resident_kib(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) exit(1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

#define FIND(name) __extension__((__typeof__(&name))dlsym(library, #name))

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    resident_kib(); /* stdio's own buffers */
    long memory = resident_kib();
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
    int failed = FIND(keyferry_config_new)(&config, NULL) || FIND(keyferry_session_open)(config, &session, NULL) ||
                 FIND(keyferry_session_adopt)(session, "transfers/01A", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", KEYFERRY_NO_EXPIRY, NULL) ||
                 FIND(keyferry_session_peek)(session, "transfers/01A", line, sizeof line, &length);
    double hit = now_us();
    printf("load and first hit\tload us\t%.0f\tfirst hit us\t%.0f\ttogether us\t%.0f\tmemory KiB\t%ld\n", loaded - begin, hit - loaded,
           hit - begin, resident_kib() - memory);
    return failed;
}
