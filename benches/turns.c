/* Measures several programs, each from spawn to exit: `turns ROUNDS INPUT NAME COMMAND... -- NAME COMMAND... -- ...`
 * The file INPUT is the standard input of each program, and its output goes to /dev/null. The programs take turns, so that noise on the
 * machine affects all of them alike. Prints one line per program: name; median, 90th percentile and minimum in microseconds; the ratio
 * to the first program's median; and peak memory in KiB. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

enum { MOST = 16 };

struct program {
    const char *name;
    char **command;
    double *us;
    long peak_kib;
};

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void run(struct program *program, const posix_spawn_file_actions_t *streams, int turn) {
    struct rusage used;
    int status = 0;
    pid_t child;
    double begin = now_us();
    if (posix_spawn(&child, program->command[0], streams, NULL, program->command, environ) != 0 || wait4(child, &status, 0, &used) != child ||
        status != 0) {
        fprintf(stderr, "turns: %s failed (status %d)\n", program->name, status);
        exit(1);
    }
    if (turn >= 0) program->us[turn] = now_us() - begin;
    if (used.ru_maxrss > program->peak_kib) program->peak_kib = used.ru_maxrss;
}

int main(int argc, char **argv) {
    struct program programs[MOST];
    int count = 0, rounds = argc > 4 ? atoi(argv[1]) : 0;
    if (rounds < 1) return 2;
    for (int at = 3; at < argc && count < MOST; count++) {
        programs[count] = (struct program){argv[at], argv + at + 1, malloc((size_t)rounds * sizeof(double)), 0};
        while (at < argc && strcmp(argv[at], "--") != 0) at++;
        argv[at++] = NULL;
    }
    posix_spawn_file_actions_t streams;
    posix_spawn_file_actions_init(&streams);
    posix_spawn_file_actions_addopen(&streams, 0, argv[2], O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&streams, 1, "/dev/null", O_WRONLY, 0);
    /* The first 3 turns are a warm-up and are not measured. */
    for (int turn = -3; turn < rounds; turn++)
        for (int at = 0; at < count; at++) run(&programs[at], &streams, turn);
    printf("%-36s %9s %9s %9s %7s %9s\n", "program", "median us", "90 % us", "min us", "ratio", "peak KiB");
    for (int at = 0; at < count; at++) {
        double *us = programs[at].us;
        qsort(us, (size_t)rounds, sizeof *us, by_size);
        qsort(programs[0].us, (size_t)rounds, sizeof *us, by_size);
        printf("%-36s %9.0f %9.0f %9.0f %7.2f %9ld\n", programs[at].name, us[rounds / 2], us[rounds * 9 / 10], us[0],
               us[rounds / 2] / programs[0].us[rounds / 2], programs[at].peak_kib);
    }
    return 0;
}
