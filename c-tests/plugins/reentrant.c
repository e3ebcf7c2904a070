/* Calls keyferry from its own function, which would wait for itself; and the host from four threads at once, which is allowed. */
#define NAME "reentrant"
#include "small.h"

#include <dlfcn.h>
#include <pthread.h>

typedef int32_t token_for(const void *session, const char *resource, void **token_out, void **error_out);

static void *get_key(void *call) {
    keyferry_plugin_buffer key;
    return (void *)(size_t)host->get_setting(*(keyferry_plugin_call *)call, "key", &key);
}

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    void *found = dlsym(RTLD_DEFAULT, "masv_token_for"), *token = NULL, *result;
    token_for *function;
    pthread_t threads[4];
    int32_t status;
    int i;
    if (strcmp(spec->id, "threads") == 0) {
        for (i = 0; i < 4; i++) pthread_create(&threads[i], NULL, get_key, &call);
        for (i = 0; i < 4; i++) {
            pthread_join(threads[i], &result);
            if ((size_t)result != KEYFERRY_PLUGIN_OK) return KEYFERRY_PLUGIN_E_FAILED;
        }
        return host->add_header(call, "X-Threads", "4");
    }
    if (found == NULL) {
        host->set_error_message(call, "keyferry's functions are not to be seen from here");
        return KEYFERRY_PLUGIN_E_UNSUPPORTED;
    }
    memcpy(&function, &found, sizeof function);
    status = function(NULL, "reentrant:again", &token, NULL);
    return host->add_header(call, "X-Status", status == 112 ? "112" : "other");
}
