/* The error object: every detail of a failure, and nothing without one. */
#include "test.h"

static void no_error_has_no_detail(void) {
    CHECK(keyferry_error_status(NULL) == KEYFERRY_OK);
    CHECK(keyferry_error_message(NULL) == NULL);
    CHECK(keyferry_error_http_status(NULL) == 0);
    CHECK(keyferry_error_service_code(NULL) == 0);
    CHECK(keyferry_error_retry_after_ms(NULL) == 0);
    keyferry_error_free(NULL);
}

static void a_local_error_has_no_answer_behind_it(void) {
    keyferry_request *request = POISON;
    keyferry_error *error = POISON;
    CHECK(keyferry_request_new("", &request, &error) == KEYFERRY_E_INVALID_RESOURCE);
    CHECK(request == NULL);
    CHECK(keyferry_error_status(error) == KEYFERRY_E_INVALID_RESOURCE);
    CHECK(keyferry_error_message(error) != NULL && keyferry_error_message(error) == keyferry_error_message(error));
    CHECK(keyferry_error_http_status(error) == 0);
    CHECK(keyferry_error_service_code(error) == 0);
    CHECK(keyferry_error_retry_after_ms(error) == 0);
    keyferry_error_free(error);
}

static void the_agents_own_number_comes_through(void) {
    keyferry_session *session = open_session();
    keyferry_error *error = POISON;
    char *text = POISON;
    CHECK(masv_agent_session(session, &text, &error) == KEYFERRY_E_LOGIN_REQUIRED);
    CHECK(text == NULL);
    /* The error outlives its session. */
    keyferry_session_free(session);
    CHECK(keyferry_error_http_status(error) == 401);
    CHECK(keyferry_error_service_code(error) == 262146);
    CHECK(keyferry_error_retry_after_ms(error) == 0);
    keyferry_error_free(error);
}

static void a_refusal_has_its_http_status_and_no_secret(void) {
    keyferry_session *session = open_session();
    keyferry_error *error = POISON;
    CHECK(masv_login(session, required_env("KEYFERRY_MASV_EMAIL"), "wr0ng-Canary", NULL, &error) == KEYFERRY_E_BAD_CREDENTIALS);
    CHECK(keyferry_error_http_status(error) == 401);
    CHECK(strstr(keyferry_error_message(error), "Canary") == NULL);
    keyferry_error_free(error);
    keyferry_session_free(session);
}

static void throttling_says_when_to_come_back(void) {
    keyferry_session *session = open_session();
    keyferry_error *error = POISON;
    control("POST", "fault", "{\"path\": \"/v1/auth\", \"status\": 429, \"retry_after\": \"600\", \"times\": \"forever\"}");
    CHECK(masv_login(session, NULL, NULL, NULL, &error) == KEYFERRY_E_THROTTLED);
    CHECK(keyferry_error_http_status(error) == 429);
    CHECK(keyferry_error_retry_after_ms(error) > 590000 && keyferry_error_retry_after_ms(error) <= 600000);
    keyferry_error_free(error);
    control("DELETE", "faults", "");
    keyferry_session_free(session);
}

/* A host prints messages on a terminal: no control character of the caller's gets into one. */
static void messages_hold_no_control_character(void) {
    keyferry_config *config = POISON;
    keyferry_error *error = POISON;
    const char *at;
    CHECK(keyferry_config_load("/nowhere/\033[31m\n/config.toml", &config, &error) == KEYFERRY_E_CONFIG);
    CHECK(config == NULL);
    for (at = keyferry_error_message(error); *at != '\0'; at++) {
        CHECK((unsigned char)*at >= ' ' && *at != 0x7f);
    }
    keyferry_error_free(error);
}

int main(void) {
    no_error_has_no_detail();
    a_local_error_has_no_answer_behind_it();
    the_agents_own_number_comes_through();
    a_refusal_has_its_http_status_and_no_secret();
    throttling_says_when_to_come_back();
    messages_hold_no_control_character();
    return 0;
}
