/* Gets the headers for a MASV resource, with the user's configuration. Usage: quickstart packages/ID */
#include <inttypes.h>
#include <keyferry.h>
#include <stdio.h>

int main(int argc, char **argv) {
    keyferry_token *token;
    keyferry_error *error;
    keyferry_status status = masv_token_for(NULL, argc > 1 ? argv[1] : "user", &token, &error);
    if (status != KEYFERRY_OK) {
        fprintf(stderr, "%" PRId32 ": %s\n", status, keyferry_error_message(error));
        keyferry_error_free(error);
        return 1;
    }
    for (size_t i = 0; i < keyferry_token_header_count(token); i++) {
        /* Your HTTP client sends keyferry_token_header_value(token, i). It is a secret, so don't print it. */
        printf("%s: ...\n", keyferry_token_header_name(token, i));
    }
    printf("expires at %" PRId64 " (seconds since 1970)\n", keyferry_token_expires_unix_s(token));
    keyferry_token_free(token);
    return 0;
}
