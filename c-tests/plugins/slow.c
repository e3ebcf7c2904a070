/* Does not come back: from `acquire`, or where HANG_IN_INIT is defined from `init`. */
#define NAME "slow"
#ifdef HANG_IN_INIT
#define INIT hanging
#include <keyferry_plugin.h>
static keyferry_plugin_status hanging(const keyferry_plugin_host *given, keyferry_plugin_call call);
#endif
#include "small.h"

#include <poll.h>

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_want *want) {
    if (strcmp(want->id, "honest") == 0) {
        return host->give_header(call, "X-Token", "honest");
    }
    if (strcmp(want->id, "asks") == 0) {
        /* Slow, but it looks whether anybody waits. */
        while (!host->is_over(call)) {
            poll(NULL, 0, 1);
        }
        return host->give_header(call, "X-Token", "too late");
    }
    for (;;) {
        poll(NULL, 0, -1);
    }
}

#ifdef HANG_IN_INIT
static keyferry_plugin_status hanging(const keyferry_plugin_host *given, keyferry_plugin_call call) {
    keyferry_plugin_status status = init(given, call);
    while (status == KEYFERRY_PLUGIN_OK) {
        poll(NULL, 0, -1);
    }
    return status;
}
#endif
