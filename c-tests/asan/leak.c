/* A planted fault: objects of the library are never freed. The leak sanitizer must find that. */
#include "../test.h"

int main(void) {
    /* A register or the stack may still point to the last object, and then that object does not count as a leak. */
    int i;
    for (i = 0; i < 10; i++) {
        keyferry_request *request = NULL;
        keyferry_error *error = NULL;
        SUCCEEDS(keyferry_request_new("user", &request, &error));
    }
    return 0;
}
