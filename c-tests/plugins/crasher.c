/* Crashes: in `acquire`, or in `init` if CRASH_IN_INIT is defined. */
#define NAME "crasher"
#ifdef CRASH_IN_INIT
#define INIT crashing_init
#include <keyferry_plugin.h>
static keyferry_plugin_status crashing_init(const keyferry_plugin_host *host_table, keyferry_plugin_call call);
#endif
#include "small.h"

#include <stdlib.h>

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    (void)call;
    (void)spec;
    abort();
}

#ifdef CRASH_IN_INIT
static keyferry_plugin_status crashing_init(const keyferry_plugin_host *host_table, keyferry_plugin_call call) {
    init(host_table, call);
    abort();
}
#endif
