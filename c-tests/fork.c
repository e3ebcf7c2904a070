/* Forks from a parent with busy threads: an old handle says so at once, NULL and a session of the child's own work. */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define BUSY_THREADS 8

static keyferry_session *session;
static keyferry_request *request;
static keyferry_token *parent_token;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int stop;

static int is_stopped(void) {
    int now;
    pthread_mutex_lock(&lock);
    now = stop;
    pthread_mutex_unlock(&lock);
    return now;
}

static void *use_both_sessions(void *unused) {
    (void)unused;
    while (!is_stopped()) {
        char *text = NULL;
        keyferry_token_free(token_for(session, "user"));
        keyferry_token_free(token_for(NULL, "user"));
        CHECK(keyferry_session_list(session, &text, NULL) == KEYFERRY_OK);
        keyferry_text_free(text);
        CHECK(keyferry_session_forget(session, "user", NULL) == KEYFERRY_OK);
    }
    return NULL;
}

static void handles_of_the_parent_are_refused(void) {
    keyferry_token *token = POISON;
    keyferry_error *error = POISON;
    char *text = POISON;
    char line[64];
    FAILS_SAYING(KEYFERRY_E_FORKED, "fork", masv_token_for(session, "user", &token, &error));
    CHECK(token == NULL);
    FAILS(KEYFERRY_E_FORKED, masv_login(session, NULL, NULL, NULL, &error));
    FAILS(KEYFERRY_E_FORKED, fileverbs_bearer(session, &token, &error));
    FAILS(KEYFERRY_E_FORKED, fileverbs_secret_key(session, &token, &error));
    FAILS(KEYFERRY_E_FORKED, masv_agent_session(session, &text, &error));
    CHECK(text == NULL);
    FAILS(KEYFERRY_E_FORKED, masv_agent_sign_in(session, NULL, NULL, NULL, &error));
    FAILS(KEYFERRY_E_FORKED, masv_agent_sign_up(session, "e", "p", "n", NULL, &error));
    FAILS(KEYFERRY_E_FORKED, keyferry_session_token_for(session, request, &token, &error));
    FAILS(KEYFERRY_E_FORKED, keyferry_session_cached(session, request, &token, &error));
    FAILS(KEYFERRY_E_FORKED, keyferry_session_reject(session, parent_token, &error));
    FAILS(KEYFERRY_E_FORKED, keyferry_session_reject_value(session, "user", "x", &error));
    FAILS(KEYFERRY_E_FORKED, keyferry_session_adopt(session, "packages/A", "x", KEYFERRY_NO_EXPIRY, &error));
    FAILS(KEYFERRY_E_FORKED, keyferry_session_forget(session, NULL, &error));
    FAILS(KEYFERRY_E_FORKED, keyferry_session_explain(session, "user", &text, &error));
    FAILS(KEYFERRY_E_FORKED, keyferry_session_list(session, &text, &error));
    FAILS(KEYFERRY_E_FORKED, keyferry_session_stats(session, &text, &error));
    CHECK(keyferry_session_peek(session, "user", line, sizeof line, NULL) == KEYFERRY_E_FORKED);
    FAILS_SAYING(KEYFERRY_E_FORKED, "request", keyferry_session_token_for(NULL, request, &token, &error));
    /* Harmless: nothing happens, nothing is freed that the parent's threads held. */
    keyferry_request_cancel(request);
    keyferry_request_free(request);
    keyferry_session_free(session);
}

static void what_is_made_here_works(void) {
    keyferry_session *own_session;
    keyferry_request *own_request = NULL;
    keyferry_token *token = NULL;
    keyferry_error *error = NULL;
    /* A token is a value: the parent's is still one. */
    CHECK(keyferry_token_value(parent_token) != NULL);
    token = token_for(NULL, "user");
    CHECK(keyferry_token_kind(token) == KEYFERRY_TOKEN_KIND_USER);
    keyferry_token_free(token);
    own_session = open_session();
    SUCCEEDS(keyferry_request_new("user", &own_request, &error));
    SUCCEEDS(keyferry_session_token_for(own_session, own_request, &token, &error));
    CHECK(http_status_with_token(token, required_env("KEYFERRY_MASV_URL"), "GET", "/v1/teams") == 200);
    keyferry_token_free(token);
    keyferry_request_free(own_request);
    keyferry_session_free(own_session);
    keyferry_token_free(parent_token);
}

static void fork_once(void) {
    int status = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(20);
        handles_of_the_parent_are_refused();
        what_is_made_here_works();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) {
        fail_check(__FILE__, __LINE__, "a child ended by",
                   WTERMSIG(status) == SIGALRM ? "its alarm: it hung" : strsignal(WTERMSIG(status)));
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
    pthread_t threads[BUSY_THREADS];
    keyferry_error *error = NULL;
    int forks = int_from_env("TEST_FORKS", 100), i;
    alarm(300);
    session = open_session();
    SUCCEEDS(keyferry_request_new("user", &request, &error));
    parent_token = token_for(session, "user");
    for (i = 0; i < BUSY_THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, use_both_sessions, NULL) == 0);
    }
    for (i = 0; i < forks; i++) {
        fork_once();
    }
    pthread_mutex_lock(&lock);
    stop = 1;
    pthread_mutex_unlock(&lock);
    for (i = 0; i < BUSY_THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    /* The parent is as it was. */
    keyferry_token_free(token_for(session, "user"));
    keyferry_token_free(parent_token);
    keyferry_request_free(request);
    keyferry_session_free(session);
    return 0;
}
