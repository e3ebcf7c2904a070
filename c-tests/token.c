/* The token object: headers with their expiry. */
#include "test.h"

#include <time.h>

static void no_token_says_nothing(void) {
    CHECK(keyferry_token_header_count(NULL) == 0);
    CHECK(keyferry_token_header_name(NULL, 0) == NULL);
    CHECK(keyferry_token_header_value(NULL, 0) == NULL);
    CHECK(keyferry_token_value(NULL) == NULL);
    CHECK(keyferry_token_service(NULL) == NULL);
    CHECK(keyferry_token_kind(NULL) == 0);
    CHECK(keyferry_token_access(NULL) == KEYFERRY_ACCESS_ANY);
    CHECK(keyferry_token_expires_unix_s(NULL) == 0);
    CHECK(keyferry_token_generation(NULL) == 0);
    CHECK(keyferry_token_details_json(NULL) == NULL);
    keyferry_token_free(NULL);
}

static void a_login_says_everything(void) {
    keyferry_session *session = open_session();
    keyferry_token *token = token_for(session, "user");
    /* It outlives its session. */
    keyferry_session_free(session);
    CHECK(keyferry_token_header_count(token) == 1);
    CHECK_TEXT("X-User-Token", keyferry_token_header_name(token, 0));
    CHECK_TEXT(keyferry_token_value(token), keyferry_token_header_value(token, 0));
    CHECK(keyferry_token_header_name(token, 1) == NULL && keyferry_token_header_value(token, 1) == NULL);
    CHECK(keyferry_token_header_name(token, SIZE_MAX) == NULL && keyferry_token_header_value(token, SIZE_MAX) == NULL);
    CHECK_TEXT("masv", keyferry_token_service(token));
    CHECK(keyferry_token_kind(token) == KEYFERRY_TOKEN_KIND_USER);
    CHECK(keyferry_token_access(token) == KEYFERRY_ACCESS_FULL);
    CHECK(keyferry_token_expires_unix_s(token) > (int64_t)time(NULL));
    CHECK(keyferry_token_expires_unix_s(token) < (int64_t)time(NULL) + 400 * 86400);
    CHECK(keyferry_token_generation(token) > 0);
    CHECK_CONTAINS(keyferry_token_details_json(token), "\"user\"");
    CHECK_CONTAINS(keyferry_token_details_json(token), "\"teams\"");
    CHECK_CONTAINS(keyferry_token_details_json(token), required_env("KEYFERRY_MASV_TEAM"));
    CHECK(strstr(keyferry_token_details_json(token), keyferry_token_value(token)) == NULL);
    CHECK(http_status_with_token(token, required_env("KEYFERRY_MASV_URL"), "GET", "/v1/teams") == 200);
    keyferry_token_free(token);
}

static void a_bearer_has_its_scheme_in_the_header_only(void) {
    keyferry_session *session = open_session();
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    SUCCEEDS(fileverbs_bearer(session, &token, &error));
    CHECK_TEXT("Authorization", keyferry_token_header_name(token, 0));
    CHECK(strncmp(keyferry_token_header_value(token, 0), "Bearer ", 7) == 0);
    CHECK_TEXT(keyferry_token_value(token), keyferry_token_header_value(token, 0) + 7);
    CHECK_TEXT("fileverbs", keyferry_token_service(token));
    CHECK(keyferry_token_kind(token) == KEYFERRY_TOKEN_KIND_BEARER);
    keyferry_token_free(token);
    keyferry_session_free(session);
}

static void a_key_has_no_expiry(void) {
    keyferry_session *session = open_session_with("masv.api_key", required_env("TEST_API_KEY"));
    keyferry_token *token = token_for(session, "user");
    CHECK_TEXT("X-API-KEY", keyferry_token_header_name(token, 0));
    CHECK(keyferry_token_kind(token) == KEYFERRY_TOKEN_KIND_KEY);
    CHECK(keyferry_token_expires_unix_s(token) == KEYFERRY_NO_EXPIRY);
    CHECK(keyferry_token_details_json(token)[0] == '{');
    keyferry_token_free(token);
    keyferry_session_free(session);
}

static void every_later_one_has_a_greater_generation(void) {
    keyferry_session *session = open_session();
    keyferry_error *error = NULL;
    keyferry_token *first = token_for(session, "user");
    keyferry_token *same = token_for(session, "user");
    keyferry_token *second;
    CHECK(first != same && keyferry_token_generation(first) == keyferry_token_generation(same));
    CHECK_TEXT(keyferry_token_value(first), keyferry_token_value(same));
    sandbox_revoke(keyferry_token_value(first));
    SUCCEEDS(keyferry_session_reject(session, first, &error));
    second = token_for(session, "user");
    CHECK(keyferry_token_generation(second) > keyferry_token_generation(first));
    CHECK(strcmp(keyferry_token_value(second), keyferry_token_value(first)) != 0);
    keyferry_token_free(first);
    keyferry_token_free(same);
    keyferry_token_free(second);
    keyferry_session_free(session);
}

int main(void) {
    no_token_says_nothing();
    a_login_says_everything();
    a_bearer_has_its_scheme_in_the_header_only();
    a_key_has_no_expiry();
    every_later_one_has_a_greater_generation();
    return 0;
}
