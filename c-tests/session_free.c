/* Freeing a session while other threads use it: their calls end with KEYFERRY_E_CANCELLED. */
#include "test.h"

#include <pthread.h>
#include <time.h>

static const char *const CACHED = "transfers/MINE";

static keyferry_session *session;
static pthread_barrier_t start;

typedef keyferry_status one_call(void);

/* Waits for a login that never ends. */
static keyferry_status wait_for_login(void) {
    keyferry_token *token = POISON;
    keyferry_status status = masv_token_for(session, "user", &token, NULL);
    CHECK(token == NULL);
    return status;
}

static keyferry_status wait_with_a_request(void) {
    keyferry_request *request = NULL;
    keyferry_token *token = POISON;
    keyferry_status status;
    CHECK(keyferry_request_new("user", &request, NULL) == KEYFERRY_OK);
    status = keyferry_session_token_for(session, request, &token, NULL);
    CHECK(token == NULL);
    keyferry_request_free(request);
    return status;
}

static keyferry_status log_in(void) { return masv_login(session, NULL, NULL, NULL, NULL); }

static keyferry_status get_cached_token(void) {
    keyferry_token *token = POISON;
    keyferry_status status = masv_token_for(session, CACHED, &token, NULL);
    CHECK(status == KEYFERRY_OK ? strcmp(keyferry_token_value(token), "made.by.hand") == 0 : token == NULL);
    keyferry_token_free(token);
    return status;
}

static keyferry_status peek(void) {
    char line[64];
    size_t length = 0;
    keyferry_status status = keyferry_session_peek(session, CACHED, line, sizeof line, &length);
    CHECK(status != KEYFERRY_OK || strstr(line, "made.by.hand") != NULL);
    return status;
}

static keyferry_status list(void) {
    char *text = NULL;
    keyferry_status status = keyferry_session_list(session, &text, NULL);
    keyferry_text_free(text);
    return status;
}

static keyferry_status reject(void) { return keyferry_session_reject_value(session, "user", "x", NULL); }

static one_call *const CALLS[] = {wait_for_login, wait_with_a_request, log_in, get_cached_token, peek, list, reject};
#define THREADS (sizeof CALLS / sizeof CALLS[0])

/* Calls until the session is closed. Calls that begin after that get the same answer. */
static void *call_until_cancelled(void *call) {
    keyferry_status status;
    pthread_barrier_wait(&start);
    do {
        status = (*(one_call *const *)call)();
        CHECK(status == KEYFERRY_OK || status == KEYFERRY_E_CANCELLED);
    } while (status == KEYFERRY_OK);
    return NULL;
}

static void free_while_in_use(int pause_us) {
    pthread_t threads[THREADS];
    struct timespec pause = {0, 0};
    keyferry_error *error = NULL;
    size_t i;
    session = open_session_with("store", "memory");
    SUCCEEDS(keyferry_session_adopt(session, CACHED, "made.by.hand", KEYFERRY_NO_EXPIRY, &error));
    CHECK(pthread_barrier_init(&start, NULL, THREADS + 1) == 0);
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, call_until_cancelled, (void *)&CALLS[i]) == 0);
    }
    pthread_barrier_wait(&start);
    pause.tv_nsec = pause_us * 1000L;
    nanosleep(&pause, NULL);
    keyferry_session_free(session);
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    pthread_barrier_destroy(&start);
}

static void a_started_request_ends(void) {
    keyferry_request *request = NULL;
    keyferry_token *token = POISON;
    keyferry_error *error = NULL;
    int32_t descriptor = -1;
    char byte;
    session = open_session();
    SUCCEEDS(keyferry_request_new("user", &request, &error));
    SUCCEEDS(keyferry_session_start(session, request, &descriptor, &error));
    keyferry_session_free(session);
    CHECK(read(descriptor, &byte, 1) == 1 && close(descriptor) == 0);
    FAILS_SAYING(KEYFERRY_E_CANCELLED, "closed", keyferry_request_token(request, &token, &error));
    FAILS_SAYING(KEYFERRY_E_CANCELLED, "closed", keyferry_session_token_for(session, request, &token, &error));
    keyferry_session_free(session);
    keyferry_request_free(request);
}

int main(void) {
    int rounds = int_from_env("TEST_ROUNDS", 1000), round;
    alarm(170);
    control("POST", "fault", "{\"path\": \"/v1/auth\", \"kind\": \"hang\", \"times\": \"forever\"}");
    for (round = 0; round < rounds; round++) {
        free_while_in_use(round % 50 * 100);
    }
    a_started_request_ends();
    return 0;
}
