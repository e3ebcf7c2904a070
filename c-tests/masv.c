/* MASV cloud by the names that callers look for: every kind of token, each proven by the call that it is for. */
#include "test.h"

static const char *url;

/* Gets a token and makes the call that it is for. */
static void gets_and_uses(const keyferry_session *session, const char *resource, const char *header, const char *path) {
    keyferry_token *token = token_for(session, resource);
    CHECK_TEXT(header, keyferry_token_header_name(token, 0));
    CHECK(http_status_with_token(token, url, "GET", path) == 200);
    keyferry_token_free(token);
}

static void a_login_gives_the_users_token(void) {
    keyferry_session *session = open_session_without_secrets();
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    long before = sandbox_count("login");
    SUCCEEDS(masv_login(session, required_env("KEYFERRY_MASV_EMAIL"), required_env("KEYFERRY_MASV_PASSWORD"), &token, &error));
    CHECK(keyferry_token_kind(token) == KEYFERRY_TOKEN_KIND_USER);
    CHECK_CONTAINS(keyferry_token_details_json(token), "\"teams\"");
    keyferry_token_free(token);
    CHECK(sandbox_count("login") == before + 1);
    /* From here on the account is logged in. */
    gets_and_uses(session, "user", "X-User-Token", "/v1/teams");
    CHECK(sandbox_count("login") == before + 1);
    /* Always one request, also where a login is there. */
    SUCCEEDS(masv_login(session, required_env("KEYFERRY_MASV_EMAIL"), required_env("KEYFERRY_MASV_PASSWORD"), NULL, NULL));
    CHECK(sandbox_count("login") == before + 2);
    keyferry_session_free(session);
}

static void a_login_takes_what_is_configured(void) {
    keyferry_session *session = open_session();
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    SUCCEEDS(masv_login(session, NULL, NULL, &token, &error));
    keyferry_token_free(token);
    SUCCEEDS(masv_login(session, required_env("KEYFERRY_MASV_EMAIL"), NULL, NULL, &error));
    keyferry_session_free(session);
}

static void a_login_without_credentials_says_what_is_missing(void) {
    keyferry_session *session = open_session_without_secrets();
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    FAILS_SAYING(KEYFERRY_E_NOT_CONFIGURED, "masv.email", masv_login(session, NULL, NULL, &token, &error));
    CHECK(token == NULL);
    token = POISON;
    FAILS_SAYING(KEYFERRY_E_NOT_CONFIGURED, "masv.password", masv_login(session, "me@example.com", NULL, &token, &error));
    CHECK(token == NULL);
    FAILS(KEYFERRY_E_NOT_UTF8, masv_login(session, "\xff", "x", &token, &error));
    FAILS(KEYFERRY_E_NOT_UTF8, masv_login(session, "x", "\xff", &token, &error));
    keyferry_session_free(session);
}

static void a_refused_login_is_asked_again_only_if_the_caller_says_so(void) {
    keyferry_session *session = open_session_with("masv.password", "wrong");
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    long before = sandbox_count("login");
    int i;
    for (i = 0; i < 20; i++) {
        token = POISON;
        FAILS(KEYFERRY_E_BAD_CREDENTIALS, masv_token_for(session, "user", &token, &error));
        CHECK(token == NULL);
    }
    CHECK(sandbox_count("login") == before + 1);
    FAILS(KEYFERRY_E_BAD_CREDENTIALS, masv_login(session, NULL, NULL, &token, &error));
    CHECK(sandbox_count("login") == before + 2);
    SUCCEEDS(masv_login(session, NULL, required_env("KEYFERRY_MASV_PASSWORD"), &token, &error));
    keyferry_token_free(token);
    keyferry_session_free(session);
}

static void accounts_that_need_a_key_are_told_so(void) {
    keyferry_session *session = open_session();
    keyferry_error *error = POISON;
    FAILS_SAYING(KEYFERRY_E_BAD_CREDENTIALS, "API key", masv_login(session, "mfa@example.com", "any", NULL, &error));
    FAILS_SAYING(KEYFERRY_E_BAD_CREDENTIALS, "API key", masv_login(session, "sso@example.com", "any", NULL, &error));
    keyferry_session_free(session);
}

static void every_resource_gets_the_header_that_it_takes(void) {
    keyferry_session *session = open_session();
    char path[512], resource[512];
    gets_and_uses(session, "user", "X-User-Token", "/v1/teams");
    sprintf(path, "/v1/%.200s/files", required_env("TEST_PACKAGE"));
    gets_and_uses(session, required_env("TEST_PACKAGE"), "X-Package-Token", path);
    sprintf(resource, "%.200s/v1/%.200s/files", url, required_env("TEST_PACKAGE"));
    gets_and_uses(session, resource, "X-Package-Token", path);
    gets_and_uses(session, required_env("TEST_LINK"), "X-Package-Token", path);
    sprintf(resource, "%.200s/%.200s", required_env("TEST_PACKAGE"), required_env("TEST_TRANSFER"));
    sprintf(path, "/v1/%.200s", required_env("TEST_TRANSFER"));
    gets_and_uses(session, resource, "X-Transfer-Token", path);
    gets_and_uses(session, required_env("TEST_TRANSFER"), "X-Transfer-Token", path);
    keyferry_session_free(session);
    CHECK(sandbox_count("two_credentials") == 0 && sandbox_count("foreign_credential") == 0 && sandbox_count("wrong_variant") == 0);
}

static void a_key_comes_before_a_login(void) {
    keyferry_session *session = open_session_with("masv.api_key", required_env("TEST_API_KEY"));
    long before = sandbox_count("login");
    gets_and_uses(session, "user", "X-API-KEY", "/v1/teams");
    keyferry_token_free(token_for(session, required_env("TEST_PACKAGE")));
    CHECK(sandbox_count("login") == before);
    keyferry_session_free(session);
}

static void a_bad_resource_is_told_by_its_reason(void) {
    keyferry_session *session = open_session();
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    char download[512];
    FAILS(KEYFERRY_E_INVALID_RESOURCE, masv_token_for(session, "", &token, &error));
    CHECK(token == NULL);
    token = POISON;
    FAILS_SAYING(KEYFERRY_E_INVALID_RESOURCE, "did you mean `packages/01ABC`?", masv_token_for(session, "packges/01ABC", &token, &error));
    CHECK(token == NULL);
    FAILS_SAYING(KEYFERRY_E_INVALID_RESOURCE, "`fileverbs:bearer`", masv_token_for(session, "fileverbs:beerer", &token, &error));
    token = POISON;
    FAILS(KEYFERRY_E_UNKNOWN_SERVICE, masv_token_for(session, "https://elsewhere.example/v1/packages/A", &token, &error));
    CHECK(token == NULL);
    FAILS(KEYFERRY_E_NO_HEADER, masv_token_for(session, "agent:session", &token, &error));
    FAILS(KEYFERRY_E_NOT_FOUND, masv_token_for(session, "packages/01J0SANDB0XN0SVCHPACKAGE", &token, &error));
    FAILS(KEYFERRY_E_NOT_FOUND, masv_token_for(session, "packages/A/transfers/B", &token, &error));
    FAILS(KEYFERRY_E_BAD_CREDENTIALS, masv_token_for(session, required_env("TEST_LINK_WITH_WRONG_SECRET"), &token, &error));
    sprintf(download, "masv:/v1/%.200s/files/%.100s/download", required_env("TEST_PACKAGE"), required_env("TEST_FILE"));
    FAILS_SAYING(KEYFERRY_E_INSUFFICIENT_ACCESS, "link", masv_token_for(session, download, &token, &error));
    FAILS_SAYING(KEYFERRY_E_NOT_UTF8, "resource", masv_token_for(session, "\xff", &token, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "resource", masv_token_for(session, NULL, &token, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "token_out", masv_token_for(session, "user", NULL, &error));
    keyferry_session_free(session);
}

static void no_connection_is_told(void) {
    keyferry_session *session = open_session_with("masv.url", "http://127.0.0.1:1");
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    FAILS(KEYFERRY_E_UNREACHABLE, masv_token_for(session, "user", &token, &error));
    CHECK(token == NULL);
    keyferry_session_free(session);
}

static void the_default_session_works_by_itself(void) {
    gets_and_uses(NULL, "user", "X-User-Token", "/v1/teams");
    gets_and_uses(NULL, "user", "X-User-Token", "/v1/teams");
}

int main(void) {
    url = required_env("KEYFERRY_MASV_URL");
    a_login_gives_the_users_token();
    a_login_takes_what_is_configured();
    a_login_without_credentials_says_what_is_missing();
    a_refused_login_is_asked_again_only_if_the_caller_says_so();
    accounts_that_need_a_key_are_told_so();
    every_resource_gets_the_header_that_it_takes();
    a_key_comes_before_a_login();
    a_bad_resource_is_told_by_its_reason();
    no_connection_is_told();
    the_default_session_works_by_itself();
    return 0;
}
