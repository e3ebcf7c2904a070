/* The baseline of status.sh: opens, reads and closes each file of a directory. `files DIRECTORY`. Linked statically. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static char bytes[64 * 1024];
    DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
    if (!directory) return 1;
    long count = 0;
    for (struct dirent *entry; (entry = readdir(directory)); count++) {
        if (entry->d_name[0] == '.') continue;
        int file = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC);
        if (file < 0 || read(file, bytes, sizeof bytes) < 0) return 1;
        close(file);
    }
    printf("%ld\n", count);
    return 0;
}
