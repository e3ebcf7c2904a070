/* FileVerbs by the names that callers look for. */
#include "test.h"

static void a_bearer_opens_the_working_routes(void) {
    keyferry_session *session = open_session();
    keyferry_token *token = POISON, *same = POISON;
    keyferry_error *error = POISON;
    SUCCEEDS(fileverbs_bearer(session, &token, &error));
    CHECK(keyferry_token_kind(token) == KEYFERRY_TOKEN_KIND_BEARER);
    CHECK(keyferry_token_expires_unix_s(token) != KEYFERRY_NO_EXPIRY);
    CHECK(http_status_with_token(token, required_env("KEYFERRY_FILEVERBS_URL"), "GET", "/api/v1/fileuploads") == 200);
    SUCCEEDS(fileverbs_bearer(session, &same, NULL));
    CHECK_TEXT(keyferry_token_value(token), keyferry_token_value(same));
    CHECK(sandbox_count("fileverbs_login") == 1);
    keyferry_token_free(token);
    keyferry_token_free(same);
    keyferry_session_free(session);
}

static void a_rejected_bearer_is_renewed_without_a_login(void) {
    keyferry_session *session = open_session();
    keyferry_token *token = NULL, *renewed = NULL;
    keyferry_error *error = NULL;
    long logins;
    SUCCEEDS(fileverbs_bearer(session, &token, &error));
    logins = sandbox_count("fileverbs_login");
    SUCCEEDS(keyferry_session_reject(session, token, &error));
    SUCCEEDS(fileverbs_bearer(session, &renewed, &error));
    CHECK(strcmp(keyferry_token_value(token), keyferry_token_value(renewed)) != 0);
    CHECK(http_status_with_token(renewed, required_env("KEYFERRY_FILEVERBS_URL"), "GET", "/api/v1/fileuploads") == 200);
    CHECK(sandbox_count("fileverbs_login") + sandbox_count("refresh") == logins + 1);
    keyferry_token_free(token);
    keyferry_token_free(renewed);
    keyferry_session_free(session);
}

static void the_secret_key_is_a_header_of_its_own(void) {
    keyferry_session *session = open_session();
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    long before = sandbox_count("requests");
    SUCCEEDS(fileverbs_secret_key(session, &token, &error));
    CHECK(sandbox_count("requests") == before);
    CHECK_TEXT("SecretKey", keyferry_token_header_name(token, 0));
    CHECK_TEXT(required_env("KEYFERRY_FILEVERBS_SECRET_KEY"), keyferry_token_header_value(token, 0));
    CHECK(keyferry_token_kind(token) == KEYFERRY_TOKEN_KIND_KEY);
    CHECK(keyferry_token_expires_unix_s(token) == KEYFERRY_NO_EXPIRY);
    CHECK(http_status_with_token(token, required_env("KEYFERRY_FILEVERBS_URL"), "GET", "/api/v1/fileuploads") == 200);
    /* A rejected key is kept back for a while. */
    SUCCEEDS(keyferry_session_reject(session, token, &error));
    keyferry_token_free(token);
    token = POISON;
    FAILS(KEYFERRY_E_BAD_CREDENTIALS, fileverbs_secret_key(session, &token, &error));
    CHECK(token == NULL);
    keyferry_session_free(session);
}

static void missing_keys_are_named(void) {
    keyferry_session *session = open_session_without_secrets();
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    FAILS_SAYING(KEYFERRY_E_NOT_CONFIGURED, "fileverbs.secret_key", fileverbs_bearer(session, &token, &error));
    CHECK(token == NULL);
    token = POISON;
    FAILS_SAYING(KEYFERRY_E_NOT_CONFIGURED, "fileverbs.secret_key", fileverbs_secret_key(session, &token, &error));
    CHECK(token == NULL);
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "token_out", fileverbs_bearer(session, NULL, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "token_out", fileverbs_secret_key(session, NULL, &error));
    keyferry_session_free(session);
}

static void wrong_keys_are_refused_once(void) {
    keyferry_session *session = open_session_with("fileverbs.api_key", "wrong");
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    long before = sandbox_count("fileverbs_login");
    FAILS(KEYFERRY_E_BAD_CREDENTIALS, fileverbs_bearer(session, &token, &error));
    CHECK(token == NULL);
    FAILS(KEYFERRY_E_BAD_CREDENTIALS, fileverbs_bearer(session, &token, &error));
    CHECK(sandbox_count("fileverbs_login") == before + 1);
    keyferry_session_free(session);
}

int main(void) {
    a_bearer_opens_the_working_routes();
    a_rejected_bearer_is_renewed_without_a_login();
    the_secret_key_is_a_header_of_its_own();
    missing_keys_are_named();
    wrong_keys_are_refused_once();
    CHECK(sandbox_count("foreign_credential") == 0 && sandbox_count("needless_credential") == 0);
    return 0;
}
