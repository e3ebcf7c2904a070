/* The baseline of helper.sh: reads three files and prints the last one. `reader CONFIG KEY RESPONSE`. Linked statically. */
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
