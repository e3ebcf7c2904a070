/* Does in `acquire` whatever its id says, and nothing of it as the header asks. Its tables lie where LIE_ macros say so. */
#define NAME "liar"
#include "small.h"

static char endless[200000];

static keyferry_plugin_status send(keyferry_plugin_call call, uint32_t size, uint32_t method, const char *base, const char *path,
                                   const keyferry_plugin_header *headers, size_t count, uint32_t answer_size) {
    keyferry_plugin_request request;
    keyferry_plugin_answer answer;
    memset(&request, 0, sizeof request);
    memset(&answer, 0, sizeof answer);
    request.struct_size = size;
    request.method = method;
    request.base = base;
    request.path = path;
    request.headers = headers;
    request.header_count = count;
    answer.struct_size = answer_size;
    return host->exchange(call, &request, &answer);
}

static keyferry_plugin_status get(keyferry_plugin_call call, const char *path, const keyferry_plugin_header *headers, size_t count) {
    return send(call, sizeof(keyferry_plugin_request), KEYFERRY_PLUGIN_GET, NULL, path, headers, count, sizeof(keyferry_plugin_answer));
}

static keyferry_plugin_status in_texts(keyferry_plugin_call call, const char *lie) {
    const char *value = NULL;
    if (strcmp(lie, "utf8") == 0) value = "a\xff\xfe";
    if (strcmp(lie, "crlf") == 0) value = "token\r\nX-Evil: 1";
    if (strcmp(lie, "delete") == 0) value = "token\x7f";
    if (strcmp(lie, "empty") == 0) value = "";
    if (strcmp(lie, "endless") == 0) value = endless;
    if (strcmp(lie, "null") == 0 || value != NULL) return host->give_header(call, "X-Token", value);
    if (strcmp(lie, "header-name") == 0) return host->give_header(call, "X Token:", "v");
    if (strcmp(lie, "null-out") == 0) return host->setting(call, "key", NULL);
    if (strcmp(lie, "odd-out") == 0) return host->setting(call, "key", (keyferry_plugin_buffer *)(void *)(endless + 1));
    if (strcmp(lie, "bad-renewal") == 0) return host->give_renewal(call, "a\nb");
    if (strcmp(lie, "bad-expiry") == 0) return host->give_expiry(call, -1);
    if (strcmp(lie, "bad-level") == 0) return host->log(call, 99, "x");
    if (strcmp(lie, "bad-sentence") == 0) return host->fail(call, "one\ntwo");
    if (strcmp(lie, "too-much") == 0) {
        keyferry_plugin_buffer buffer;
        return host->buffer(call, (size_t)-1, &buffer);
    }
    return 1000;
}

static keyferry_plugin_status in_exchanges(keyferry_plugin_call call, const char *lie) {
    static const keyferry_plugin_header host_header = {"Host", "evil.example"}, bad_header = {"X-A", "a\r\nb"};
    uint32_t request_size = sizeof(keyferry_plugin_request), answer_size = sizeof(keyferry_plugin_answer);
    if (strcmp(lie, "outside") == 0) return get(call, "/../../secret", NULL, 0);
    if (strcmp(lie, "no-slash") == 0) return get(call, "@evil.example/", NULL, 0);
    if (strcmp(lie, "backslash") == 0) return get(call, "/\\..\\..\\x", NULL, 0);
    if (strcmp(lie, "host-header") == 0) return get(call, "/x", &host_header, 1);
    if (strcmp(lie, "bad-header") == 0) return get(call, "/x", &bad_header, 1);
    if (strcmp(lie, "many-headers") == 0) return get(call, "/x", &host_header, (size_t)-1);
    if (strcmp(lie, "small-request") == 0) return send(call, 2, KEYFERRY_PLUGIN_GET, NULL, "/x", NULL, 0, answer_size);
    if (strcmp(lie, "half-request") == 0) return send(call, 8, KEYFERRY_PLUGIN_GET, NULL, "/x", NULL, 0, answer_size);
    if (strcmp(lie, "small-answer") == 0) return send(call, request_size, KEYFERRY_PLUGIN_GET, NULL, "/x", NULL, 0, 2);
    if (strcmp(lie, "bad-method") == 0) return send(call, request_size, 77, NULL, "/x", NULL, 0, answer_size);
    if (strcmp(lie, "bad-base") == 0) return send(call, request_size, KEYFERRY_PLUGIN_GET, "key", "/x", NULL, 0, answer_size);
    if (strcmp(lie, "other-base") == 0) return send(call, request_size, KEYFERRY_PLUGIN_GET, "masv.url", "/x", NULL, 0, answer_size);
    return 1000;
}

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_want *want) {
    keyferry_plugin_buffer buffer;
    const char *lie = want->id;
    keyferry_plugin_status status;
    int i;
    memset(endless, 'x', sizeof endless);
    if (strcmp(lie, "code") == 0) return 4711;
    if (strcmp(lie, "negative") == 0) return -1;
    if (strcmp(lie, "over") == 0) return KEYFERRY_PLUGIN_E_OVER;
    if (strcmp(lie, "argument") == 0) return KEYFERRY_PLUGIN_E_ARGUMENT;
    if (strcmp(lie, "nothing") == 0) return KEYFERRY_PLUGIN_OK;
    if (strcmp(lie, "honest") == 0) return host->give_header(call, "X-Token", "honest");
    if (strcmp(lie, "undeclared") == 0) {
        /* Once with the full name, once with the short one, once as another service has it. */
        host->setting(call, "masv.password", &buffer);
        host->setting(call, "password", &buffer);
        return host->setting(call, "../key", &buffer);
    }
    if (strcmp(lie, "stale") == 0) {
        /* Nobody's call, and a fault of nobody: it has no effect. */
        if (host->give_header(call + 1, "X-Token", "v") != KEYFERRY_PLUGIN_E_CALL) return 1001;
        if (host->setting(0, "key", &buffer) != KEYFERRY_PLUGIN_E_CALL) return 1002;
        return host->give_header(call, "X-Token", "stale");
    }
    if (strcmp(lie, "tell") == 0) {
        status = host->setting(call, "key", &buffer);
        host->log(call, KEYFERRY_PLUGIN_LOG_ERROR, buffer.data);
        host->fail(call, buffer.data);
        return status == KEYFERRY_PLUGIN_OK ? KEYFERRY_PLUGIN_E_FAILED : status;
    }
    if (strcmp(lie, "headers") == 0) {
        for (i = 0; i < 100; i++) host->give_header(call, "X-Token", "v");
        return KEYFERRY_PLUGIN_OK;
    }
    if (strcmp(lie, "exchanges") == 0) {
        for (i = 0; i < 100; i++) get(call, "/x", NULL, 0);
        return KEYFERRY_PLUGIN_OK;
    }
    status = in_texts(call, lie);
    if (status == 1000) status = in_exchanges(call, lie);
    if (status == 1000) return KEYFERRY_PLUGIN_E_NOT_FOUND;
    /* It goes on as if nothing had been said. */
    host->give_header(call, "X-Other", "v");
    return KEYFERRY_PLUGIN_OK;
}
