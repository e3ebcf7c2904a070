/* Starts COUNT processes at the same time and prints the milliseconds until the last one ends: `crowd COUNT INPUT COMMAND...`
 * The file INPUT is the standard input of each process. Fails if a process fails or prints nothing, or if their outputs differ. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { MOST = 256, LONGEST = 16 * 1024 };

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
    int count = argc > 3 ? atoi(argv[1]) : 0, outputs[MOST];
    static char first[LONGEST], other[LONGEST];
    ssize_t length = 0;
    if (count < 1 || count > MOST) return 2;
    double begin = now_ms();
    for (int at = 0; at < count; at++) {
        int ends[2];
        pid_t child;
        posix_spawn_file_actions_t streams;
        posix_spawn_file_actions_init(&streams);
        if (pipe2(ends, O_CLOEXEC) != 0) return 1;
        posix_spawn_file_actions_addopen(&streams, 0, argv[2], O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&streams, ends[1], 1);
        if (posix_spawn(&child, argv[3], &streams, NULL, argv + 3, environ) != 0) return 1;
        close(ends[1]);
        outputs[at] = ends[0];
    }
    for (int at = 0; at < count; at++) {
        int status;
        if (wait(&status) < 0 || status != 0) {
            fprintf(stderr, "crowd: %s failed (status %d)\n", argv[3], status);
            return 1;
        }
    }
    double took = now_ms() - begin;
    for (int at = 0; at < count; at++) {
        ssize_t more = read(outputs[at], at ? other : first, LONGEST);
        if (at == 0) length = more;
        if (more <= 0 || more != length || memcmp(first, at ? other : first, (size_t)more) != 0) {
            fprintf(stderr, "crowd: the runs of %s printed different outputs, or nothing\n", argv[3]);
            return 1;
        }
    }
    printf("%.1f\n", took);
    return 0;
}
