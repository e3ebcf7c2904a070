/* Fills the user's store with made-up tokens of MASV packages: `fill COUNT`. Links the shared library. */
#include <keyferry.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 0;
    for (int at = 0; at < count; at++) {
        char resource[64];
        snprintf(resource, sizeof resource, "masv:packages/01FILL%08d", at);
        keyferry_error *error = NULL;
        if (keyferry_session_adopt(NULL, resource, "eyJhbGciOiJIUzI1NiJ9.e30.made-up", 4102444800, &error) != KEYFERRY_OK) {
            fprintf(stderr, "fill: %s\n", keyferry_error_message(error));
            return 1;
        }
    }
    return 0;
}
