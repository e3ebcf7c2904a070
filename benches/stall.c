/* Measures whether a running refresh delays look-ups. A user token enters its advisory refresh window, a login takes 200 ms, and one
 * thread looks up the token for 600 ms. Prints the number of look-ups, the time of the slowest one, the number that took more than 1 ms,
 * and whether the token was refreshed. */
#define _POSIX_C_SOURCE 200809L
#include "../c-tests/test.h"

#include <time.h>

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int main(void) {
    keyferry_session *session = open_session();
    keyferry_error *error = NULL;

    control("POST", "life", "{\"user\":1000}");
    keyferry_token_free(token_for(session, "user"));
    /* Moves the service's clock into the advisory window. The library learns of it from the Date header of the next response. */
    control("POST", "clock", "{\"advance_s\":900}");
    keyferry_token_free(token_for(session, "links/01J0SANDB0X11NK00000000001?secret=sandboxLinkSecret0001"));
    control("POST", "fault", "{\"service\":\"masv\",\"path\":\"/v1/auth\",\"kind\":\"nothing\",\"latency_ms\":200}");

    double begin = now_ns(), before = begin, slowest = 0, over = 0;
    uint64_t first = 0, last = 0;
    long look_ups = 0;
    while (before - begin < 600e6) {
        keyferry_token *token = NULL;
        SUCCEEDS(masv_token_for(session, "user", &token, &error));
        last = keyferry_token_generation(token);
        if (first == 0) first = last;
        keyferry_token_free(token);
        double after = now_ns();
        if (after - before > slowest) slowest = after - before;
        over += after - before > 1e6;
        before = after;
        look_ups++;
    }
    printf("look-ups during a refresh of 200 ms\t%ld\tslowest us\t%.1f\tover 1 ms\t%.0f\trefreshed\t%s\n", look_ups, slowest / 1000, over,
           last > first ? "yes" : "NO");
    keyferry_session_free(session);
    return last > first ? 0 : 1;
}
