/* Many threads, one session: one login for all, mixed calls without harm, a cancelled wait that ends at once. */
#include "test.h"

#include <pthread.h>
#include <time.h>

#define MAX_THREADS 64
#define MIXED_THREADS 8

static keyferry_session *session;
static pthread_barrier_t start;

static void run_threads(int count, void *(*body)(void *)) {
    pthread_t threads[MAX_THREADS];
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

static void *get_token_once(void *unused) {
    (void)unused;
    pthread_barrier_wait(&start);
    keyferry_token_free(token_for(session, "user"));
    return NULL;
}

static void many_that_miss_the_same_token_make_one_login(void) {
    session = open_session();
    run_threads(int_from_env("TEST_THREADS", MAX_THREADS), get_token_once);
    CHECK(sandbox_count("login") == 1);
    keyferry_session_free(session);
}

/* Whatever each does to the shared session, every answer is one that the header names. */
static void *call_everything(void *unused) {
    int rounds = int_from_env("TEST_ROUNDS", 200), round;
    char line[17000];
    (void)unused;
    pthread_barrier_wait(&start);
    for (round = 0; round < rounds; round++) {
        keyferry_token *token = POISON;
        keyferry_error *error = POISON;
        char *text = NULL;
        keyferry_status status = keyferry_session_peek(session, "user", line, sizeof line, NULL);
        CHECK(status == KEYFERRY_OK || status == KEYFERRY_E_NOT_CACHED);
        status = masv_token_for(session, round % 2 == 0 ? "user" : required_env("TEST_PACKAGE"), &token, &error);
        /* Refused only where others revoked fresh tokens faster than logins are made. */
        CHECK(status == KEYFERRY_OK || status == KEYFERRY_E_BAD_CREDENTIALS);
        CHECK((status == KEYFERRY_OK) == (token != NULL) && (status == KEYFERRY_OK) == (error == NULL));
        keyferry_error_free(error);
        if (token != NULL && round % 50 == 0) {
            sandbox_revoke(keyferry_token_value(token));
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
    run_threads(MIXED_THREADS, call_everything);
    keyferry_session_free(session);
}

struct cancellable_wait {
    keyferry_request *request;
    keyferry_status status;
    struct timespec end_time;
};

static void *wait_for_token(void *argument) {
    struct cancellable_wait *wait = argument;
    keyferry_token *token = POISON;
    wait->status = keyferry_session_token_for(session, wait->request, &token, NULL);
    clock_gettime(CLOCK_MONOTONIC, &wait->end_time);
    CHECK(wait->status == KEYFERRY_OK ? token != NULL : token == NULL);
    keyferry_token_free(token);
    return NULL;
}

static void begin_wait(struct cancellable_wait *wait, pthread_t *thread) {
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_request_new("user", &wait->request, &error));
    CHECK(pthread_create(thread, NULL, wait_for_token, wait) == 0);
}

static void a_cancelled_wait_ends_at_once_and_the_others_go_on(void) {
    struct cancellable_wait cancelled_wait, other_wait;
    struct timespec cancel_time;
    pthread_t cancelled_thread, other_thread;
    long before = sandbox_count("login");
    int64_t delay_ms;
    session = open_session();
    control("POST", "fault", "{\"path\": \"/v1/auth\", \"latency_ms\": 3000}");
    begin_wait(&cancelled_wait, &cancelled_thread);
    begin_wait(&other_wait, &other_thread);
    /* The login is on its way once the sandbox has seen it. Each question is a round trip: this needs no pause. */
    while (sandbox_count("login") == before) {
    }
    clock_gettime(CLOCK_MONOTONIC, &cancel_time);
    keyferry_request_cancel(cancelled_wait.request);
    CHECK(pthread_join(cancelled_thread, NULL) == 0);
    CHECK(cancelled_wait.status == KEYFERRY_E_CANCELLED);
    delay_ms = (int64_t)(cancelled_wait.end_time.tv_sec - cancel_time.tv_sec) * 1000 +
               (cancelled_wait.end_time.tv_nsec - cancel_time.tv_nsec) / 1000000;
    CHECK(delay_ms < 1000);
    CHECK(pthread_join(other_thread, NULL) == 0);
    CHECK(other_wait.status == KEYFERRY_OK);
    CHECK(sandbox_count("login") == before + 1);
    keyferry_request_free(cancelled_wait.request);
    keyferry_request_free(other_wait.request);
    keyferry_session_free(session);
}

int main(void) {
    alarm(120);
    many_that_miss_the_same_token_make_one_login();
    mixed_calls_do_no_harm();
    a_cancelled_wait_ends_at_once_and_the_others_go_on();
    return 0;
}
