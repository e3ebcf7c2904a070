/* The library as a client of the benchmark `misses` (see turn.h). MISS_LIBRARY is the path of the library, so that two builds of it can
 * be compared. The session uses the settings in the environment. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <keyferry.h>

#include "turn.h"

#define FIND(name) __extension__((__typeof__(&name))dlsym(library, #name))

static void *library;
static keyferry_session *session;
static __typeof__(&masv_token_for) token_for;
static __typeof__(&keyferry_token_free) token_free;
static __typeof__(&keyferry_error_message) message;

static void die(const char *what, keyferry_error *error) {
    fprintf(stderr, "miss: %s: %s\n", what, error ? message(error) : "");
    exit(1);
}

/* Loads the library before any time is measured, as the system does for a program that is linked with it. */
__attribute__((constructor)) static void load(void) {
    library = dlopen(variable("MISS_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "miss: %s\n", dlerror());
        exit(1);
    }
    token_for = FIND(masv_token_for);
    token_free = FIND(keyferry_token_free);
    message = FIND(keyferry_error_message);
}

static void open_client(void) {
    keyferry_error *error = NULL;
    if (FIND(keyferry_session_open)(NULL, &session, &error)) die("cannot open a session", error);
}

static void look_up(unsigned thread, unsigned package) {
    char name[64];
    keyferry_token *token = NULL;
    keyferry_error *error = NULL;
    (void)thread;
    snprintf(name, sizeof name, "packages/01J0SANDB0XPACKAGE%08u", package);
    if (token_for(session, name, &token, &error)) die("cannot get a token", error);
    token_free(token);
}
