/* The log switch: messages go to one function, which must not call back. */
#include "test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

struct journal {
    pthread_mutex_t lock;
    int messages, freed;
    int32_t most;
    int reentrant, out_was_null;
    int found_secret;
};

static void note(int32_t level, const char *message, void *data) {
    struct journal *journal = data;
    keyferry_config *config = POISON;
    int32_t status = keyferry_config_new(&config, NULL);
    pthread_mutex_lock(&journal->lock);
    journal->messages++;
    journal->most = level > journal->most ? level : journal->most;
    journal->reentrant += status == KEYFERRY_E_REENTRANT;
    journal->out_was_null += config == NULL;
    journal->found_secret += message == NULL || strstr(message, need("KEYFERRY_MASV_PASSWORD")) != NULL;
    pthread_mutex_unlock(&journal->lock);
}

static void finish(void *data) {
    struct journal *journal = data;
    journal->freed++;
}

static void log_in(void) {
    keyferry_session *session = open_session();
    keyferry_error *error = NULL;
    SUCCEEDS(masv_login(session, NULL, NULL, NULL, &error));
    CHECK(masv_login(session, NULL, "wrong", NULL, NULL) == KEYFERRY_E_BAD_CREDENTIALS);
    keyferry_session_free(session);
}

static void begin(struct journal *journal) {
    memset(journal, 0, sizeof *journal);
    CHECK(pthread_mutex_init(&journal->lock, NULL) == 0);
}

static void messages_come_and_hold_no_secret(void) {
    struct journal journal;
    keyferry_error *error = POISON;
    begin(&journal);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_DEBUG, note, &journal, finish, &error));
    log_in();
    CHECK(journal.messages > 0 && journal.freed == 0);
    CHECK(journal.most >= KEYFERRY_LOG_INFO && journal.most <= KEYFERRY_LOG_DEBUG);
    CHECK(journal.found_secret == 0);
    /* Each call back from inside was turned away. */
    CHECK(journal.reentrant == journal.messages);
    CHECK(journal.out_was_null == journal.messages);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, &error));
    CHECK(journal.freed == 1);
    journal.messages = 0;
    log_in();
    CHECK(journal.messages == 0 && journal.freed == 1);
}

static void the_level_is_kept(void) {
    struct journal quiet, off;
    keyferry_error *error = POISON;
    begin(&quiet);
    begin(&off);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_ERROR, note, &quiet, finish, &error));
    log_in();
    CHECK(quiet.most <= KEYFERRY_LOG_ERROR);
    /* The next one replaces it and ends it. */
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, note, &off, finish, NULL));
    CHECK(quiet.freed == 1);
    log_in();
    CHECK(off.messages == 0);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, &off, finish, &error));
    /* Once for the one that was replaced, once for what came with the call. */
    CHECK(off.freed == 2);
}

static void another_level_is_refused_and_data_stays_the_callers(void) {
    struct journal journal;
    keyferry_error *error = POISON;
    begin(&journal);
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "level", keyferry_log_set_callback(KEYFERRY_LOG_DEBUG + 1, note, &journal, finish, &error));
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "level", keyferry_log_set_callback(-1, note, &journal, finish, &error));
    CHECK(keyferry_log_set_callback(99, NULL, &journal, finish, NULL) == KEYFERRY_E_INVALID_VALUE);
    CHECK(journal.freed == 0);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_INFO, note, &journal, NULL, &error));
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_INFO, NULL, NULL, NULL, &error));
    CHECK(journal.freed == 0);
}

static void replace_from_inside(int32_t level, const char *message, void *data) {
    struct journal *journal = data;
    keyferry_error *error = POISON;
    (void)level;
    (void)message;
    FAILS(KEYFERRY_E_REENTRANT, keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, journal, finish, &error));
    pthread_mutex_lock(&journal->lock);
    journal->reentrant++;
    pthread_mutex_unlock(&journal->lock);
}

static void it_cannot_be_replaced_from_inside(void) {
    struct journal journal;
    keyferry_error *error = POISON;
    begin(&journal);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_DEBUG, replace_from_inside, &journal, NULL, &error));
    log_in();
    CHECK(journal.reentrant > 0 && journal.freed == 0);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, &error));
}

static void fork_inside(int32_t level, const char *message, void *data) {
    int *good = data;
    int status = -1;
    pid_t child;
    (void)level;
    (void)message;
    if (*good > 0) return;
    child = fork();
    if (child == 0) {
        keyferry_config *config = NULL;
        int fine = keyferry_config_new(&config, NULL) == KEYFERRY_OK;
        keyferry_config_free(config);
        fine = fine && keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, NULL) == KEYFERRY_OK;
        /* Another program instead of an end: what the parent's threads held is no leak of this one's. */
        if (fine) execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    *good += status == 0;
}

static void a_child_forked_inside_is_not_inside(void) {
    int good = 0;
    keyferry_error *error = POISON;
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_INFO, fork_inside, &good, NULL, &error));
    log_in();
    CHECK(good > 0);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, &error));
}

int main(void) {
    messages_come_and_hold_no_secret();
    the_level_is_kept();
    another_level_is_refused_and_data_stays_the_callers();
    it_cannot_be_replaced_from_inside();
    a_child_forked_inside_is_not_inside();
    return 0;
}
