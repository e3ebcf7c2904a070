/* Waiting for a token in an event loop: a fetch on a thread of keyferry, and a descriptor that becomes readable at its end. */
#include "test.h"

#include <poll.h>
#include <time.h>

static keyferry_session *session;

static keyferry_request *new_request(const char *resource) {
    keyferry_request *request = NULL;
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_request_new(resource, &request, &error));
    return request;
}

static int start(keyferry_request *request) {
    int32_t descriptor = 0;
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_session_start(session, request, &descriptor, &error));
    CHECK(descriptor >= 0);
    return descriptor;
}

/* Waits until the descriptor is readable, for at most this time. */
static int is_readable(int descriptor, int at_most_ms) {
    struct pollfd polled = {0, POLLIN, 0};
    polled.fd = descriptor;
    return poll(&polled, 1, at_most_ms) == 1;
}

static void the_token_is_there_when_the_descriptor_is_readable(void) {
    keyferry_request *request = new_request("user");
    keyferry_token *token = POISON;
    keyferry_error *error = NULL;
    int descriptor = start(request), round;
    char byte;
    for (round = 0; round < 2; round++) {
        CHECK(is_readable(descriptor, 60000) && read(descriptor, &byte, 1) == 1);
        CHECK(read(descriptor, &byte, 1) == 0 && close(descriptor) == 0);
        SUCCEEDS(keyferry_request_token(request, &token, &error));
        CHECK(strncmp(keyferry_token_value(token), "ey", 2) == 0);
        keyferry_token_free(token);
        FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "no result", keyferry_request_token(request, &token, &error));
        CHECK(token == NULL);
        descriptor = start(request); /* from the cache */
    }
    keyferry_request_free(request);
    close(descriptor);
    CHECK(sandbox_count("login") == 1);
}

static void an_error_is_a_result_too(void) {
    keyferry_request *request = new_request("https://elsewhere.example/");
    keyferry_token *token = POISON;
    keyferry_error *error = NULL;
    int descriptor = start(request);
    CHECK(is_readable(descriptor, 60000) && close(descriptor) == 0);
    FAILS(KEYFERRY_E_UNKNOWN_SERVICE, keyferry_request_token(request, &token, &error));
    CHECK(token == NULL);
    keyferry_request_free(request);
}

static void nothing_waits_and_the_login_goes_on(void) {
    keyferry_request *cancelled = new_request("user"), *freed = new_request("user"), *other = new_request("user");
    keyferry_token *token = POISON;
    keyferry_error *error = NULL;
    int32_t descriptor = 0;
    int first, second, third;
    long before = sandbox_count("login");
    SUCCEEDS(keyferry_session_forget(session, NULL, &error));
    control("POST", "fault", "{\"path\": \"/v1/auth\", \"latency_ms\": 3000}");
    first = start(cancelled);
    second = start(freed);
    third = start(other);
    while (sandbox_count("login") == before) {
    }
    CHECK(!is_readable(third, 0));
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "no result", keyferry_request_token(other, &token, &error));
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "started already", keyferry_session_start(session, other, &descriptor, &error));
    CHECK(descriptor == -1);
    keyferry_request_cancel(cancelled);
    CHECK(is_readable(first, 60000));
    FAILS(KEYFERRY_E_CANCELLED, keyferry_request_token(cancelled, &token, &error));
    keyferry_request_free(freed);
    CHECK(is_readable(second, 60000) && close(second) == 0);
    CHECK(!is_readable(third, 0));
    CHECK(is_readable(third, 60000));
    SUCCEEDS(keyferry_request_token(other, &token, &error));
    keyferry_token_free(token);
    CHECK(sandbox_count("login") == before + 1);
    keyferry_request_free(cancelled);
    keyferry_request_free(other);
    close(first);
    close(third);
}

static void a_request_logs_in(void) {
    keyferry_request *request = new_request("user"), *other = new_request("packages/A");
    keyferry_token *token = POISON;
    keyferry_error *error = NULL;
    long before = sandbox_count("login");
    int descriptor;
    SUCCEEDS(keyferry_request_set_login(request, NULL, NULL, &error));
    SUCCEEDS(keyferry_session_token_for(session, request, &token, &error));
    keyferry_token_free(token);
    CHECK(sandbox_count("login") == before + 1);
    SUCCEEDS(keyferry_request_set_login(request, NULL, "wrong", &error));
    descriptor = start(request);
    CHECK(is_readable(descriptor, 60000) && close(descriptor) == 0);
    FAILS(KEYFERRY_E_BAD_CREDENTIALS, keyferry_request_token(request, &token, &error));
    CHECK(sandbox_count("login") == before + 2);
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "`user`", keyferry_request_set_login(other, NULL, NULL, &error));
    keyferry_request_free(request);
    keyferry_request_free(other);
}

static void a_closed_descriptor_does_no_harm(void) {
    keyferry_request *request = new_request("user");
    keyferry_token *token = NULL;
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_session_forget(session, NULL, &error));
    close(start(request));
    while (keyferry_request_token(request, &token, NULL) == KEYFERRY_E_INVALID_VALUE) {
    }
    CHECK(token != NULL);
    keyferry_token_free(token);
    keyferry_request_free(request);
}

int main(void) {
    alarm(120);
    session = open_session();
    the_token_is_there_when_the_descriptor_is_readable();
    an_error_is_a_result_too();
    nothing_waits_and_the_login_goes_on();
    a_closed_descriptor_does_no_harm();
    a_request_logs_in();
    keyferry_session_free(session);
    return 0;
}
