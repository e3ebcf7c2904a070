/* The base of the small test plugins: an entry, and a service with one route. The plugin defines `acquire`. */
#ifndef KEYFERRY_TEST_SMALL_H
#define KEYFERRY_TEST_SMALL_H

#include <keyferry_plugin.h>

#include <stddef.h>
#include <string.h>

#ifndef NAME
#error "define NAME as the name of the plugin"
#endif
#ifndef MAJOR
#define MAJOR KEYFERRY_PLUGIN_ABI_MAJOR
#endif
#ifndef INIT
#define INIT init
#endif
#ifndef DEINIT
#define DEINIT NULL
#endif

static const keyferry_plugin_host *host;

static const keyferry_plugin_setting settings[] = {
    {"url", "Where it is.", "http://127.0.0.1:9", KEYFERRY_PLUGIN_SETTING_URL, 0},
    {"key", "Its key.", NULL, KEYFERRY_PLUGIN_SETTING_SECRET, 0},
};

static const keyferry_plugin_route routes[] = {{"{id}", KEYFERRY_PLUGIN_TOKEN_ITEM, KEYFERRY_PLUGIN_ACCESS_FULL}};

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec);

static const keyferry_plugin_service service = {sizeof(keyferry_plugin_service), 1, NAME, "/", routes, acquire, NULL};

static inline keyferry_plugin_status init(const keyferry_plugin_host *host_table, keyferry_plugin_call call) {
    (void)call;
    host = host_table;
    return KEYFERRY_PLUGIN_OK;
}

static inline const void *get_extension(const char *id) { return strcmp(id, KEYFERRY_PLUGIN_EXTENSION_SERVICE) == 0 ? &service : NULL; }

#ifndef ENTRY
#define ENTRY {MAJOR, KEYFERRY_PLUGIN_ABI_MINOR, sizeof(keyferry_plugin), 2, NAME, "1.0", settings, INIT, DEINIT, get_extension}
#endif
#ifndef OWN_ENTRY
const keyferry_plugin keyferry_plugin_entry = ENTRY;
#endif

#endif
