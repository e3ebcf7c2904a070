/* A plugin whose service has a token for each id. A token whose id begins with `SLOW` takes 40 ms. */
#define NAME "saved"
#include "../c-tests/plugins/small.h"

#include <time.h>

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    static const struct timespec delay = {0, 40 * 1000 * 1000};
    if (strncmp(spec->id, "SLOW", 4) == 0) nanosleep(&delay, NULL);
    return host->add_header(call, "X-Token", VALUE);
}
