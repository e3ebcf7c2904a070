/* The status numbers: each says itself in words, and no number is without words. */
#include "test.h"

static const keyferry_status statuses[] = {
    KEYFERRY_OK,
    KEYFERRY_E_NULL_ARGUMENT,
    KEYFERRY_E_NOT_UTF8,
    KEYFERRY_E_INVALID_VALUE,
    KEYFERRY_E_INVALID_RESOURCE,
    KEYFERRY_E_UNKNOWN_SERVICE,
    KEYFERRY_E_NO_HEADER,
    KEYFERRY_E_MULTIPLE_HEADERS,
    KEYFERRY_E_BUFFER_TOO_SMALL,
    KEYFERRY_E_CANCELLED,
    KEYFERRY_E_TIMEOUT,
    KEYFERRY_E_FORKED,
    KEYFERRY_E_REENTRANT,
    KEYFERRY_E_PANIC,
    KEYFERRY_E_CONFIG,
    KEYFERRY_E_NOT_CONFIGURED,
    KEYFERRY_E_UNSAFE_FILE,
    KEYFERRY_E_SECRET_SOURCE,
    KEYFERRY_E_NOT_CACHED,
    KEYFERRY_E_BUSY,
    KEYFERRY_E_STORE,
    KEYFERRY_E_UNREACHABLE,
    KEYFERRY_E_TLS,
    KEYFERRY_E_NO_RESPONSE,
    KEYFERRY_E_BAD_CREDENTIALS,
    KEYFERRY_E_LOGIN_REQUIRED,
    KEYFERRY_E_NOT_FOUND,
    KEYFERRY_E_INSUFFICIENT_ACCESS,
    KEYFERRY_E_THROTTLED,
    KEYFERRY_E_UNAVAILABLE,
    KEYFERRY_E_BAD_RESPONSE,
    KEYFERRY_E_REDIRECTED,
    KEYFERRY_E_UNSUPPORTED,
    KEYFERRY_E_PLUGIN,
};
static const size_t status_count = sizeof statuses / sizeof statuses[0];

static void each_has_words_of_its_own(void) {
    size_t i, j;
    for (i = 0; i < status_count; i++) {
        const char *text = keyferry_status_text(statuses[i]);
        CHECK(text != NULL && *text != '\0');
        CHECK(text == keyferry_status_text(statuses[i]));
        CHECK(strstr(text, "unknown status") == NULL || statuses[i] == KEYFERRY_E_NOT_FOUND);
        for (j = 0; j < i; j++) {
            CHECK(statuses[i] != statuses[j]);
            CHECK(strcmp(text, keyferry_status_text(statuses[j])) != 0);
        }
    }
}

static void unknown_numbers_have_words_too(void) {
    static const keyferry_status unknown[] = {-1, 1, 100, 999, INT32_MAX, INT32_MIN};
    size_t i;
    for (i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        CHECK_CONTAINS(keyferry_status_text(unknown[i]), "newer library");
    }
}

int main(void) {
    each_has_words_of_its_own();
    unknown_numbers_have_words_too();
    return 0;
}
