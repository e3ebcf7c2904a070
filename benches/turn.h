/* What the clients of the benchmark `misses` share. A client defines `open_client` and `look_up`. For each line `THREADS COUNT FIRST` of
 * standard input, it looks up the packages with the numbers from FIRST on, COUNT of them, and prints the microseconds of all look-ups
 * together, then the median, the 99th percentile and the maximum of one. The first line also opens the client, within the time of all. */
#ifndef TURN_H
#define TURN_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 64 };

static void open_client(void);
static void look_up(unsigned thread, unsigned package);

/* Returns a variable of the environment. If it is not set, returns "". */
static inline const char *variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

typedef struct {
    unsigned thread, first, count;
    double *us;
} turn_job;

static void *turn_run(void *argument) {
    turn_job *mine = argument;
    for (unsigned n = 0; n < mine->count; n++) {
        double began = now_us();
        look_up(mine->thread, mine->first + n);
        mine->us[n] = now_us() - began;
    }
    return NULL;
}

static int turn_by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void turn(unsigned threads, unsigned count, unsigned first, double *us) {
    turn_job jobs[THREADS];
    pthread_t ids[THREADS];
    for (unsigned n = 0; n < threads; n++) {
        unsigned from = count * n / threads, to = count * (n + 1) / threads;
        jobs[n] = (turn_job){n, first + from, to - from, us + from};
        if (n > 0 && pthread_create(&ids[n], NULL, turn_run, &jobs[n])) exit(1);
    }
    turn_run(&jobs[0]);
    for (unsigned n = 1; n < threads; n++) pthread_join(ids[n], NULL);
}

int main(void) {
    unsigned threads, count, first;
    for (int opened = 0; scanf("%u %u %u", &threads, &count, &first) == 3; opened = 1) {
        double *us = calloc(count, sizeof *us);
        if (!us || threads < 1 || threads > THREADS || count < threads) return 2;
        double began = now_us();
        if (!opened) open_client();
        turn(threads, count, first, us);
        double took = now_us() - began;
        qsort(us, count, sizeof *us, turn_by_size);
        printf("%.1f %.1f %.1f %.1f\n", took, us[count / 2], us[count * 99 / 100], us[count - 1]);
        fflush(stdout);
        free(us);
    }
    return 0;
}

#endif
