/* A planted fault: the library reads an object after it was freed. The address sanitizer must find that. */
#include "../test.h"

int main(void) {
    keyferry_request *request = NULL;
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_request_new("user", &request, &error));
    keyferry_request_free(request);
    keyferry_request_cancel(request);
    return 0;
}
