/* Shows that its constructor ran: it creates the file that KEYFERRY_CANARY names. */
#define NAME "canary"
#define _POSIX_C_SOURCE 200809L
#include "small.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void leave_mark(void) {
    const char *path = getenv("KEYFERRY_CANARY");
    int file = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file >= 0) {
        if (write(file, "sang\n", 5) != 5) {
            abort();
        }
        close(file);
    }
}

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    (void)spec;
    return host->add_header(call, "X-Token", "canary");
}
