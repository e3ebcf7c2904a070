/* The MASV Agent: its session is state inside it, so there is a text to give and no token. */
#include "test.h"

static void nobody_is_signed_in_at_first(const keyferry_session *session) {
    char *text = POISON;
    keyferry_error *error = POISON;
    FAILS_SAYING(KEYFERRY_E_LOGIN_REQUIRED, "Agent", masv_agent_session(session, &text, &error));
    CHECK(text == NULL);
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "text_out", masv_agent_session(session, NULL, &error));
    CHECK(masv_agent_session(session, NULL, NULL) == KEYFERRY_E_NULL_ARGUMENT);
}

static void wrong_credentials_are_refused(const keyferry_session *session) {
    char *text = POISON;
    keyferry_error *error = POISON;
    FAILS(KEYFERRY_E_BAD_CREDENTIALS, masv_agent_sign_in(session, required_env("KEYFERRY_MASV_EMAIL"), "wrong", &text, &error));
    CHECK(text == NULL);
    FAILS(KEYFERRY_E_NOT_UTF8, masv_agent_sign_in(session, "\xff", "x", &text, &error));
    FAILS(KEYFERRY_E_NOT_UTF8, masv_agent_sign_in(session, "x", "\xff", &text, &error));
}

static void signing_in_tells_who_it_is(const keyferry_session *session) {
    char *text = POISON;
    keyferry_error *error = POISON;
    SUCCEEDS(masv_agent_sign_in(session, NULL, NULL, &text, &error));
    CHECK_CONTAINS(text, "\"user\"");
    CHECK_CONTAINS(text, "\"teams\"");
    keyferry_text_free(text);
    SUCCEEDS(masv_agent_sign_in(session, required_env("KEYFERRY_MASV_EMAIL"), required_env("KEYFERRY_MASV_PASSWORD"), NULL, NULL));
    SUCCEEDS(masv_agent_session(session, &text, &error));
    CHECK_CONTAINS(text, required_env("KEYFERRY_MASV_EMAIL"));
    CHECK_CONTAINS(text, required_env("KEYFERRY_MASV_TEAM"));
    CHECK(strstr(text, required_env("KEYFERRY_MASV_PASSWORD")) == NULL);
    keyferry_text_free(text);
}

static void signing_in_without_credentials_says_what_is_missing(void) {
    keyferry_session *session = open_session_without_secrets();
    char *text = POISON;
    keyferry_error *error = POISON;
    FAILS_SAYING(KEYFERRY_E_NOT_CONFIGURED, "masv.email", masv_agent_sign_in(session, NULL, NULL, &text, &error));
    CHECK(text == NULL);
    keyferry_session_free(session);
}

static void signing_up_is_for_old_agents(const keyferry_session *session) {
    char *text = POISON;
    keyferry_error *error = POISON;
    FAILS(KEYFERRY_E_UNSUPPORTED, masv_agent_sign_up(session, "new@example.com", "pass word", "New", &text, &error));
    CHECK(text == NULL);
    control("POST", "configure", "{\"legacy\": true}");
    SUCCEEDS(masv_agent_sign_up(session, "new@example.com", "pass word", "New One", &text, &error));
    CHECK_CONTAINS(text, "new@example.com");
    keyferry_text_free(text);
    FAILS(KEYFERRY_E_BAD_CREDENTIALS, masv_agent_sign_up(session, "new@example.com", "pass word", "Again", NULL, &error));
    text = POISON;
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "email", masv_agent_sign_up(session, NULL, "p", "n", &text, &error));
    CHECK(text == NULL);
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "password", masv_agent_sign_up(session, "e", NULL, "n", &text, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "name", masv_agent_sign_up(session, "e", "p", NULL, &text, &error));
    FAILS_SAYING(KEYFERRY_E_NOT_UTF8, "name", masv_agent_sign_up(session, "e", "p", "\xff", &text, &error));
    control("POST", "configure", "{\"legacy\": false}");
}

static void no_agent_is_told_with_the_way_to_start_it(void) {
    keyferry_session *session = open_session_with("agent.url", "http://127.0.0.1:1");
    char *text = POISON;
    keyferry_error *error = POISON;
    FAILS_SAYING(KEYFERRY_E_UNREACHABLE, "start", masv_agent_session(session, &text, &error));
    CHECK(text == NULL);
    keyferry_session_free(session);
}

static void faults_are_told_apart(const keyferry_session *session) {
    char *text = POISON;
    keyferry_error *error = POISON;
    control("POST", "fault", "{\"service\": \"agent\", \"kind\": \"redirect\", \"to\": \"http://127.0.0.1:1/\", \"times\": \"forever\"}");
    FAILS(KEYFERRY_E_REDIRECTED, masv_agent_session(session, &text, &error));
    CHECK(text == NULL);
    control("DELETE", "faults", "");
    control("POST", "fault", "{\"service\": \"agent\", \"status\": 500, \"body\": \"html\", \"times\": \"forever\"}");
    FAILS(KEYFERRY_E_UNAVAILABLE, masv_agent_session(session, &text, &error));
    control("DELETE", "faults", "");
    control("POST", "fault", "{\"service\": \"agent\", \"kind\": \"null\", \"times\": \"forever\"}");
    FAILS(KEYFERRY_E_BAD_RESPONSE, masv_agent_session(session, &text, &error));
    control("DELETE", "faults", "");
    control("POST", "fault", "{\"service\": \"agent\", \"kind\": \"close\", \"times\": \"forever\"}");
    FAILS(KEYFERRY_E_NO_RESPONSE, masv_agent_session(session, &text, &error));
    control("DELETE", "faults", "");
    SUCCEEDS(masv_agent_session(session, &text, &error));
    keyferry_text_free(text);
}

int main(void) {
    keyferry_session *session = open_session();
    nobody_is_signed_in_at_first(session);
    wrong_credentials_are_refused(session);
    signing_in_tells_who_it_is(session);
    signing_in_without_credentials_says_what_is_missing();
    signing_up_is_for_old_agents(session);
    no_agent_is_told_with_the_way_to_start_it();
    faults_are_told_apart(session);
    CHECK(sandbox_count("agent_credential_header") == 0);
    keyferry_session_free(session);
    return 0;
}
