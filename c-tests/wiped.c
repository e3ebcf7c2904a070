/*
 * What is left of secrets in the process's memory: nothing of a password once the login is over, however it ended, and nothing of a
 * token once it is forgotten. A token in use is found, so that the search is known to work.
 */
#include "test.h"

#include <stdint.h>

enum { MASK = 0x55, LONGEST = 4096 };

/* A secret that is not in memory as it is. */
typedef struct {
    size_t length;
    unsigned char masked[LONGEST];
} needle;

static needle hide(const char *secret) {
    needle hidden;
    size_t i;
    hidden.length = strlen(secret);
    CHECK(hidden.length > 8 && hidden.length < LONGEST);
    for (i = 0; i < hidden.length; i++) hidden.masked[i] = (unsigned char)secret[i] ^ MASK;
    return hidden;
}

static void show(const needle *hidden, char *out) {
    size_t i;
    for (i = 0; i < hidden->length; i++) out[i] = (char)(hidden->masked[i] ^ MASK);
    out[i] = '\0';
}

static void wipe(void *place, size_t length) {
    volatile char *byte = place;
    while (length-- > 0) *byte++ = 0;
}

static int is_at(const needle *hidden, const unsigned char *place) {
    size_t i;
    for (i = 0; i < hidden->length; i++) {
        if ((place[i] ^ MASK) != hidden->masked[i]) return 0;
    }
    return 1;
}

/* How often it stands in memory that can be written. Searched where it is: a copy would be found itself. */
static int found(const needle *hidden) {
    char line[512];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        const unsigned char *at;
        char access[8];
        CHECK(sscanf(line, "%lx-%lx %7s", &begin, &end, access) == 3);
        if (strncmp(access, "rw", 2) != 0 || end - begin < hidden->length) continue;
        for (at = (const unsigned char *)(uintptr_t)begin; at <= (const unsigned char *)(uintptr_t)end - hidden->length; at++) {
            count += (*at ^ MASK) == hidden->masked[0] && is_at(hidden, at);
        }
    }
    fclose(maps);
    return count;
}

/* Takes a secret out of the environment that the driver set. */
static void take_out(const needle *hidden, const char *name) {
    char *value = getenv(name);
    if (value != NULL && strlen(value) == hidden->length) wipe(value, hidden->length);
}

/* Logs in with the password, and keeps no copy of it. */
static keyferry_status log_in(const keyferry_session *session, const needle *password, keyferry_token **token) {
    char shown[LONGEST];
    keyferry_status status;
    show(password, shown);
    status = masv_login(session, need("KEYFERRY_MASV_EMAIL"), shown, token, NULL);
    wipe(shown, sizeof shown);
    return status;
}

static void a_password_is_gone_however_the_login_ended(const keyferry_session *session, const needle *password) {
    static const char *const faults[] = {
        "{\"path\":\"/v1/auth\",\"kind\":\"status\",\"status\":401}", "{\"path\":\"/v1/auth\",\"kind\":\"status\",\"status\":503}",
        "{\"path\":\"/v1/auth\",\"kind\":\"half\"}", "{\"path\":\"/v1/auth\",\"kind\":\"reset\"}"};
    size_t i;
    for (i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        control("POST", "fault", faults[i]);
        CHECK(log_in(session, password, NULL) != KEYFERRY_OK);
        CHECK(found(password) == 0);
    }
    CHECK(log_in(session, password, NULL) == KEYFERRY_OK);
    CHECK(found(password) == 0);
}

static void a_token_is_gone_once_it_is_forgotten(const keyferry_session *session, const needle *password) {
    keyferry_token *token = NULL;
    keyferry_error *error = NULL;
    needle value;
    CHECK(log_in(session, password, &token) == KEYFERRY_OK);
    value = hide(keyferry_token_header_value(token, 0));
    keyferry_token_free(token);
    CHECK(found(&value) > 0);
    SUCCEEDS(keyferry_session_forget(session, NULL, &error));
    CHECK(found(&value) == 0);
}

int main(void) {
    keyferry_session *session = open_session_without_secrets();
    needle password = hide(need("KEYFERRY_MASV_PASSWORD"));
    CHECK(found(&password) > 0);
    take_out(&password, "KEYFERRY_MASV_PASSWORD");
    take_out(&password, "TEST_PASSWORD");
    CHECK(found(&password) == 0);
    a_password_is_gone_however_the_login_ended(session, &password);
    a_token_is_gone_once_it_is_forgotten(session, &password);
    keyferry_session_free(session);
    return 0;
}
