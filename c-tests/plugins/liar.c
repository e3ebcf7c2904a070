/* Breaks in `acquire` the rule of the header that its id names. */
#define NAME "liar"
#include "small.h"

static char too_long[200000];

static keyferry_plugin_status send(keyferry_plugin_call call, uint32_t size, uint32_t method, const char *base_url_setting, const char *path,
                                   const keyferry_plugin_header *headers, size_t count, uint32_t response_size) {
    keyferry_plugin_request request;
    keyferry_plugin_response response;
    memset(&request, 0, sizeof request);
    memset(&response, 0, sizeof response);
    request.struct_size = size;
    request.method = method;
    request.base_url_setting = base_url_setting;
    request.path = path;
    request.headers = headers;
    request.header_count = count;
    response.struct_size = response_size;
    return host->exchange(call, &request, &response);
}

static keyferry_plugin_status get(keyferry_plugin_call call, const char *path, const keyferry_plugin_header *headers, size_t count) {
    return send(call, sizeof(keyferry_plugin_request), KEYFERRY_PLUGIN_METHOD_GET, NULL, path, headers, count,
                sizeof(keyferry_plugin_response));
}

static keyferry_plugin_status lie_in_text(keyferry_plugin_call call, const char *lie) {
    const char *value = NULL;
    if (strcmp(lie, "utf8") == 0) value = "a\xff\xfe";
    if (strcmp(lie, "crlf") == 0) value = "token\r\nX-Evil: 1";
    if (strcmp(lie, "delete") == 0) value = "token\x7f";
    if (strcmp(lie, "empty") == 0) value = "";
    if (strcmp(lie, "endless") == 0) value = too_long;
    if (strcmp(lie, "null") == 0 || value != NULL) return host->add_header(call, "X-Token", value);
    if (strcmp(lie, "header-name") == 0) return host->add_header(call, "X Token:", "v");
    if (strcmp(lie, "null-out") == 0) return host->get_setting(call, "key", NULL);
    if (strcmp(lie, "odd-out") == 0) return host->get_setting(call, "key", (keyferry_plugin_buffer *)(void *)(too_long + 1));
    if (strcmp(lie, "bad-renewal") == 0) return host->set_renewal_secret(call, "a\nb");
    if (strcmp(lie, "bad-expiry") == 0) return host->set_expiry(call, -1);
    if (strcmp(lie, "bad-level") == 0) return host->log(call, 99, "x");
    if (strcmp(lie, "bad-sentence") == 0) return host->set_error_message(call, "one\ntwo");
    if (strcmp(lie, "too-much") == 0) {
        keyferry_plugin_buffer buffer;
        return host->new_buffer(call, (size_t)-1, &buffer);
    }
    return 1000;
}

static keyferry_plugin_status lie_in_exchange(keyferry_plugin_call call, const char *lie) {
    static const keyferry_plugin_header host_header = {"Host", "evil.example"}, bad_header = {"X-A", "a\r\nb"};
    uint32_t request_size = sizeof(keyferry_plugin_request), response_size = sizeof(keyferry_plugin_response);
    if (strcmp(lie, "outside") == 0) return get(call, "/../../secret", NULL, 0);
    if (strcmp(lie, "no-slash") == 0) return get(call, "@evil.example/", NULL, 0);
    if (strcmp(lie, "backslash") == 0) return get(call, "/\\..\\..\\x", NULL, 0);
    if (strcmp(lie, "host-header") == 0) return get(call, "/x", &host_header, 1);
    if (strcmp(lie, "bad-header") == 0) return get(call, "/x", &bad_header, 1);
    if (strcmp(lie, "many-headers") == 0) return get(call, "/x", &host_header, (size_t)-1);
    if (strcmp(lie, "small-request") == 0) return send(call, 2, KEYFERRY_PLUGIN_METHOD_GET, NULL, "/x", NULL, 0, response_size);
    if (strcmp(lie, "half-request") == 0) return send(call, 8, KEYFERRY_PLUGIN_METHOD_GET, NULL, "/x", NULL, 0, response_size);
    if (strcmp(lie, "cut-request") == 0) return send(call, 12, KEYFERRY_PLUGIN_METHOD_GET, NULL, "/x", NULL, 0, response_size);
    if (strcmp(lie, "cut-answer") == 0) return send(call, request_size, KEYFERRY_PLUGIN_METHOD_GET, NULL, "/x", NULL, 0, 12);
    if (strcmp(lie, "small-answer") == 0) return send(call, request_size, KEYFERRY_PLUGIN_METHOD_GET, NULL, "/x", NULL, 0, 2);
    if (strcmp(lie, "bad-method") == 0) return send(call, request_size, 77, NULL, "/x", NULL, 0, response_size);
    if (strcmp(lie, "bad-base") == 0) return send(call, request_size, KEYFERRY_PLUGIN_METHOD_GET, "key", "/x", NULL, 0, response_size);
    if (strcmp(lie, "other-base") == 0) {
        return send(call, request_size, KEYFERRY_PLUGIN_METHOD_GET, "masv.url", "/x", NULL, 0, response_size);
    }
    return 1000;
}

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    keyferry_plugin_buffer buffer;
    const char *lie = spec->id;
    keyferry_plugin_status status;
    int i;
    memset(too_long, 'x', sizeof too_long);
    if (strcmp(lie, "code") == 0) return 4711;
    if (strcmp(lie, "negative") == 0) return -1;
    if (strcmp(lie, "over") == 0) return KEYFERRY_PLUGIN_E_CANCELLED;
    if (strcmp(lie, "argument") == 0) return KEYFERRY_PLUGIN_E_INVALID_ARGUMENT;
    if (strcmp(lie, "nothing") == 0) return KEYFERRY_PLUGIN_OK;
    if (strcmp(lie, "honest") == 0) return host->add_header(call, "X-Token", "honest");
    if (strcmp(lie, "undeclared") == 0) {
        /* By the full key, by the short one, and by a path. */
        host->get_setting(call, "masv.password", &buffer);
        host->get_setting(call, "password", &buffer);
        return host->get_setting(call, "../key", &buffer);
    }
    if (strcmp(lie, "stale") == 0) {
        /* Ids of no call: the functions have no effect, and it is no fault. */
        if (host->add_header(call + 1, "X-Token", "v") != KEYFERRY_PLUGIN_E_INVALID_CALL) return 1001;
        if (host->get_setting(0, "key", &buffer) != KEYFERRY_PLUGIN_E_INVALID_CALL) return 1002;
        return host->add_header(call, "X-Token", "stale");
    }
    if (strcmp(lie, "tell") == 0) {
        status = host->get_setting(call, "key", &buffer);
        host->log(call, KEYFERRY_PLUGIN_LOG_ERROR, buffer.data);
        host->set_error_message(call, buffer.data);
        return status == KEYFERRY_PLUGIN_OK ? KEYFERRY_PLUGIN_E_FAILED : status;
    }
    if (strcmp(lie, "headers") == 0) {
        for (i = 0; i < 100; i++) host->add_header(call, "X-Token", "v");
        return KEYFERRY_PLUGIN_OK;
    }
    if (strcmp(lie, "exchanges") == 0) {
        for (i = 0; i < 100; i++) get(call, "/x", NULL, 0);
        return KEYFERRY_PLUGIN_OK;
    }
    status = lie_in_text(call, lie);
    if (status == 1000) status = lie_in_exchange(call, lie);
    if (status == 1000) return KEYFERRY_PLUGIN_E_NOT_FOUND;
    /* It goes on as if the host had returned no error. */
    host->add_header(call, "X-Other", "v");
    return KEYFERRY_PLUGIN_OK;
}
