/*
 * What is left of secrets in the process's memory: nothing of a password once the login is over, however it ended, and nothing of a
 * token once it is forgotten. A token in use is found, so that the search is known to work.
 */
#include "test.h"

#include <stdint.h>

enum { MASK = 0x55, MAX_SECRET_BYTES = 4096 };

/* A secret that is not in memory as it is. */
typedef struct {
    size_t length;
    unsigned char bytes[MAX_SECRET_BYTES];
} masked_secret;

static masked_secret mask_secret(const char *secret) {
    masked_secret masked;
    size_t i;
    masked.length = strlen(secret);
    CHECK(masked.length > 8 && masked.length < MAX_SECRET_BYTES);
    for (i = 0; i < masked.length; i++) masked.bytes[i] = (unsigned char)secret[i] ^ MASK;
    return masked;
}

static void unmask(const masked_secret *secret, char *out) {
    size_t i;
    for (i = 0; i < secret->length; i++) out[i] = (char)(secret->bytes[i] ^ MASK);
    out[i] = '\0';
}

static void wipe(void *memory, size_t length) {
    volatile char *byte = memory;
    while (length-- > 0) *byte++ = 0;
}

static int is_at(const masked_secret *secret, const unsigned char *memory) {
    size_t i;
    for (i = 0; i < secret->length; i++) {
        if ((memory[i] ^ MASK) != secret->bytes[i]) return 0;
    }
    return 1;
}

/* How often it stands in memory that can be written. Searched where it is: a copy would be found itself. */
static int count_in_memory(const masked_secret *secret) {
    char line[512];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        const unsigned char *at;
        char access[8];
        CHECK(sscanf(line, "%lx-%lx %7s", &begin, &end, access) == 3);
        if (strncmp(access, "rw", 2) != 0 || end - begin < secret->length) continue;
        for (at = (const unsigned char *)(uintptr_t)begin; at <= (const unsigned char *)(uintptr_t)end - secret->length; at++) {
            count += (*at ^ MASK) == secret->bytes[0] && is_at(secret, at);
        }
    }
    fclose(maps);
    return count;
}

/* Takes a secret out of the environment that the driver set. */
static void wipe_from_environment(const masked_secret *secret, const char *name) {
    char *value = getenv(name);
    if (value != NULL && strlen(value) == secret->length) wipe(value, secret->length);
}

/* Logs in with the password, and keeps no copy of it. */
static keyferry_status log_in(const keyferry_session *session, const masked_secret *password, keyferry_token **token) {
    char shown[MAX_SECRET_BYTES];
    keyferry_status status;
    unmask(password, shown);
    status = masv_login(session, required_env("KEYFERRY_MASV_EMAIL"), shown, token, NULL);
    wipe(shown, sizeof shown);
    return status;
}

static void a_password_is_gone_however_the_login_ended(const keyferry_session *session, const masked_secret *password) {
    static const char *const faults[] = {
        "{\"path\":\"/v1/auth\",\"kind\":\"status\",\"status\":401}", "{\"path\":\"/v1/auth\",\"kind\":\"status\",\"status\":503}",
        "{\"path\":\"/v1/auth\",\"kind\":\"half\"}", "{\"path\":\"/v1/auth\",\"kind\":\"reset\"}"};
    size_t i;
    for (i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        control("POST", "fault", faults[i]);
        CHECK(log_in(session, password, NULL) != KEYFERRY_OK);
        CHECK(count_in_memory(password) == 0);
    }
    CHECK(log_in(session, password, NULL) == KEYFERRY_OK);
    CHECK(count_in_memory(password) == 0);
}

static void a_token_is_gone_once_it_is_forgotten(const keyferry_session *session, const masked_secret *password) {
    keyferry_token *token = NULL;
    keyferry_error *error = NULL;
    masked_secret value;
    CHECK(log_in(session, password, &token) == KEYFERRY_OK);
    value = mask_secret(keyferry_token_header_value(token, 0));
    keyferry_token_free(token);
    CHECK(count_in_memory(&value) > 0);
    SUCCEEDS(keyferry_session_forget(session, NULL, &error));
    CHECK(count_in_memory(&value) == 0);
}

int main(void) {
    keyferry_session *session = open_session_without_secrets();
    masked_secret password = mask_secret(required_env("KEYFERRY_MASV_PASSWORD"));
    CHECK(count_in_memory(&password) > 0);
    wipe_from_environment(&password, "KEYFERRY_MASV_PASSWORD");
    wipe_from_environment(&password, "TEST_PASSWORD");
    CHECK(count_in_memory(&password) == 0);
    a_password_is_gone_however_the_login_ended(session, &password);
    a_token_is_gone_once_it_is_forgotten(session, &password);
    keyferry_session_free(session);
    return 0;
}
