/* After every kind of failure the same handles work as before. */
#include "test.h"

struct failure_case {
    const char *fault; /* how the sandbox answers the login */
    keyferry_status status;
};

/* What a login may meet. A login is never sent twice by itself, so one hit is enough; throttling names a far time. */
static const struct failure_case failure_cases[] = {
    {"{\"path\": \"/v1/auth\", \"status\": 400}", KEYFERRY_E_BAD_CREDENTIALS},
    {"{\"path\": \"/v1/auth\", \"status\": 401}", KEYFERRY_E_BAD_CREDENTIALS},
    {"{\"path\": \"/v1/auth\", \"status\": 401, \"body\": \"html\"}", KEYFERRY_E_BAD_CREDENTIALS},
    {"{\"path\": \"/v1/auth\", \"status\": 403, \"body\": \"empty\"}", KEYFERRY_E_BAD_CREDENTIALS},
    {"{\"path\": \"/v1/auth\", \"status\": 429, \"retry_after\": \"700\"}", KEYFERRY_E_THROTTLED},
    {"{\"path\": \"/v1/auth\", \"status\": 500}", KEYFERRY_E_UNAVAILABLE},
    {"{\"path\": \"/v1/auth\", \"status\": 502, \"body\": \"html\"}", KEYFERRY_E_UNAVAILABLE},
    {"{\"path\": \"/v1/auth\", \"status\": 503, \"body\": \"empty\"}", KEYFERRY_E_UNAVAILABLE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"redirect\", \"status\": 301, \"to\": \"http://127.0.0.1:1/\"}", KEYFERRY_E_REDIRECTED},
    {"{\"path\": \"/v1/auth\", \"kind\": \"redirect\", \"status\": 307, \"to\": \"/redirect-target\"}", KEYFERRY_E_REDIRECTED},
    {"{\"path\": \"/v1/auth\", \"kind\": \"empty\"}", KEYFERRY_E_BAD_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"null\"}", KEYFERRY_E_BAD_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"wrong_types\"}", KEYFERRY_E_BAD_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"deep\", \"levels\": 100000}", KEYFERRY_E_BAD_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"huge\", \"bytes\": 67108864}", KEYFERRY_E_BAD_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"endless\"}", KEYFERRY_E_BAD_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"token\", \"token\": \"a\\r\\nX-Evil: 1\"}", KEYFERRY_E_BAD_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"token\", \"token\": \"\"}", KEYFERRY_E_BAD_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"literal\", \"media_type\": \"text/html\", \"body\": \"<html>\"}", KEYFERRY_E_BAD_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"half\"}", KEYFERRY_E_NO_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"close\"}", KEYFERRY_E_NO_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"reset\"}", KEYFERRY_E_NO_RESPONSE},
    {"{\"path\": \"/v1/auth\", \"kind\": \"lost\"}", KEYFERRY_E_NO_RESPONSE},
};

static void still_works(const keyferry_session *session, keyferry_request *request) {
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    SUCCEEDS(masv_login(session, NULL, NULL, NULL, &error));
    SUCCEEDS(keyferry_session_token_for(session, request, &token, &error));
    CHECK(http_status_with_token(token, required_env("KEYFERRY_MASV_URL"), "GET", "/v1/teams") == 200);
    keyferry_token_free(token);
    SUCCEEDS(keyferry_session_forget(session, NULL, &error));
}

static void after_every_answer_of_the_service(const keyferry_session *session, keyferry_request *request) {
    keyferry_token *token;
    keyferry_error *error;
    size_t i;
    for (i = 0; i < sizeof failure_cases / sizeof failure_cases[0]; i++) {
        keyferry_status status;
        control("POST", "fault", failure_cases[i].fault);
        token = POISON;
        error = POISON;
        status = keyferry_session_token_for(session, request, &token, &error);
        if (status != failure_cases[i].status) {
            fprintf(stderr, "%s: expected %d\n", failure_cases[i].fault, (int)failure_cases[i].status);
        }
        FAILS(failure_cases[i].status, status);
        CHECK(token == NULL);
        control("DELETE", "faults", "");
        SUCCEEDS(keyferry_session_forget(session, NULL, &error));
        still_works(session, request);
    }
    CHECK(sandbox_count("redirect_target") == 0);
}

/* What is wrong on this side of the wire. */
static void after_every_local_failure(const keyferry_session *session, keyferry_request *request) {
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    char line[4];
    FAILS(KEYFERRY_E_NULL_ARGUMENT, masv_token_for(session, NULL, &token, &error));
    FAILS(KEYFERRY_E_NOT_UTF8, masv_token_for(session, "\xff", &token, &error));
    FAILS(KEYFERRY_E_INVALID_RESOURCE, masv_token_for(session, "", &token, &error));
    FAILS(KEYFERRY_E_UNKNOWN_SERVICE, masv_token_for(session, "https://elsewhere.example/", &token, &error));
    FAILS(KEYFERRY_E_NO_HEADER, masv_token_for(session, "agent:session", &token, &error));
    FAILS(KEYFERRY_E_NOT_CACHED, keyferry_session_cached(session, request, &token, &error));
    FAILS(KEYFERRY_E_INVALID_VALUE, keyferry_session_adopt(session, "packages/A", "", 0, &error));
    FAILS(KEYFERRY_E_INVALID_VALUE, keyferry_request_set_access(request, 77, &error));
    FAILS(KEYFERRY_E_INVALID_VALUE, keyferry_request_set_timeout_ms(request, 600001, &error));
    FAILS(KEYFERRY_E_NOT_UTF8, keyferry_request_set_account(request, "\xff", &error));
    keyferry_token_free(token_for(session, "user"));
    CHECK(keyferry_session_peek(session, "user", line, sizeof line, NULL) == KEYFERRY_E_BUFFER_TOO_SMALL);
    still_works(session, request);
}

static void after_a_missed_deadline(const keyferry_session *session, keyferry_request *request) {
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    control("POST", "fault", "{\"path\": \"/v1/auth\", \"kind\": \"hang\"}");
    SUCCEEDS(keyferry_request_set_timeout_ms(request, 100, &error));
    FAILS(KEYFERRY_E_TIMEOUT, keyferry_session_token_for(session, request, &token, &error));
    CHECK(token == NULL);
    SUCCEEDS(keyferry_request_set_timeout_ms(request, 0, &error));
    SUCCEEDS(keyferry_session_forget(session, NULL, &error));
    still_works(session, request);
}

/* A configuration that refused a value, and one that could not be opened, are as good as before. */
static void after_a_refused_setting(void) {
    keyferry_config *config = NULL;
    keyferry_session *session = POISON;
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_config_load(NULL, &config, &error));
    FAILS(KEYFERRY_E_CONFIG, keyferry_config_set(config, "no.such.key", "x", &error));
    FAILS(KEYFERRY_E_INVALID_VALUE, keyferry_config_set(config, "masv.password", "a\nb", &error));
    SUCCEEDS(keyferry_session_open(config, &session, &error));
    keyferry_token_free(token_for(session, "user"));
    keyferry_session_free(session);
    keyferry_config_free(config);
}

int main(void) {
    keyferry_session *session = open_session();
    keyferry_request *request = NULL;
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_request_new("user", &request, &error));
    after_every_answer_of_the_service(session, request);
    after_every_local_failure(session, request);
    after_a_missed_deadline(session, request);
    after_a_refused_setting();
    keyferry_request_free(request);
    keyferry_session_free(session);
    return 0;
}
