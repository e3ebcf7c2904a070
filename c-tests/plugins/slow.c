/* Hangs: in `acquire`, or in `init` if HANG_IN_INIT is defined. */
#define NAME "slow"
#ifdef HANG_IN_INIT
#define INIT hanging_init
#include <keyferry_plugin.h>
static keyferry_plugin_status hanging_init(const keyferry_plugin_host *host_table, keyferry_plugin_call call);
#endif
#include "small.h"

#include <poll.h>

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    if (strcmp(spec->id, "honest") == 0) {
        return host->add_header(call, "X-Token", "honest");
    }
    if (strcmp(spec->id, "asks") == 0) {
        /* Slow, but it stops when it is cancelled. */
        while (!host->is_cancelled(call)) {
            poll(NULL, 0, 1);
        }
        return host->add_header(call, "X-Token", "too late");
    }
    for (;;) {
        poll(NULL, 0, -1);
    }
}

#ifdef HANG_IN_INIT
static keyferry_plugin_status hanging_init(const keyferry_plugin_host *host_table, keyferry_plugin_call call) {
    keyferry_plugin_status status = init(host_table, call);
    while (status == KEYFERRY_PLUGIN_OK) {
        poll(NULL, 0, -1);
    }
    return status;
}
#endif
