/* Built against a later header: a greater minor version, larger tables, and a function that only a later host has. It checks
 * `struct_size` before it uses that, as the header asks. */
#define NAME "new"
#define OWN_ENTRY
#include "small.h"

typedef struct {
    keyferry_plugin_host present;
    int32_t (*added_slot)(void);
} later_host;

typedef struct {
    keyferry_plugin_service present;
    const char *added[8];
} later_service;

typedef struct {
    keyferry_plugin present;
    const void *added[8];
} later_plugin;

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    const later_host *later = (const later_host *)(const void *)host;
    (void)spec;
    if (host->struct_size >= sizeof(later_host)) {
        return host->add_header(call, "X-Host", later->added_slot() == INT32_MIN ? "later" : "broken");
    }
    return host->add_header(call, "X-Host", "today");
}

static const later_service larger_service = {{sizeof(later_service), 1, NAME, "/", routes, acquire, NULL}, {"a"}};

static const void *larger_extension(const char *id) {
    (void)get_extension;
    (void)service;
    return strcmp(id, KEYFERRY_PLUGIN_EXTENSION_SERVICE) == 0 ? &larger_service : NULL;
}

/* The linker knows a symbol by its name alone. */
extern __attribute__((visibility("default"))) const later_plugin larger_entry __asm__("keyferry_plugin_entry");
const later_plugin larger_entry = {
    {KEYFERRY_PLUGIN_ABI_MAJOR, KEYFERRY_PLUGIN_ABI_MINOR + 41, sizeof(later_plugin), 2, NAME, "2041", settings, init, NULL,
     larger_extension},
    {NULL},
};
