/* Texts that the library gives: each is the caller's own until it is freed. */
#include "test.h"

int main(void) {
    keyferry_session *session = open_session();
    keyferry_error *error = NULL;
    char *first = POISON;
    char *second = POISON;
    keyferry_text_free(NULL);
    SUCCEEDS(keyferry_session_stats(session, &first, &error));
    SUCCEEDS(keyferry_session_stats(session, &second, NULL));
    CHECK(first != NULL && second != NULL && first != second);
    keyferry_session_free(session);
    /* They outlive the session, and freeing one leaves the other. */
    CHECK(first[0] == '{');
    keyferry_text_free(first);
    CHECK(second[0] == '{');
    keyferry_text_free(second);
    return 0;
}
