/* The configuration object: file, then environment, then what the program sets. */
#include "test.h"

#include <sys/stat.h>

static char path[4096];

static const char *file_with(const char *text, mode_t mode) {
    FILE *file;
    sprintf(path, "%.4000s/config-test.toml", required_env("TEST_FOLDER"));
    file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    CHECK(chmod(path, mode) == 0);
    return path;
}

static void a_new_one_knows_no_secret(void) {
    keyferry_session *session = open_session_without_secrets();
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    FAILS(KEYFERRY_E_NOT_CONFIGURED, masv_token_for(session, "user", &token, &error));
    CHECK(token == NULL);
    CHECK(keyferry_config_new(NULL, NULL) == KEYFERRY_E_NULL_ARGUMENT);
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "config_out", keyferry_config_new(NULL, &error));
    keyferry_session_free(session);
}

static void a_file_is_read_under_the_environment(void) {
    /* The variable wins over the file's URL, the file's key stays, since no variable names one. */
    char text[256];
    keyferry_config *config = POISON;
    keyferry_session *session = NULL;
    keyferry_token *token;
    keyferry_error *error = POISON;
    sprintf(text, "[masv]\nurl = \"http://127.0.0.1:1\"\napi_key = '%.100s'\n", required_env("TEST_API_KEY"));
    SUCCEEDS(keyferry_config_load(file_with(text, 0600), &config, &error));
    SUCCEEDS(keyferry_session_open(config, &session, &error));
    keyferry_config_free(config);
    token = token_for(session, "user");
    CHECK_TEXT("X-API-KEY", keyferry_token_header_name(token, 0));
    CHECK_TEXT(required_env("TEST_API_KEY"), keyferry_token_value(token));
    keyferry_token_free(token);
    keyferry_session_free(session);
}

static void a_bad_file_is_named(void) {
    keyferry_config *config = POISON;
    keyferry_error *error = POISON;
    FAILS_SAYING(KEYFERRY_E_CONFIG, "config-test.toml", keyferry_config_load(file_with("[masv\n", 0600), &config, &error));
    CHECK(config == NULL);
    FAILS_SAYING(KEYFERRY_E_CONFIG, "masv.ulr", keyferry_config_load(file_with("[masv]\nulr = \"x\"\n", 0600), &config, &error));
    FAILS_SAYING(KEYFERRY_E_CONFIG, "/nowhere/at/all.toml", keyferry_config_load("/nowhere/at/all.toml", &config, &error));
    config = POISON;
    FAILS_SAYING(KEYFERRY_E_UNSAFE_FILE, "chmod",
                 keyferry_config_load(file_with("[masv]\napi_key = \"0123\"\n", 0644), &config, &error));
    CHECK(config == NULL);
    FAILS_SAYING(KEYFERRY_E_CONFIG, "does not exist", keyferry_config_load("/nowhere/\xff.toml", &config, &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "config_out", keyferry_config_load(NULL, NULL, &error));
    CHECK(keyferry_config_load(NULL, NULL, NULL) == KEYFERRY_E_NULL_ARGUMENT);
    CHECK(remove(path) == 0);
}

static void what_is_set_wins_and_is_literal(void) {
    keyferry_session *session = open_session_with("masv.api_key", "env:HOME");
    keyferry_token *token = token_for(session, "user");
    CHECK_TEXT("env:HOME", keyferry_token_value(token));
    keyferry_token_free(token);
    keyferry_session_free(session);
}

static void bad_settings_are_refused_and_change_nothing(void) {
    keyferry_config *config = POISON;
    keyferry_error *error = POISON;
    SUCCEEDS(keyferry_config_new(&config, &error));
    FAILS_SAYING(KEYFERRY_E_CONFIG, "masv.api_key", keyferry_config_set(config, "masv.apikey", "x", &error));
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "masv.api_key", keyferry_config_set(config, "masv.api_key", "a\r\nb", &error));
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "http.timeout_ms", keyferry_config_set(config, "http.timeout_ms", "soon", &error));
    FAILS_SAYING(KEYFERRY_E_NOT_UTF8, "value", keyferry_config_set(config, "masv.api_key", "\xff", &error));
    FAILS_SAYING(KEYFERRY_E_NOT_UTF8, "key", keyferry_config_set(config, "\xff", "x", &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "config", keyferry_config_set(NULL, "masv.api_key", "x", &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "key", keyferry_config_set(config, NULL, "x", &error));
    FAILS_SAYING(KEYFERRY_E_NULL_ARGUMENT, "value", keyferry_config_set(config, "masv.api_key", NULL, &error));
    CHECK(keyferry_config_set(config, "masv.api_key", NULL, NULL) == KEYFERRY_E_NULL_ARGUMENT);
    SUCCEEDS(keyferry_config_set(config, "http.timeout_ms", "1000", &error));
    SUCCEEDS(keyferry_config_set(config, "profile.second.masv.team", "second", NULL));
    keyferry_config_free(config);
    keyferry_config_free(NULL);
}

/* A session keeps what it needs: later changes of its configuration don't reach it. */
static void a_session_keeps_its_own_copy(void) {
    keyferry_config *config = NULL;
    keyferry_session *session = NULL;
    keyferry_error *error = NULL;
    keyferry_token *token;
    SUCCEEDS(keyferry_config_load(NULL, &config, &error));
    SUCCEEDS(keyferry_config_set(config, "masv.api_key", required_env("TEST_API_KEY"), &error));
    SUCCEEDS(keyferry_session_open(config, &session, &error));
    SUCCEEDS(keyferry_config_set(config, "masv.api_key", "another", &error));
    keyferry_config_free(config);
    token = token_for(session, "user");
    CHECK_TEXT(required_env("TEST_API_KEY"), keyferry_token_value(token));
    keyferry_token_free(token);
    keyferry_session_free(session);
}

int main(void) {
    a_new_one_knows_no_secret();
    a_file_is_read_under_the_environment();
    a_bad_file_is_named();
    what_is_set_wins_and_is_literal();
    bad_settings_are_refused_and_change_nothing();
    a_session_keeps_its_own_copy();
    return 0;
}
