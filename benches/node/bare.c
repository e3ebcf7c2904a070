/* Baseline functions for koffi calls. `five` has the parameters of keyferry_session_peek and copies a header line with a token of
 * 600 bytes. `four` has the parameters of masv_token_for and returns that line. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NAME "X-Package-Token: "

static char line[sizeof(NAME) + 600];

__attribute__((constructor)) static void fill(void) {
    memset(line, 'a', sizeof line - 1);
    memcpy(line, NAME, sizeof(NAME) - 1);
}

const char *five(const void *session, const char *resource, char *buffer, size_t capacity, size_t *length) {
    (void)session, (void)resource, (void)capacity;
    memcpy(buffer, line, sizeof line);
    *length = sizeof line - 1;
    return buffer;
}

const char *four(const void *session, const char *resource, void **token, void **error) {
    (void)session, (void)resource;
    *token = *error = NULL;
    return line;
}
