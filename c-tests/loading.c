/*
 * Loads the library between two marks on stderr, for tests/c_abi/loading.rs to look at under strace: no thread, no socket, no file but the
 * loader's own. Unlike the other programs it isn't linked with the library.
 */
#include <dlfcn.h>
#include <unistd.h>

#define MARK(text) ((void)!write(2, text, sizeof text - 1))

int main(int argc, char **argv) {
    void *library;
    if (argc != 2) {
        return 2;
    }
    MARK("before loading\n");
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    MARK("after loading\n");
    return library == NULL ? 1 : 0;
}
