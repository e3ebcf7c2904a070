/* The baseline of race.sh for a login that many processes share: `flock DIRECTORY MS`. The first process takes a lock, sleeps for MS
 * milliseconds, the time of a login, and writes a file. The others wait for the lock and read the file. Linked statically. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static ssize_t read_file(const char *name, char *bytes, size_t size) {
    int file = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, bytes, size);
    if (file >= 0) close(file);
    return length;
}

int main(int argc, char **argv) {
    static char bytes[16 * 1024];
    if (argc != 3 || chdir(argv[1]) != 0) return 2;
    ssize_t length = read_file("token", bytes, sizeof bytes);
    if (length < 0) {
        int lock = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (lock < 0 || flock(lock, LOCK_EX) != 0) return 1;
        length = read_file("token", bytes, sizeof bytes);
        if (length < 0) {
            long ms = atol(argv[2]);
            struct timespec login = {ms / 1000, ms % 1000 * 1000000};
            nanosleep(&login, NULL);
            length = 600;
            memset(bytes, 't', (size_t)length);
            int file = open("token.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            if (file < 0 || write(file, bytes, (size_t)length) != length || fsync(file) != 0 || rename("token.new", "token") != 0) return 1;
            close(file);
        }
        flock(lock, LOCK_UN);
    }
    return write(1, bytes, (size_t)length) != length;
}
