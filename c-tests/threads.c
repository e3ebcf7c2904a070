/* Many threads, one session: one login for all, mixed calls without harm, a cancelled wait that ends at once. */
#include "test.h"

#include <pthread.h>
#include <time.h>

#define MANY 64
#define MIXED 8

static keyferry_session *session;
static pthread_barrier_t start;

static void run(int count, void *(*body)(void *)) {
    pthread_t threads[MANY];
    int i;
    CHECK(pthread_barrier_init(&start, NULL, (unsigned)count) == 0);
    for (i = 0; i < count; i++) {
        CHECK(pthread_create(&threads[i], NULL, body, NULL) == 0);
    }
    for (i = 0; i < count; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    pthread_barrier_destroy(&start);
}

static void *ask_once(void *unused) {
    (void)unused;
    pthread_barrier_wait(&start);
    keyferry_token_free(token_for(session, "user"));
    return NULL;
}

static void many_that_miss_the_same_token_make_one_login(void) {
    session = open_session();
    run(repeat("TEST_THREADS", MANY), ask_once);
    CHECK(counted("login") == 1);
    keyferry_session_free(session);
}

/* Whatever each does to the shared session, every answer is one that the header names. */
static void *ask_for_everything(void *unused) {
    int rounds = repeat("TEST_ROUNDS", 200), round;
    char line[17000];
    (void)unused;
    pthread_barrier_wait(&start);
    for (round = 0; round < rounds; round++) {
        keyferry_token *token = POISON;
        keyferry_error *error = POISON;
        char *text = NULL;
        keyferry_status status = keyferry_session_peek(session, "user", line, sizeof line, NULL);
        CHECK(status == KEYFERRY_OK || status == KEYFERRY_E_NOT_CACHED);
        status = masv_token_for(session, round % 2 == 0 ? "user" : need("TEST_PACKAGE"), &token, &error);
        /* Refused only where others rejected fresh tokens faster than logins are made. */
        CHECK(status == KEYFERRY_OK || status == KEYFERRY_E_BAD_CREDENTIALS);
        CHECK((status == KEYFERRY_OK) == (token != NULL) && (status == KEYFERRY_OK) == (error == NULL));
        keyferry_error_free(error);
        if (token != NULL && round % 50 == 0) {
            SUCCEEDS(keyferry_session_reject(session, token, &error));
        }
        keyferry_token_free(token);
        CHECK(keyferry_session_list(session, &text, NULL) == KEYFERRY_OK && text[0] == '[');
        keyferry_text_free(text);
        CHECK(keyferry_session_explain(session, "user", &text, NULL) == KEYFERRY_OK && text[0] == '{');
        keyferry_text_free(text);
    }
    return NULL;
}

static void mixed_calls_do_no_harm(void) {
    session = open_session();
    run(MIXED, ask_for_everything);
    keyferry_session_free(session);
}

struct wait {
    keyferry_request *request;
    keyferry_status status;
    struct timespec ended;
};

static void *wait_for_it(void *argument) {
    struct wait *wait = argument;
    keyferry_token *token = POISON;
    wait->status = keyferry_session_token_for(session, wait->request, &token, NULL);
    clock_gettime(CLOCK_MONOTONIC, &wait->ended);
    CHECK(wait->status == KEYFERRY_OK ? token != NULL : token == NULL);
    keyferry_token_free(token);
    return NULL;
}

static void begin(struct wait *wait, pthread_t *thread) {
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_request_new("user", &wait->request, &error));
    CHECK(pthread_create(thread, NULL, wait_for_it, wait) == 0);
}

static void a_cancelled_wait_ends_at_once_and_the_others_go_on(void) {
    struct wait leaves, stays;
    struct timespec cancelled;
    pthread_t leaving, staying;
    long before = counted("login");
    int64_t late_ms;
    session = open_session();
    control("POST", "fault", "{\"path\": \"/v1/auth\", \"latency_ms\": 3000}");
    begin(&leaves, &leaving);
    begin(&stays, &staying);
    /* The login is on its way once the sandbox has seen it. Each question is a round trip: this needs no pause. */
    while (counted("login") == before) {
    }
    clock_gettime(CLOCK_MONOTONIC, &cancelled);
    keyferry_request_cancel(leaves.request);
    CHECK(pthread_join(leaving, NULL) == 0);
    CHECK(leaves.status == KEYFERRY_E_CANCELLED);
    late_ms = (int64_t)(leaves.ended.tv_sec - cancelled.tv_sec) * 1000 + (leaves.ended.tv_nsec - cancelled.tv_nsec) / 1000000;
    CHECK(late_ms < 1000);
    CHECK(pthread_join(staying, NULL) == 0);
    CHECK(stays.status == KEYFERRY_OK);
    CHECK(counted("login") == before + 1);
    keyferry_request_free(leaves.request);
    keyferry_request_free(stays.request);
    keyferry_session_free(session);
}

int main(void) {
    alarm(120);
    many_that_miss_the_same_token_make_one_login();
    mixed_calls_do_no_harm();
    a_cancelled_wait_ends_at_once_and_the_others_go_on();
    return 0;
}
