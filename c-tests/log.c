/* The log: messages go to one function, which must not call back, or to a pipe. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

struct log_record {
    pthread_mutex_t lock;
    int messages, freed;
    int32_t highest_level;
    int reentrant, out_was_null, no_pipe;
    int secrets_found, requests_found;
};

/* Whether a message has a credential, the secret of a link, or a token: all tokens of the sandbox begin with `eyJ`. */
static int has_secret(const char *message) {
    static const char *const secrets[] = {"KEYFERRY_MASV_PASSWORD", "KEYFERRY_FILEVERBS_SECRET_KEY", "KEYFERRY_FILEVERBS_API_KEY"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (strstr(message, required_env(secrets[i])) != NULL) return 1;
    return strstr(message, "secret=") != NULL || strstr(message, "eyJ") != NULL;
}

static void record_message(int32_t level, const char *message, void *user_data) {
    struct log_record *record = user_data;
    keyferry_config *config = POISON;
    int32_t status = keyferry_config_new(&config, NULL), descriptor = 0;
    pthread_mutex_lock(&record->lock);
    record->messages++;
    record->highest_level = level > record->highest_level ? level : record->highest_level;
    record->reentrant += status == KEYFERRY_E_REENTRANT;
    record->out_was_null += config == NULL;
    record->no_pipe += keyferry_log_open_pipe(KEYFERRY_LOG_DEBUG, &descriptor, NULL) == KEYFERRY_E_REENTRANT && descriptor == -1;
    record->secrets_found += message == NULL || has_secret(message);
    record->requests_found += strstr(message, ": GET http://") != NULL || strstr(message, ": POST http://") != NULL;
    pthread_mutex_unlock(&record->lock);
}

static void count_free(void *user_data) {
    struct log_record *record = user_data;
    record->freed++;
}

static void log_in(void) {
    keyferry_session *session = open_session();
    keyferry_error *error = NULL;
    SUCCEEDS(masv_login(session, NULL, NULL, NULL, &error));
    CHECK(masv_login(session, NULL, "wrong", NULL, NULL) == KEYFERRY_E_BAD_CREDENTIALS);
    keyferry_session_free(session);
}

static void fetch_each_kind(void) {
    const char *const resources[] = {"user", required_env("TEST_LINK"), required_env("TEST_PACKAGE"), "fileverbs:bearer", "fileverbs:secret-key"};
    keyferry_session *session = open_session();
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        keyferry_request *request = NULL;
        keyferry_token *token = NULL;
        keyferry_error *error = NULL;
        SUCCEEDS(keyferry_request_new(resources[i], &request, &error));
        SUCCEEDS(keyferry_session_token_for(session, request, &token, &error));
        keyferry_token_free(token);
        keyferry_request_free(request);
    }
    keyferry_session_free(session);
}

static void init_record(struct log_record *record) {
    memset(record, 0, sizeof *record);
    CHECK(pthread_mutex_init(&record->lock, NULL) == 0);
}

static void messages_come_and_hold_no_secret(void) {
    struct log_record record;
    keyferry_error *error = POISON;
    init_record(&record);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_DEBUG, record_message, &record, count_free, &error));
    log_in();
    fetch_each_kind();
    CHECK(record.messages > 0 && record.freed == 0);
    CHECK(record.requests_found >= 4);
    CHECK(record.highest_level >= KEYFERRY_LOG_INFO && record.highest_level <= KEYFERRY_LOG_DEBUG);
    CHECK(record.secrets_found == 0);
    /* Each call back from inside was turned away. */
    CHECK(record.reentrant == record.messages);
    CHECK(record.out_was_null == record.messages && record.no_pipe == record.messages);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, &error));
    CHECK(record.freed == 1);
    record.messages = 0;
    log_in();
    CHECK(record.messages == 0 && record.freed == 1);
}

static void the_level_is_kept(void) {
    struct log_record quiet, off;
    keyferry_error *error = POISON;
    init_record(&quiet);
    init_record(&off);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_ERROR, record_message, &quiet, count_free, &error));
    log_in();
    CHECK(quiet.highest_level <= KEYFERRY_LOG_ERROR);
    /* The next one replaces it and ends it. */
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, record_message, &off, count_free, NULL));
    CHECK(quiet.freed == 1);
    log_in();
    CHECK(off.messages == 0);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, &off, count_free, &error));
    /* Once for the one that was replaced, once for what came with the call. */
    CHECK(off.freed == 2);
}

static void another_level_is_refused_and_data_stays_the_callers(void) {
    struct log_record record;
    keyferry_error *error = POISON;
    init_record(&record);
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "level",
                 keyferry_log_set_callback(KEYFERRY_LOG_DEBUG + 1, record_message, &record, count_free, &error));
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "level",
                 keyferry_log_set_callback(-1, record_message, &record, count_free, &error));
    CHECK(keyferry_log_set_callback(99, NULL, &record, count_free, NULL) == KEYFERRY_E_INVALID_VALUE);
    CHECK(record.freed == 0);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_INFO, record_message, &record, NULL, &error));
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_INFO, NULL, NULL, NULL, &error));
    CHECK(record.freed == 0);
}

/* Reads what is in the pipe. The result ends in NUL. */
static void read_pipe(int descriptor, char *text, size_t size) {
    ssize_t count = read(descriptor, text, size - 1);
    CHECK(count > 0);
    text[count] = 0;
}

static void a_pipe_gets_lines_until_another_sink_replaces_it(void) {
    struct log_record record;
    keyferry_error *error = POISON;
    int32_t descriptor = 0, other = 0;
    char text[65536];
    init_record(&record);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_DEBUG, record_message, &record, count_free, &error));
    SUCCEEDS(keyferry_log_open_pipe(KEYFERRY_LOG_DEBUG, &descriptor, &error));
    CHECK(descriptor >= 0 && record.freed == 1);
    CHECK(read(descriptor, text, sizeof text) == -1 && errno == EAGAIN);
    log_in();
    read_pipe(descriptor, text, sizeof text);
    CHECK(text[1] == ' ' && strstr(text, "3 acquired ") != NULL && strstr(text, "\n4 ") != NULL);
    CHECK(text[strlen(text) - 1] == '\n' && strstr(text, required_env("KEYFERRY_MASV_PASSWORD")) == NULL);

    SUCCEEDS(keyferry_log_open_pipe(KEYFERRY_LOG_ERROR, &other, &error));
    log_in();
    CHECK(read(descriptor, text, sizeof text) == 0 && close(descriptor) == 0);
    CHECK(read(other, text, sizeof text) == -1 && errno == EAGAIN);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, &error));
    CHECK(read(other, text, sizeof text) == 0 && close(other) == 0);
    FAILS_SAYING(KEYFERRY_E_INVALID_VALUE, "level", keyferry_log_open_pipe(5, &other, &error));
    CHECK(other == -1);
}

static void a_pipe_that_nobody_reads_holds_up_nothing(void) {
    keyferry_error *error = POISON;
    int32_t descriptor = 0;
    SUCCEEDS(keyferry_log_open_pipe(KEYFERRY_LOG_DEBUG, &descriptor, &error));
    CHECK(close(descriptor) == 0);
    log_in();
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, &error));
}

static void replace_from_inside(int32_t level, const char *message, void *user_data) {
    struct log_record *record = user_data;
    keyferry_error *error = POISON;
    (void)level;
    (void)message;
    FAILS(KEYFERRY_E_REENTRANT, keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, record, count_free, &error));
    pthread_mutex_lock(&record->lock);
    record->reentrant++;
    pthread_mutex_unlock(&record->lock);
}

static void it_cannot_be_replaced_from_inside(void) {
    struct log_record record;
    keyferry_error *error = POISON;
    init_record(&record);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_DEBUG, replace_from_inside, &record, NULL, &error));
    log_in();
    CHECK(record.reentrant > 0 && record.freed == 0);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, &error));
}

static void fork_inside(int32_t level, const char *message, void *user_data) {
    int *children_passed = user_data;
    int status = -1;
    pid_t child;
    (void)level;
    (void)message;
    if (*children_passed > 0) return;
    child = fork();
    if (child == 0) {
        keyferry_config *config = NULL;
        int passed = keyferry_config_new(&config, NULL) == KEYFERRY_OK;
        keyferry_config_free(config);
        passed = passed && keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, NULL) == KEYFERRY_OK;
        /* Another program instead of an end: what the parent's threads held is no leak of this one's. */
        if (passed) execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    *children_passed += status == 0;
}

static void a_child_forked_inside_is_not_inside(void) {
    int children_passed = 0;
    keyferry_error *error = POISON;
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_INFO, fork_inside, &children_passed, NULL, &error));
    log_in();
    CHECK(children_passed > 0);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, &error));
}

#define LOGGING_THREADS 4

static int stop_logging;
static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER;

static void ignore_message(int32_t level, const char *message, void *user_data) {
    (void)level;
    (void)message;
    (void)user_data;
}

static void *replace_the_callback(void *unused) {
    int stop = 0;
    (void)unused;
    while (!stop) {
        CHECK(keyferry_log_set_callback(KEYFERRY_LOG_DEBUG, ignore_message, NULL, NULL, NULL) == KEYFERRY_OK);
        pthread_mutex_lock(&stop_lock);
        stop = stop_logging;
        pthread_mutex_unlock(&stop_lock);
    }
    return NULL;
}

/* The log's lock may be held by another thread of the parent while it forks. */
static void a_child_sets_its_own_callback(void) {
    pthread_t threads[LOGGING_THREADS];
    int i;
    for (i = 0; i < LOGGING_THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, replace_the_callback, NULL) == 0);
    }
    for (i = 0; i < int_from_env("TEST_FORKS", 500); i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
            keyferry_session *session = NULL;
            alarm(20);
            if (keyferry_log_set_callback(KEYFERRY_LOG_DEBUG, ignore_message, NULL, NULL, NULL) != KEYFERRY_OK) _exit(1);
            /* Writes a message. */
            session = open_session();
            keyferry_session_free(session);
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    pthread_mutex_lock(&stop_lock);
    stop_logging = 1;
    pthread_mutex_unlock(&stop_lock);
    for (i = 0; i < LOGGING_THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, NULL) == KEYFERRY_OK);
}

int main(void) {
    messages_come_and_hold_no_secret();
    the_level_is_kept();
    another_level_is_refused_and_data_stays_the_callers();
    a_pipe_gets_lines_until_another_sink_replaces_it();
    a_pipe_that_nobody_reads_holds_up_nothing();
    it_cannot_be_replaced_from_inside();
    a_child_forked_inside_is_not_inside();
    a_child_sets_its_own_callback();
    return 0;
}
