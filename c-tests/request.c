/* The request object: a resource and what the caller needs of its token. */
#include "test.h"

#include <time.h>

static keyferry_request *request_for(const char *resource) {
    keyferry_request *request = POISON;
    keyferry_error *error = POISON;
    SUCCEEDS(keyferry_request_new(resource, &request, &error));
    CHECK(request != NULL && request != POISON);
    return request;
}

static void a_resource_is_read_at_once(void) {
    static const char *const bad[] = {"", " ", "a b", "/etc/passwd", "packages/a%0d%0ab", "masv:", ":user", "packages/../user", "http://"};
    static const char *const good[] = {"user", "masv:user", "packages/ID", "packages/ID/transfers/ID", "transfers/ID", "links/ID?secret=S",
                                       "fileverbs:bearer", "https://api.massive.app/v1/packages/ID"};
    keyferry_request *request;
    keyferry_error *error = POISON;
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        request = POISON;
        FAILS_SAYING(KEYFERRY_E_INVALID_RESOURCE, "resource", keyferry_request_new(bad[i], &request, &error));
        CHECK(request == NULL);
    }
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        keyferry_request_free(request_for(good[i]));
    }
    request = POISON;
    FAILS_SAYING(KEYFERRY_E_NOT_UTF8, "resource", keyferry_request_new("\xff", &request, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "resource", keyferry_request_new(NULL, &request, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "request_out", keyferry_request_new("user", NULL, &error));
    CHECK(keyferry_request_new(NULL, &request, NULL) == KEYFERRY_E_NULL_ARGUMENT && request == NULL);
    keyferry_request_free(NULL);
}

static void each_setter_takes_its_range(void) {
    keyferry_request *request = request_for("user");
    keyferry_error *error = POISON;
    int32_t access;
    SUCCEEDS(keyferry_request_set_min_valid_s(request, UINT32_MAX, &error));
    SUCCEEDS(keyferry_request_set_min_valid_s(request, 0, NULL));
    for (access = KEYFERRY_ACCESS_ANY; access <= KEYFERRY_ACCESS_MANAGE; access++) {
        SUCCEEDS(keyferry_request_set_access(request, access, &error));
    }
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "access", keyferry_request_set_access(request, KEYFERRY_ACCESS_MANAGE + 1, &error));
    FAILS(KEYFERRY_E_INVALID_VALUE, keyferry_request_set_access(request, -1, &error));
    FAILS(KEYFERRY_E_INVALID_VALUE, keyferry_request_set_access(request, 258, &error));
    SUCCEEDS(keyferry_request_set_account(request, "second", &error));
    SUCCEEDS(keyferry_request_set_account(request, NULL, &error));
    FAILS_SAYING(KEYFERRY_E_NOT_UTF8, "account", keyferry_request_set_account(request, "\xff", &error));
    SUCCEEDS(keyferry_request_set_link_password(request, "pass=word", &error));
    SUCCEEDS(keyferry_request_set_link_password(request, NULL, &error));
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "password", keyferry_request_set_link_password(request, "", &error));
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "password", keyferry_request_set_link_password(request, "a\nb", &error));
    FAILS_SAYING(KEYFERRY_E_NOT_UTF8, "password", keyferry_request_set_link_password(request, "\xff", &error));
    SUCCEEDS(keyferry_request_set_timeout_ms(request, 0, &error));
    SUCCEEDS(keyferry_request_set_timeout_ms(request, 1, &error));
    SUCCEEDS(keyferry_request_set_timeout_ms(request, 600000, &error));
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "timeout_ms", keyferry_request_set_timeout_ms(request, 600001, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "request", keyferry_request_set_timeout_ms(NULL, 1, &error));
    keyferry_request_free(request);
}

static void what_is_set_counts(void) {
    keyferry_session *session = open_session();
    keyferry_request *request = request_for(required_env("TEST_PROTECTED_LINK"));
    keyferry_token *token = POISON;
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_request_set_link_password(request, required_env("TEST_LINK_PASSWORD"), &error));
    SUCCEEDS(keyferry_session_token_for(session, request, &token, &error));
    CHECK(keyferry_token_access(token) == KEYFERRY_ACCESS_READ);
    keyferry_token_free(token);
    keyferry_request_free(request);

    request = request_for("user");
    SUCCEEDS(keyferry_request_set_account(request, "nobody", &error));
    token = POISON;
    FAILS_SAYING(KEYFERRY_E_NOT_CONFIGURED, "profile", keyferry_session_token_for(session, request, &token, &error));
    CHECK(token == NULL);
    keyferry_request_free(request);

    request = request_for(required_env("TEST_PACKAGE"));
    SUCCEEDS(keyferry_request_set_access(request, KEYFERRY_ACCESS_MANAGE, &error));
    SUCCEEDS(keyferry_session_token_for(session, request, &token, &error));
    CHECK(keyferry_token_access(token) == KEYFERRY_ACCESS_MANAGE);
    keyferry_token_free(token);
    keyferry_request_free(request);
    keyferry_session_free(session);
}

/* The password is the request's: another one for the same link is refused though a token is in memory. */
static void a_wrong_link_password_gets_nothing(void) {
    keyferry_session *session = open_session();
    keyferry_request *request = request_for(required_env("TEST_PROTECTED_LINK"));
    keyferry_token *token = POISON;
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_request_set_link_password(request, required_env("TEST_LINK_PASSWORD"), &error));
    SUCCEEDS(keyferry_session_token_for(session, request, &token, &error));
    keyferry_token_free(token);
    SUCCEEDS(keyferry_request_set_link_password(request, "wrong", &error));
    token = POISON;
    FAILS(KEYFERRY_E_BAD_CREDENTIALS, keyferry_session_token_for(session, request, &token, &error));
    CHECK(token == NULL);
    keyferry_request_free(request);
    keyferry_session_free(session);
}

static void its_time_ends_a_wait(void) {
    keyferry_session *session = open_session();
    keyferry_request *request = request_for("user");
    keyferry_token *token = POISON;
    keyferry_error *error = NULL;
    struct timespec begin, end;
    control("POST", "fault", "{\"path\": \"/v1/auth\", \"kind\": \"hang\", \"times\": \"forever\"}");
    SUCCEEDS(keyferry_request_set_timeout_ms(request, 100, &error));
    clock_gettime(CLOCK_MONOTONIC, &begin);
    FAILS(KEYFERRY_E_TIMEOUT, keyferry_session_token_for(session, request, &token, &error));
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(token == NULL);
    CHECK(end.tv_sec - begin.tv_sec < int_from_env("TEST_PATIENCE_S", 2));
    control("DELETE", "faults", "");
    keyferry_request_free(request);
    keyferry_session_free(session);
}

static void a_cancelled_one_stays_cancelled(void) {
    keyferry_session *session = open_session();
    keyferry_request *request = request_for("user");
    keyferry_token *token = POISON;
    keyferry_error *error = NULL;
    keyferry_request_cancel(NULL);
    keyferry_request_cancel(request);
    keyferry_request_cancel(request);
    FAILS(KEYFERRY_E_CANCELLED, keyferry_session_token_for(session, request, &token, &error));
    CHECK(token == NULL);
    keyferry_request_free(request);
    keyferry_token_free(token_for(session, "user"));
    keyferry_session_free(session);
}

int main(void) {
    a_resource_is_read_at_once();
    each_setter_takes_its_range();
    what_is_set_counts();
    a_wrong_link_password_gets_nothing();
    its_time_ends_a_wait();
    a_cancelled_one_stays_cancelled();
    return 0;
}
