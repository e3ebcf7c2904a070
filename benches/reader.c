/* The least that a helper can do: reads three files and prints the last. `reader CONFIG KEY ANSWER`; linked statically. */
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static char bytes[64 * 1024];
    ssize_t length = read(0, bytes, sizeof bytes);
    for (int at = 1; at < argc; at++) {
        int file = open(argv[at], O_RDONLY | O_CLOEXEC);
        if (file < 0 || (length = read(file, bytes, sizeof bytes)) < 0) return 1;
        close(file);
    }
    return argc != 4 || write(1, bytes, (size_t)length) != length;
}
