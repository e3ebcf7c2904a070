/* A plugin's service through the C ABI: the template against its made-up asset store, and one that calls keyferry back. */
#include "test.h"

#include <stdint.h>
#include <sys/wait.h>

static const keyferry_session *const DEFAULT = NULL;

static void checks_the_template(void) {
    keyferry_error *error = NULL;
    keyferry_token *token = NULL;
    keyferry_request *request = NULL;
    char line[256], url[256];
    size_t length = 0;
    SUCCEEDS(masv_token_for(DEFAULT, "template:library", &token, &error));
    CHECK(keyferry_token_header_count(token) == 1);
    CHECK_TEXT("Authorization", keyferry_token_header_name(token, 0));
    CHECK_CONTAINS(keyferry_token_header_value(token, 0), "Bearer studio-");
    CHECK_TEXT("template", keyferry_token_service(token));
    CHECK(keyferry_token_kind(token) == KEYFERRY_TOKEN_KIND_BEARER && keyferry_token_access(token) == KEYFERRY_ACCESS_FULL);
    CHECK(keyferry_token_expires_unix_s(token) != KEYFERRY_NO_EXPIRY);
    /* Two forms of one thing, from memory, without a call of the plugin. */
    CHECK(keyferry_session_peek(DEFAULT, "template:library", line, sizeof line, &length) == KEYFERRY_OK);
    CHECK_CONTAINS(line, "Authorization: Bearer studio-");
    snprintf(url, sizeof url, "%s/v1/library", required_env("KEYFERRY_TEMPLATE_URL"));
    CHECK(keyferry_session_peek(DEFAULT, url, line, sizeof line, &length) == KEYFERRY_OK);
    SUCCEEDS(keyferry_request_new(url, &request, &error));
    keyferry_token_free(token);
    SUCCEEDS(keyferry_session_cached(DEFAULT, request, &token, &error));
    SUCCEEDS(keyferry_session_reject(DEFAULT, token, &error));
    keyferry_token_free(token);
    CHECK(keyferry_session_peek(DEFAULT, url, line, sizeof line, &length) == KEYFERRY_E_NOT_CACHED);
    SUCCEEDS(keyferry_session_token_for(DEFAULT, request, &token, &error));
    keyferry_token_free(token);
    keyferry_request_free(request);
    SUCCEEDS(masv_token_for(DEFAULT, "template:assets/7/raw/a.exr", &token, &error));
    CHECK_TEXT("X-Asset-Ticket", keyferry_token_header_name(token, 0));
    CHECK(keyferry_token_access(token) == KEYFERRY_ACCESS_READ);
    keyferry_token_free(token);
    FAILS_SAYING(KEYFERRY_E_NOT_FOUND, "template", masv_token_for(DEFAULT, "template:assets/8/raw", &token, &error));
    FAILS(KEYFERRY_E_INVALID_RESOURCE, masv_token_for(DEFAULT, "template:", &token, &error));
}

/* A session of its own, opened and closed again: `init` and `deinit` follow each other. */
static void checks_sessions(void) {
    keyferry_error *error = NULL;
    keyferry_token *token = NULL;
    int i;
    for (i = 0; i < 3; i++) {
        keyferry_session *session = open_session();
        SUCCEEDS(masv_token_for(session, "template:library", &token, &error));
        keyferry_session_free(session);
        CHECK_CONTAINS(keyferry_token_header_value(token, 0), "Bearer studio-");
        keyferry_token_free(token);
    }
}

/* Waiting for a token from the call that gets it would never end. */
static void checks_reentrance(void) {
    keyferry_error *error = NULL;
    keyferry_token *token = NULL;
    SUCCEEDS(masv_token_for(DEFAULT, "reentrant:x", &token, &error));
    CHECK_TEXT("112", keyferry_token_header_value(token, 0));
    keyferry_token_free(token);
}

static void checks_liars(void) {
    static const char *const faults[] = {"code",       "crlf",    "utf8",          "endless",  "null",
                                         "undeclared", "headers", "small-request", "too-much", "nothing"};
    keyferry_error *error = NULL;
    keyferry_token *token = NULL;
    char resource[64];
    size_t i;
    for (i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        snprintf(resource, sizeof resource, "liar:%s", faults[i]);
        FAILS_SAYING(KEYFERRY_E_PLUGIN, "the plugin liar misbehaved", masv_token_for(DEFAULT, resource, &token, &error));
    }
    SUCCEEDS(masv_token_for(DEFAULT, "liar:honest", &token, &error));
    keyferry_token_free(token);
    SUCCEEDS(masv_token_for(DEFAULT, "template:library", &token, &error));
    keyferry_token_free(token);
}

/* A child has no thread of its parent's: it initialises the plugin for itself, and gets a token of its own. */
static void checks_fork(void) {
    keyferry_error *error = NULL;
    keyferry_token *token = NULL;
    keyferry_session *session = open_session();
    int status = 0;
    pid_t child;
    SUCCEEDS(masv_token_for(session, "template:library", &token, &error));
    keyferry_token_free(token);
    SUCCEEDS(masv_token_for(DEFAULT, "template:library", &token, &error));
    keyferry_token_free(token);
    child = fork();
    if (child == 0) {
        FAILS(KEYFERRY_E_FORKED, masv_token_for(session, "template:library", &token, &error));
        SUCCEEDS(masv_token_for(DEFAULT, "template:library", &token, &error));
        CHECK_CONTAINS(keyferry_token_header_value(token, 0), "Bearer studio-");
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    keyferry_session_free(session);
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "fork") == 0) {
        checks_fork();
        return 0;
    }
    checks_the_template();
    checks_sessions();
    checks_reentrance();
    checks_liars();
    return 0;
}
