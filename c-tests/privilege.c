/*
 * Uses keyferry in a process with raised privilege: the test gives this program the setuid or setgid bit, or file
 * capabilities.
 *
 *   program user           uses the user's configuration
 *   program new            uses a configuration with the settings in TEST_SETTINGS, one KEY=VALUE a line
 *   program load PATH      uses the configuration file PATH
 *
 * Prints one line: AT_SECURE, the status, and the error message or `ok`. Prints log messages at warning level to stderr.
 */
#include "test.h"

#include <sys/auxv.h>

static void set_all(keyferry_config *config) {
    keyferry_error *error = NULL;
    char *line = strdup(required_env("TEST_SETTINGS"));
    char *next;
    for (; line != NULL && *line != '\0'; line = next) {
        char *value = strchr(line, '=');
        next = strchr(line, '\n');
        CHECK(value != NULL && next != NULL);
        *value++ = '\0';
        *next++ = '\0';
        SUCCEEDS(keyferry_config_set(config, line, value, &error));
    }
}

static void finish(keyferry_status status, keyferry_error *error) {
    const char *message = keyferry_error_message(error);
    printf("secure %lu, status %d: %s\n", getauxval(AT_SECURE), (int)status, message == NULL ? "ok" : message);
    exit(0);
}

static void open_and_use(const keyferry_config *config) {
    keyferry_session *session = NULL;
    keyferry_token *token = NULL;
    keyferry_error *error = NULL;
    keyferry_status status = keyferry_session_open(config, &session, &error);
    if (status == KEYFERRY_OK) {
        status = masv_token_for(session, "user", &token, &error);
    }
    finish(status, error);
}

/* The user's configuration is refused in every function that would load it. */
static void use_users_configuration(void) {
    keyferry_token *token = NULL;
    keyferry_config *config = NULL;
    keyferry_session *session = NULL;
    keyferry_error *error = NULL;
    char line[256];
    keyferry_status status = masv_token_for(NULL, "user", &token, &error);
    if (status != KEYFERRY_OK) {
        FAILS_SAYING(status, "AT_SECURE", keyferry_config_load(NULL, &config, &error));
        FAILS_SAYING(status, "AT_SECURE", keyferry_session_open(NULL, &session, &error));
        CHECK(keyferry_session_peek(NULL, "user", line, sizeof line, NULL) == status);
        status = masv_token_for(NULL, "user", &token, &error);
    }
    finish(status, error);
}

static void print_message(int32_t level, const char *message, void *context) {
    (void)context;
    fprintf(stderr, "%d: %s\n", (int)level, message);
}

int main(int count, char **words) {
    keyferry_config *config = NULL;
    keyferry_error *error = NULL;
    CHECK(count > 1);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_WARN, print_message, NULL, NULL, &error));
    if (strcmp(words[1], "user") == 0) {
        use_users_configuration();
    } else if (strcmp(words[1], "new") == 0) {
        SUCCEEDS(keyferry_config_new(&config, &error));
        set_all(config);
        open_and_use(config);
    } else {
        keyferry_status status = keyferry_config_load(words[2], &config, &error);
        if (status != KEYFERRY_OK) {
            finish(status, error);
        }
        open_and_use(config);
    }
    return 1;
}
