/* Has invalid tables; LIE says which. The host finds the fault without calling `acquire`. */
#define NAME "tables"
#define OWN_ENTRY
#include "small.h"

#ifndef VALUE
#define VALUE "tables"
#endif
#ifndef LIE
#define LIE 0
#endif

static char too_long[4096];

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    (void)spec;
    return host->add_header(call, "X-Token", VALUE);
}

static const keyferry_plugin_setting lying_settings[] = {
#if LIE == 20
    {"Bad-Key", "It.", NULL, KEYFERRY_PLUGIN_SETTING_TEXT, 0},
#elif LIE == 21
    {"url", "It.", NULL, 99, 0},
#elif LIE == 22
    {"key", "It.", "everybody-knows", KEYFERRY_PLUGIN_SETTING_SECRET, 0},
#elif LIE == 23
    {"url", "It.", "http://not-here.example", KEYFERRY_PLUGIN_SETTING_URL, 0},
#elif LIE == 24
    {"key", "Two\nlines.", NULL, KEYFERRY_PLUGIN_SETTING_TEXT, 0},
#elif LIE == 25
    {NULL, NULL, NULL, KEYFERRY_PLUGIN_SETTING_TEXT, 0},
#else
    {"url", "It.", "http://127.0.0.1:9", KEYFERRY_PLUGIN_SETTING_URL, 0},
#endif
#if LIE == 26
    {"url", "It.", "http://127.0.0.1:9", KEYFERRY_PLUGIN_SETTING_URL, 0},
#else
    {"other", "It.", NULL, KEYFERRY_PLUGIN_SETTING_TEXT, 0},
#endif
};

static const keyferry_plugin_route lying_routes[] = {
#if LIE == 40
    {"a//b", KEYFERRY_PLUGIN_TOKEN_BEARER, KEYFERRY_PLUGIN_ACCESS_FULL},
#elif LIE == 41
    {"a", 99, KEYFERRY_PLUGIN_ACCESS_FULL},
#elif LIE == 42
    {"a", KEYFERRY_PLUGIN_TOKEN_BEARER, 99},
#elif LIE == 43
    {too_long, KEYFERRY_PLUGIN_TOKEN_BEARER, KEYFERRY_PLUGIN_ACCESS_FULL},
#elif LIE == 44
    {"a\xff", KEYFERRY_PLUGIN_TOKEN_BEARER, KEYFERRY_PLUGIN_ACCESS_FULL},
#else
    {"{id}", KEYFERRY_PLUGIN_TOKEN_ITEM, KEYFERRY_PLUGIN_ACCESS_FULL},
#endif
};

static const keyferry_plugin_service lying_service = {
    LIE == 30 ? 1 : LIE == 31 ? 8 : LIE == 39 ? 12 : (uint32_t)sizeof(keyferry_plugin_service),
    LIE == 32 ? UINT32_MAX : LIE == 33 ? 0 : 1,
    LIE == 34 ? NULL : "tables",
    LIE == 35 ? "v1" : LIE == 36 ? "/../" : "/",
    LIE == 37 ? NULL : lying_routes,
    LIE == 38 ? NULL : acquire,
    NULL,
};

static keyferry_plugin_status lying_init(const keyferry_plugin_host *host_table, keyferry_plugin_call call) {
    memset(too_long, 'x', sizeof too_long);
    (void)get_extension;
    (void)service;
    if (LIE == 50) return 4711;
    if (LIE == 51) {
        host_table->set_error_message(call, "no licence is installed here");
        return KEYFERRY_PLUGIN_E_FAILED;
    }
    return init(host_table, call);
}

static const void *lying_extension(const char *id) {
    static const union {
        char bytes[64];
        void *aligned;
    } odd = {{1}};
    if (LIE == 52) return NULL;
    if (LIE == 53) return odd.bytes + 1;
    return strcmp(id, KEYFERRY_PLUGIN_EXTENSION_SERVICE) == 0 ? &lying_service : NULL;
}

const keyferry_plugin keyferry_plugin_entry = {
    LIE == 1 ? 0 : LIE == 2 ? 2 : LIE == 3 ? UINT32_MAX : KEYFERRY_PLUGIN_ABI_MAJOR,
    KEYFERRY_PLUGIN_ABI_MINOR,
    LIE == 4 ? 0 : LIE == 5 ? 11 : LIE == 6 ? 16 : LIE == 27 ? 20 : (uint32_t)sizeof(keyferry_plugin),
    LIE == 7 ? UINT32_MAX : LIE == 8 ? 33 : 2,
    LIE == 9    ? NULL
    : LIE == 10 ? "Bad Name"
    : LIE == 11 ? "masv"
    : LIE == 12 ? "../../etc"
    : LIE == 13 ? "a\xff"
    : LIE == 14 ? "httpthing"
    : LIE == 15 ? "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
                : "tables",
    LIE == 16 ? "1\r\n2" : "1.0",
    LIE == 17 ? NULL : LIE == 18 ? (const keyferry_plugin_setting *)(const void *)((const char *)lying_settings + 1) : lying_settings,
    lying_init,
    NULL,
    LIE == 19 ? NULL : lying_extension,
};
