/* Takes its process down: in `acquire`, or where CRASH_IN_INIT is defined in `init`. */
#define NAME "crasher"
#ifdef CRASH_IN_INIT
#define INIT crashing
#include <keyferry_plugin.h>
static keyferry_plugin_status crashing(const keyferry_plugin_host *given, keyferry_plugin_call call);
#endif
#include "small.h"

#include <stdlib.h>

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_want *want) {
    (void)call;
    (void)want;
    abort();
}

#ifdef CRASH_IN_INIT
static keyferry_plugin_status crashing(const keyferry_plugin_host *given, keyferry_plugin_call call) {
    init(given, call);
    abort();
}
#endif
