/* Built against a header of the future: a greater minor, tables that go on behind what is known today, a slot of the host that only
 * a later one has. It looks at sizes before it uses any of that, as the header asks. */
#define NAME "new"
#define OWN_ENTRY
#include "small.h"

typedef struct {
    keyferry_plugin_host today;
    int32_t (*later)(void);
} later_host;

typedef struct {
    keyferry_plugin_service today;
    const char *later[8];
} later_service;

typedef struct {
    keyferry_plugin today;
    const void *later[8];
} later_plugin;

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_want *want) {
    const later_host *more = (const later_host *)(const void *)host;
    (void)want;
    if (host->struct_size >= sizeof(later_host)) {
        return host->give_header(call, "X-Host", more->later() == INT32_MIN ? "later" : "broken");
    }
    return host->give_header(call, "X-Host", "today");
}

static const later_service larger_service = {{sizeof(later_service), 1, NAME, "/", routes, acquire, NULL}, {"a"}};

static const void *larger_extension(const char *id) {
    (void)get_extension;
    (void)service;
    return strcmp(id, KEYFERRY_PLUGIN_SERVICE) == 0 ? &larger_service : NULL;
}

/* The linker knows a symbol by its name alone. */
extern __attribute__((visibility("default"))) const later_plugin larger_entry __asm__("keyferry_plugin_entry");
const later_plugin larger_entry = {
    {KEYFERRY_PLUGIN_ABI_MAJOR, KEYFERRY_PLUGIN_ABI_MINOR + 41, sizeof(later_plugin), 2, NAME, "2041", settings, init, NULL, larger_extension},
    {NULL},
};
