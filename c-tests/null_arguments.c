/*
 * Every function with every pointer NULL in turn: the right status, NULL in the out-pointers, nothing crashes.
 *
 * A row is written so: all is well but the one NULL. tests/c_abi compares the functions named here with symbols.txt.
 */
#include "test.h"

static keyferry_session *session;
static keyferry_request *request;
static keyferry_error *error = POISON;

/* The call fails for its NULL, with and without a place for the detail. A variable `where` gets the error or is NULL. */
#define REFUSES_NULL(call)                                   \
    do {                                                     \
        keyferry_error **where = &error;                     \
        FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "is NULL", call);      \
        where = NULL;                                        \
        CHECK((call) == KEYFERRY_E_NULL_ARGUMENT);                    \
    } while (0)

static void accessors_and_frees_take_null(void) {
    CHECK(keyferry_error_status(NULL) == KEYFERRY_OK && keyferry_error_message(NULL) == NULL);
    CHECK(keyferry_error_http_status(NULL) == 0 && keyferry_error_service_code(NULL) == 0);
    CHECK(keyferry_error_retry_after_ms(NULL) == 0);
    CHECK(keyferry_token_header_count(NULL) == 0 && keyferry_token_value(NULL) == NULL);
    CHECK(keyferry_token_header_name(NULL, 0) == NULL && keyferry_token_header_value(NULL, 0) == NULL);
    CHECK(keyferry_token_service(NULL) == NULL && keyferry_token_kind(NULL) == 0);
    CHECK(keyferry_token_access(NULL) == KEYFERRY_ACCESS_ANY && keyferry_token_expires_unix_s(NULL) == 0);
    CHECK(keyferry_token_generation(NULL) == 0 && keyferry_token_details_json(NULL) == NULL);
    keyferry_text_free(NULL);
    keyferry_error_free(NULL);
    keyferry_config_free(NULL);
    keyferry_request_free(NULL);
    keyferry_request_cancel(NULL);
    keyferry_token_free(NULL);
    keyferry_session_free(NULL);
    CHECK(keyferry_status_text(KEYFERRY_E_NULL_ARGUMENT) != NULL && keyferry_version() != NULL);
    CHECK(keyferry_abi_version() == KEYFERRY_ABI_VERSION);
}

static void configurations_refuse_null(void) {
    keyferry_config *config = NULL;
    keyferry_config *out = POISON;
    REFUSES_NULL(keyferry_config_new(NULL, where));
    REFUSES_NULL(keyferry_config_load("/nowhere", NULL, where));
    SUCCEEDS(keyferry_config_new(&config, NULL));
    REFUSES_NULL(keyferry_config_set(NULL, "masv.email", "x", where));
    REFUSES_NULL(keyferry_config_set(config, NULL, "x", where));
    REFUSES_NULL(keyferry_config_set(config, "masv.email", NULL, where));
    CHECK(keyferry_config_load("/nowhere", &out, NULL) == KEYFERRY_E_CONFIG && out == NULL);
    SUCCEEDS(keyferry_config_load(NULL, &out, NULL));
    keyferry_config_free(config);
    keyferry_config_free(out);
}

static void requests_refuse_null(void) {
    keyferry_request *out = POISON;
    keyferry_token *token = POISON;
    REFUSES_NULL(keyferry_request_new(NULL, &out, where));
    CHECK(out == NULL);
    REFUSES_NULL(keyferry_request_new("user", NULL, where));
    REFUSES_NULL(keyferry_request_set_min_valid_s(NULL, 1, where));
    REFUSES_NULL(keyferry_request_set_access(NULL, KEYFERRY_ACCESS_ANY, where));
    REFUSES_NULL(keyferry_request_set_account(NULL, "default", where));
    SUCCEEDS(keyferry_request_set_account(request, NULL, NULL));
    REFUSES_NULL(keyferry_request_set_link_password(NULL, "x", where));
    SUCCEEDS(keyferry_request_set_link_password(request, NULL, NULL));
    REFUSES_NULL(keyferry_request_set_timeout_ms(NULL, 1, where));
    REFUSES_NULL(keyferry_request_set_login(NULL, "e", "p", where));
    REFUSES_NULL(keyferry_request_token(NULL, &token, where));
    CHECK(token == NULL);
    REFUSES_NULL(keyferry_request_token(request, NULL, where));
}

static void sessions_refuse_null(void) {
    keyferry_token *token = POISON;
    char *text = POISON;
    char line[4];
    size_t length;
    int32_t descriptor = 0;
    REFUSES_NULL(keyferry_session_open(NULL, NULL, where));
    REFUSES_NULL(keyferry_session_token_for(session, NULL, &token, where));
    CHECK(token == NULL);
    REFUSES_NULL(keyferry_session_token_for(session, request, NULL, where));
    REFUSES_NULL(keyferry_session_start(session, NULL, &descriptor, where));
    CHECK(descriptor == -1);
    REFUSES_NULL(keyferry_session_start(session, request, NULL, where));
    token = POISON;
    REFUSES_NULL(keyferry_session_cached(session, NULL, &token, where));
    CHECK(token == NULL);
    REFUSES_NULL(keyferry_session_cached(session, request, NULL, where));
    CHECK(keyferry_session_peek(session, NULL, line, sizeof line, &length) == KEYFERRY_E_NULL_ARGUMENT);
    CHECK(keyferry_session_peek(session, "user", NULL, sizeof line, &length) == KEYFERRY_E_NULL_ARGUMENT);
    CHECK(keyferry_session_peek(session, "user", line, sizeof line, NULL) == KEYFERRY_E_NOT_CACHED);
    REFUSES_NULL(keyferry_session_reject(session, NULL, where));
    REFUSES_NULL(keyferry_session_reject_value(session, NULL, "x", where));
    REFUSES_NULL(keyferry_session_reject_value(session, "user", NULL, where));
    REFUSES_NULL(keyferry_session_adopt(session, NULL, "x", KEYFERRY_NO_EXPIRY, where));
    REFUSES_NULL(keyferry_session_adopt(session, "packages/A", NULL, KEYFERRY_NO_EXPIRY, where));
    SUCCEEDS(keyferry_session_forget(session, NULL, NULL));
    REFUSES_NULL(keyferry_session_explain(session, NULL, &text, where));
    CHECK(text == NULL);
    REFUSES_NULL(keyferry_session_explain(session, "user", NULL, where));
    REFUSES_NULL(keyferry_session_list(session, NULL, where));
    REFUSES_NULL(keyferry_session_stats(session, NULL, where));
}

static void services_refuse_null(void) {
    keyferry_token *token = POISON;
    char *text = POISON;
    SUCCEEDS(masv_login(session, NULL, NULL, NULL, NULL));
    REFUSES_NULL(masv_token_for(session, NULL, &token, where));
    CHECK(token == NULL);
    REFUSES_NULL(masv_token_for(session, "user", NULL, where));
    REFUSES_NULL(masv_agent_session(session, NULL, where));
    SUCCEEDS(masv_agent_sign_in(session, NULL, NULL, NULL, NULL));
    REFUSES_NULL(masv_agent_sign_up(session, NULL, "p", "n", &text, where));
    CHECK(text == NULL);
    REFUSES_NULL(masv_agent_sign_up(session, "e", NULL, "n", &text, where));
    REFUSES_NULL(masv_agent_sign_up(session, "e", "p", NULL, &text, where));
    CHECK(masv_agent_sign_up(session, "e", "p", "n", NULL, NULL) == KEYFERRY_E_UNSUPPORTED);
    REFUSES_NULL(fileverbs_bearer(session, NULL, where));
    REFUSES_NULL(fileverbs_secret_key(session, NULL, where));
}

static void the_log_takes_null(void) {
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_DEBUG, NULL, NULL, NULL, NULL));
    REFUSES_NULL(keyferry_log_open_pipe(KEYFERRY_LOG_DEBUG, NULL, where));
}

/* Each function that takes a session: NULL is the default one. */
static void no_session_is_the_default_session(void) {
    keyferry_token *token = NULL, *cached = NULL;
    char *text = NULL;
    char line[17000];
    SUCCEEDS(masv_login(NULL, NULL, NULL, NULL, NULL));
    SUCCEEDS(keyferry_session_token_for(NULL, request, &token, NULL));
    SUCCEEDS(keyferry_session_cached(NULL, request, &cached, NULL));
    CHECK(keyferry_session_peek(NULL, "user", line, sizeof line, NULL) == KEYFERRY_OK);
    SUCCEEDS(keyferry_session_reject_value(NULL, "user", "x", NULL));
    SUCCEEDS(keyferry_session_reject(NULL, token, NULL));
    SUCCEEDS(keyferry_session_adopt(NULL, "packages/A", "x", KEYFERRY_NO_EXPIRY, NULL));
    SUCCEEDS(keyferry_session_forget(NULL, "packages/A", NULL));
    SUCCEEDS(keyferry_session_explain(NULL, "user", &text, NULL));
    keyferry_text_free(text);
    SUCCEEDS(keyferry_session_list(NULL, &text, NULL));
    keyferry_text_free(text);
    SUCCEEDS(keyferry_session_stats(NULL, &text, NULL));
    keyferry_text_free(text);
    SUCCEEDS(masv_agent_session(NULL, &text, NULL));
    keyferry_text_free(text);
    keyferry_token_free(token);
    keyferry_token_free(cached);
    SUCCEEDS(fileverbs_bearer(NULL, &token, NULL));
    keyferry_token_free(token);
    SUCCEEDS(fileverbs_secret_key(NULL, &token, NULL));
    keyferry_token_free(token);
}

int main(void) {
    error = NULL;
    session = open_session();
    SUCCEEDS(keyferry_request_new("user", &request, NULL));
    accessors_and_frees_take_null();
    configurations_refuse_null();
    requests_refuse_null();
    sessions_refuse_null();
    services_refuse_null();
    the_log_takes_null();
    no_session_is_the_default_session();
    keyferry_request_free(request);
    keyferry_session_free(session);
    return 0;
}
