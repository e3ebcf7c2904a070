/* The session object: what is in memory, how it gets there and how it goes. */
#include "test.h"

static const keyferry_session *session;
static keyferry_request *user_request;

static void a_session_is_opened_from_either_source(void) {
    keyferry_config *config = NULL;
    keyferry_session *own_session = POISON;
    keyferry_error *error = POISON;
    SUCCEEDS(keyferry_config_new(&config, &error));
    SUCCEEDS(keyferry_session_open(config, &own_session, &error));
    keyferry_config_free(config);
    keyferry_session_free(own_session);
    keyferry_session_free(NULL);
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "session_out", keyferry_session_open(NULL, NULL, &error));
    CHECK(keyferry_session_open(NULL, NULL, NULL) == KEYFERRY_E_NULL_ARGUMENT);
}

static void memory_answers_only_what_it_has(void) {
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    long before = sandbox_count("requests");
    FAILS(KEYFERRY_E_NOT_CACHED, keyferry_session_cached(session, user_request, &token, &error));
    CHECK(token == NULL);
    CHECK(sandbox_count("requests") == before);
    SUCCEEDS(keyferry_session_token_for(session, user_request, &token, &error));
    keyferry_token_free(token);
    token = POISON;
    before = sandbox_count("requests");
    SUCCEEDS(keyferry_session_cached(session, user_request, &token, &error));
    CHECK_TEXT("X-User-Token", keyferry_token_header_name(token, 0));
    keyferry_token_free(token);
    SUCCEEDS(keyferry_session_token_for(session, user_request, &token, &error));
    keyferry_token_free(token);
    CHECK(sandbox_count("requests") == before);
}

/* The service has the last word: its freshest is given, though it is good for less, and no login is made for each call. */
static void a_min_valid_that_no_token_can_meet_makes_no_storm(void) {
    keyferry_request *request = NULL;
    keyferry_token *token = POISON;
    keyferry_error *error = NULL;
    long before = sandbox_count("login");
    int i;
    SUCCEEDS(keyferry_request_new("user", &request, &error));
    SUCCEEDS(keyferry_request_set_min_valid_s(request, 4000000000u, &error));
    for (i = 0; i < 10; i++) {
        SUCCEEDS(keyferry_session_token_for(session, request, &token, &error));
        keyferry_token_free(token);
    }
    CHECK(sandbox_count("login") <= before + 1);
    keyferry_request_free(request);
}

static void peeking_copies_the_line(void) {
    char line[17000], small[8];
    size_t length = 0;
    keyferry_token *token = token_for(session, "user");
    CHECK(keyferry_session_peek(session, "user", line, sizeof line, &length) == KEYFERRY_OK);
    CHECK(strlen(line) == length && strncmp(line, "X-User-Token: ", 14) == 0);
    CHECK_TEXT(keyferry_token_value(token), line + 14);
    CHECK(keyferry_session_peek(session, "user", line, sizeof line, NULL) == KEYFERRY_OK);
    CHECK(keyferry_session_peek(session, "user", line, length + 1, &length) == KEYFERRY_OK && line[length] == '\0');
    /* One byte short, far too short, and none at all: each says how much it needs, and writes nothing beyond. */
    line[length] = '#';
    CHECK(keyferry_session_peek(session, "user", line, length, &length) == KEYFERRY_E_BUFFER_TOO_SMALL && line[length] == '#');
    small[4] = '#';
    CHECK(keyferry_session_peek(session, "user", small, 4, &length) == KEYFERRY_E_BUFFER_TOO_SMALL && small[4] == '#');
    CHECK(length == strlen(keyferry_token_value(token)) + 14);
    length = 0;
    CHECK(keyferry_session_peek(session, "user", NULL, 0, &length) == KEYFERRY_E_BUFFER_TOO_SMALL && length > 14);
    CHECK(keyferry_session_peek(session, required_env("TEST_OTHER_PACKAGE"), line, sizeof line, &length) == KEYFERRY_E_NOT_CACHED);
    CHECK(keyferry_session_peek(session, "", line, sizeof line, &length) == KEYFERRY_E_INVALID_RESOURCE);
    CHECK(keyferry_session_peek(session, "\xff", line, sizeof line, &length) == KEYFERRY_E_NOT_UTF8);
    CHECK(keyferry_session_peek(session, "https://elsewhere.example/v1/user", line, sizeof line, &length) == KEYFERRY_E_UNKNOWN_SERVICE);
    CHECK(keyferry_session_peek(session, NULL, line, sizeof line, &length) == KEYFERRY_E_NULL_ARGUMENT);
    CHECK(keyferry_session_peek(session, "user", NULL, 1, &length) == KEYFERRY_E_NULL_ARGUMENT);
    keyferry_token_free(token);
}

static void a_rejected_token_is_not_given_again(void) {
    keyferry_token *old = token_for(session, "user"), *renewed, *same;
    keyferry_error *error = POISON;
    long logins = sandbox_count("login");
    sandbox_revoke(keyferry_token_value(old));
    SUCCEEDS(keyferry_session_reject(session, old, &error));
    renewed = token_for(session, "user");
    CHECK(sandbox_count("login") == logins + 1);
    CHECK(keyferry_token_generation(renewed) > keyferry_token_generation(old));
    /* "The old one got a 401" doesn't harm the new one. */
    SUCCEEDS(keyferry_session_reject(session, old, &error));
    SUCCEEDS(keyferry_session_reject_value(session, "user", keyferry_token_value(old), &error));
    SUCCEEDS(keyferry_session_reject_value(session, "user", "something else", NULL));
    same = token_for(session, "user");
    CHECK(keyferry_token_generation(same) == keyferry_token_generation(renewed));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "token", keyferry_session_reject(session, NULL, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "resource", keyferry_session_reject_value(session, NULL, "x", &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "value", keyferry_session_reject_value(session, "user", NULL, &error));
    FAILS_SAYING(KEYFERRY_E_NOT_UTF8, "resource", keyferry_session_reject_value(session, "\xff", "x", &error));
    FAILS(KEYFERRY_E_INVALID_RESOURCE, keyferry_session_reject_value(session, "a b", "x", &error));
    FAILS(KEYFERRY_E_UNKNOWN_SERVICE, keyferry_session_reject_value(session, "https://elsewhere.example/", "x", &error));
    keyferry_token_free(old);
    keyferry_token_free(renewed);
    keyferry_token_free(same);
}

static void a_rejected_value_is_not_given_again(void) {
    keyferry_token *old = NULL, *renewed = NULL;
    keyferry_error *error = POISON;
    SUCCEEDS(fileverbs_bearer(session, &old, &error));
    SUCCEEDS(keyferry_session_reject_value(session, "fileverbs:bearer", keyferry_token_header_value(old, 0), &error));
    SUCCEEDS(fileverbs_bearer(session, &renewed, &error));
    CHECK(strcmp(keyferry_token_value(old), keyferry_token_value(renewed)) != 0);
    keyferry_token_free(old);
    keyferry_token_free(renewed);
}

static void what_the_caller_got_itself_is_kept(void) {
    static const char adopted[] = "made.by.a-portal";
    keyferry_token *token = POISON;
    keyferry_request *request = NULL;
    keyferry_error *error = POISON;
    long before;
    SUCCEEDS(keyferry_session_adopt(session, "packages/PORTALS0WN", adopted, 4000000000, &error));
    SUCCEEDS(keyferry_request_new("packages/PORTALS0WN", &request, &error));
    SUCCEEDS(keyferry_request_set_access(request, KEYFERRY_ACCESS_WRITE, &error));
    before = sandbox_count("requests");
    SUCCEEDS(keyferry_session_token_for(session, request, &token, &error));
    CHECK(sandbox_count("requests") == before);
    CHECK_TEXT("X-Package-Token", keyferry_token_header_name(token, 0));
    CHECK_TEXT(adopted, keyferry_token_value(token));
    CHECK(keyferry_token_access(token) == KEYFERRY_ACCESS_WRITE);
    CHECK(keyferry_token_expires_unix_s(token) == 4000000000);
    keyferry_token_free(token);
    keyferry_request_free(request);
    SUCCEEDS(keyferry_session_adopt(session, "transfers/STARTED", adopted, KEYFERRY_NO_EXPIRY, NULL));
    token = token_for(session, "transfers/STARTED");
    CHECK_TEXT("X-Transfer-Token", keyferry_token_header_name(token, 0));
    CHECK(keyferry_token_expires_unix_s(token) == KEYFERRY_NO_EXPIRY);
    keyferry_token_free(token);
}

static void what_cannot_be_a_token_is_not_kept(void) {
    keyferry_error *error = POISON;
    FAILS(KEYFERRY_E_INVALID_VALUE, keyferry_session_adopt(session, "packages/A", "", KEYFERRY_NO_EXPIRY, &error));
    FAILS(KEYFERRY_E_INVALID_VALUE, keyferry_session_adopt(session, "packages/A", "a\r\nX-Evil: 1", KEYFERRY_NO_EXPIRY, &error));
    FAILS(KEYFERRY_E_INVALID_VALUE, keyferry_session_adopt(session, "packages/A", "ended", 1, &error));
    FAILS(KEYFERRY_E_UNSUPPORTED, keyferry_session_adopt(session, "links/A?secret=S", "token", KEYFERRY_NO_EXPIRY, &error));
    FAILS(KEYFERRY_E_INVALID_RESOURCE, keyferry_session_adopt(session, "", "token", KEYFERRY_NO_EXPIRY, &error));
    FAILS(KEYFERRY_E_UNKNOWN_SERVICE, keyferry_session_adopt(session, "https://elsewhere.example/", "token", KEYFERRY_NO_EXPIRY, &error));
    FAILS_SAYING(KEYFERRY_E_NOT_UTF8, "value", keyferry_session_adopt(session, "packages/A", "\xff", KEYFERRY_NO_EXPIRY, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "resource", keyferry_session_adopt(session, NULL, "token", KEYFERRY_NO_EXPIRY, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "value", keyferry_session_adopt(session, "packages/A", NULL, KEYFERRY_NO_EXPIRY, &error));
}

static void what_is_forgotten_is_gone(void) {
    keyferry_token *token = token_for(session, "user");
    keyferry_error *error = POISON;
    keyferry_token_free(token);
    SUCCEEDS(keyferry_session_forget(session, "packages/never-asked-for", &error));
    SUCCEEDS(keyferry_session_cached(session, user_request, &token, &error));
    keyferry_token_free(token);
    SUCCEEDS(keyferry_session_forget(session, "user", &error));
    token = POISON;
    FAILS(KEYFERRY_E_NOT_CACHED, keyferry_session_cached(session, user_request, &token, &error));
    CHECK(token == NULL);
    keyferry_token_free(token_for(session, "user"));
    SUCCEEDS(keyferry_session_forget(session, NULL, NULL));
    FAILS(KEYFERRY_E_NOT_CACHED, keyferry_session_cached(session, user_request, &token, &error));
    FAILS(KEYFERRY_E_INVALID_RESOURCE, keyferry_session_forget(session, "a b", &error));
    FAILS(KEYFERRY_E_NOT_UTF8, keyferry_session_forget(session, "\xff", &error));
    FAILS(KEYFERRY_E_UNKNOWN_SERVICE, keyferry_session_forget(session, "https://elsewhere.example/", &error));
}

static void its_reports_are_json_without_secrets(void) {
    char *text = POISON;
    keyferry_error *error = POISON;
    keyferry_token *token = token_for(session, required_env("TEST_PACKAGE"));
    SUCCEEDS(keyferry_session_explain(session, required_env("TEST_PACKAGE"), &text, &error));
    CHECK(text[0] == '{' && strstr(text, keyferry_token_value(token)) == NULL);
    CHECK_CONTAINS(text, "masv");
    keyferry_text_free(text);
    SUCCEEDS(keyferry_session_list(session, &text, &error));
    CHECK(text[0] == '[' && strstr(text, keyferry_token_value(token)) == NULL);
    CHECK_CONTAINS(text, "\"generation\"");
    CHECK_CONTAINS(text, "\"expires_unix_s\"");
    keyferry_text_free(text);
    SUCCEEDS(keyferry_session_stats(session, &text, &error));
    CHECK(text[0] == '{');
    CHECK_CONTAINS(text, "\"logins\"");
    keyferry_text_free(text);
    text = POISON;
    FAILS(KEYFERRY_E_INVALID_RESOURCE, keyferry_session_explain(session, "a b", &text, &error));
    CHECK(text == NULL);
    FAILS(KEYFERRY_E_NOT_UTF8, keyferry_session_explain(session, "\xff", &text, &error));
    FAILS(KEYFERRY_E_UNKNOWN_SERVICE, keyferry_session_explain(session, "https://elsewhere.example/", &text, &error));
    keyferry_token_free(token);
}

static void asking_for_a_token_fails_by_its_reason(void) {
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "request", keyferry_session_token_for(session, NULL, &token, &error));
    CHECK(token == NULL);
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "token_out", keyferry_session_token_for(session, user_request, NULL, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "request", keyferry_session_cached(session, NULL, &token, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "token_out", keyferry_session_cached(session, user_request, NULL, &error));
}

static void what_needs_no_header_is_told_so(void) {
    keyferry_request *request = NULL;
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    char line[64];
    SUCCEEDS(keyferry_request_new("agent:session", &request, &error));
    FAILS(KEYFERRY_E_NO_HEADER, keyferry_session_token_for(session, request, &token, &error));
    CHECK(keyferry_session_peek(session, "agent:session", line, sizeof line, NULL) == KEYFERRY_E_NO_HEADER);
    FAILS(KEYFERRY_E_NO_HEADER, keyferry_session_cached(session, request, &token, &error));
    CHECK(token == NULL);
    keyferry_request_free(request);
}

int main(void) {
    keyferry_session *owned = open_session();
    keyferry_error *error = NULL;
    session = owned;
    SUCCEEDS(keyferry_request_new("user", &user_request, &error));
    a_session_is_opened_from_either_source();
    memory_answers_only_what_it_has();
    a_min_valid_that_no_token_can_meet_makes_no_storm();
    peeking_copies_the_line();
    a_rejected_token_is_not_given_again();
    a_rejected_value_is_not_given_again();
    what_the_caller_got_itself_is_kept();
    what_cannot_be_a_token_is_not_kept();
    its_reports_are_json_without_secrets();
    what_is_forgotten_is_gone();
    asking_for_a_token_fails_by_its_reason();
    what_needs_no_header_is_told_so();
    keyferry_request_free(user_request);
    keyferry_session_free(owned);
    return 0;
}
