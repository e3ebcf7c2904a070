/*
 * Loads the library, uses it and unloads it many times, with a thread of its own under way each time: nothing crashes, and no file,
 * no thread and hardly any memory stays behind. Unlike the other programs it isn't linked with the library; the driver names it.
 */
#include "test.h"

#include <dirent.h>
#include <dlfcn.h>
#include <time.h>

static void *library;

/* A function of the library. POSIX wants a pointer to data to be read as one to a function. */
#define CALL(name) (*name##_at())
#define FUNCTION(name)                                \
    static __typeof__(&name) name##_at(void) {        \
        union {                                       \
            void *data;                               \
            __typeof__(&name) function;               \
        } pointer;                                    \
        pointer.data = dlsym(library, #name);         \
        CHECK(pointer.data != NULL);                  \
        return pointer.function;                      \
    }

FUNCTION(keyferry_session_open)
FUNCTION(keyferry_session_free)
FUNCTION(masv_token_for)
FUNCTION(keyferry_token_free)

/* Open files, or threads. */
static int count_entries(const char *folder) {
    int found = -2; /* . and .. */
    DIR *entries = opendir(folder);
    CHECK(entries != NULL);
    while (readdir(entries) != NULL) found++;
    closedir(entries);
    return found;
}

/* A thread that was told to end may take a moment. */
static int falls_to(const char *folder, int limit) {
    int tries;
    for (tries = 0; count_entries(folder) > limit; tries++) {
        if (tries == 500) return 0;
        nanosleep(&(struct timespec){0, 10 * 1000 * 1000}, NULL);
    }
    return 1;
}

static long resident_kib(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return pages * 4;
}

static void load_use_unload(const char *path) {
    keyferry_session *session = NULL;
    keyferry_token *token = NULL;
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    CHECK(CALL(keyferry_session_open)(NULL, &session, NULL) == KEYFERRY_OK);
    CHECK(CALL(masv_token_for)(session, "user", &token, NULL) == KEYFERRY_OK);
    CALL(keyferry_token_free)(token);
    CALL(keyferry_session_free)(session);
    CHECK(dlclose(library) == 0);
}

int main(int argc, char **argv) {
    int i, rounds = int_from_env("TEST_ROUNDS", 1000), files, threads;
    long before;
    CHECK(argc == 2);
    for (i = 0; i < 20; i++) load_use_unload(argv[1]);
    files = count_entries("/proc/self/fd");
    threads = 1;
    before = resident_kib();
    for (i = 0; i < rounds; i++) load_use_unload(argv[1]);
    CHECK(falls_to("/proc/self/fd", files));
    CHECK(falls_to("/proc/self/task", threads));
    CHECK(resident_kib() - before < 1024);
    return 0;
}
