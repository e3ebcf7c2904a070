/* A host that may write no file at all (ulimit -f 0) and has not said what the signal for that is to do: it lives, tokens are in memory. */
#include "test.h"

#include <signal.h>
#include <sys/resource.h>

static int warnings;

static void on_log(int32_t level, const char *message, void *user_data) {
    (void)user_data;
    if (level == KEYFERRY_LOG_WARN) {
        CHECK_CONTAINS(message, "ulimit -f");
        warnings++;
    }
}

int main(void) {
    const struct rlimit no_bytes = {0, 0};
    keyferry_session *session;
    keyferry_token *token;
    keyferry_error *error = NULL;
    sigset_t pending;
    CHECK(signal(SIGXFSZ, SIG_DFL) != SIG_ERR && signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    CHECK(setrlimit(RLIMIT_FSIZE, &no_bytes) == 0);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_WARN, on_log, NULL, NULL, &error));
    session = open_session_with("store", "file");
    token = token_for(session, "user");
    sandbox_revoke(keyferry_token_value(token));
    SUCCEEDS(keyferry_session_reject(session, token, &error));
    keyferry_token_free(token);
    keyferry_token_free(token_for(session, "user"));
    keyferry_session_free(session);
    SUCCEEDS(keyferry_log_set_callback(KEYFERRY_LOG_OFF, NULL, NULL, NULL, &error));
    CHECK(warnings > 0);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 0);
    return 0;
}
