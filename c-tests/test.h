/*
 * What every test program shares: checks that name what failed, sessions on the sandbox, and the sandbox's control routes.
 *
 * C99 and POSIX, readable as C++ too. A program is silent and exits with 0 if all is well; otherwise it names the first failed check on
 * stderr.
 * The driver (tests/c_abi) sets the environment: KEYFERRY_… point to the sandbox, TEST_… are its made-up credentials.
 */
#ifndef KEYFERRY_TEST_H
#define KEYFERRY_TEST_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <keyferry.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Stops the program unless `condition` holds. */
#define CHECK(condition) ((condition) ? (void)0 : fail_check(__FILE__, __LINE__, #condition, ""))

/* Stops the program unless two texts are equal. */
#define CHECK_TEXT(expected, actual) check_text((expected), (actual), __FILE__, __LINE__, #actual)

/* Stops the program unless `text` contains `part`. */
#define CHECK_CONTAINS(text, part) check_contains((text), (part), __FILE__, __LINE__, #text)

/* The call succeeds. A variable `error` is in scope and handed to the call. */
#define SUCCEEDS(call) succeeds((call), &error, __FILE__, __LINE__, #call)

/* The call fails with this status, and the object in `error` agrees, reads like a message and says `part`. */
#define FAILS_SAYING(expected, part, call) fails((expected), (part), (call), &error, __FILE__, __LINE__, #call)
#define FAILS(expected, call) FAILS_SAYING(expected, "", call)

/* What an out-pointer holds before a call, so that a test sees that NULL was written. */
static double poison;
#define POISON ((void *)&poison)

static inline void fail_check(const char *file, int line, const char *what, const char *detail) {
    fprintf(stderr, "%s:%d: %s %s\n", file, line, what, detail);
    exit(1);
}

static inline void check_text(const char *expected, const char *actual, const char *file, int line, const char *what) {
    if (actual == NULL || strcmp(expected, actual) != 0) {
        fprintf(stderr, "expected '%s', got '%s'\n", expected, actual == NULL ? "(NULL)" : actual);
        fail_check(file, line, what, "differs");
    }
}

static inline void check_contains(const char *text, const char *part, const char *file, int line, const char *what) {
    if (text == NULL || strstr(text, part) == NULL) {
        fprintf(stderr, "'%s' is not in '%s'\n", part, text == NULL ? "(NULL)" : text);
        fail_check(file, line, what, "lacks a part");
    }
}

static inline void succeeds(keyferry_status status, keyferry_error **error, const char *file, int line, const char *call) {
    if (status != KEYFERRY_OK || *error != NULL) {
        const char *message = keyferry_error_message(*error);
        fprintf(stderr, "status %d: %s\n", (int)status, message == NULL ? keyferry_status_text(status) : message);
        fail_check(file, line, call, "failed");
    }
}

static inline void fails(keyferry_status expected, const char *part, keyferry_status status, keyferry_error **error, const char *file,
                         int line, const char *call) {
    const char *message = keyferry_error_message(*error);
    if (status != expected) {
        fprintf(stderr, "expected %d, got %d: %s\n", (int)expected, (int)status, message == NULL ? "(no message)" : message);
        fail_check(file, line, call, "ended otherwise");
    }
    if (keyferry_error_status(*error) != expected || message == NULL || strlen(message) < 8 || message[strlen(message) - 1] == '.') {
        fail_check(file, line, call, message == NULL ? "gave no message" : message);
    }
    check_contains(message, part, file, line, call);
    keyferry_error_free(*error);
    *error = NULL;
}

/* A variable that the driver sets. */
static inline const char *required_env(const char *name) {
    const char *value = getenv(name);
    if (value == NULL || *value == '\0') {
        fail_check("environment", 0, name, "is not set: this program is run by tests/c_abi");
    }
    return value;
}

/* A number that the driver may set: fewer rounds under an instrumenting tool. */
static inline int int_from_env(const char *name, int normally) {
    const char *value = getenv(name);
    return value == NULL ? normally : atoi(value);
}

/* A session on the sandbox, with its account's e-mail and password. */
static inline keyferry_session *open_session(void) {
    keyferry_session *session = (keyferry_session *)POISON;
    keyferry_error *error = (keyferry_error *)POISON;
    SUCCEEDS(keyferry_session_open(NULL, &session, &error));
    CHECK(session != NULL && session != POISON);
    return session;
}

/* The same with another value for one setting. */
static inline keyferry_session *open_session_with(const char *key, const char *value) {
    keyferry_config *config = NULL;
    keyferry_session *session = NULL;
    keyferry_error *error = NULL;
    SUCCEEDS(keyferry_config_load(NULL, &config, &error));
    SUCCEEDS(keyferry_config_set(config, key, value, &error));
    SUCCEEDS(keyferry_session_open(config, &session, &error));
    keyferry_config_free(config);
    return session;
}

/* A session that knows the services' URLs and not a single secret. */
static inline keyferry_session *open_session_without_secrets(void) {
    static const char *const settings[][2] = {
        {"masv.url", "KEYFERRY_MASV_URL"}, {"agent.url", "KEYFERRY_AGENT_URL"}, {"fileverbs.url", "KEYFERRY_FILEVERBS_URL"}};
    keyferry_config *config = NULL;
    keyferry_session *session = NULL;
    keyferry_error *error = NULL;
    size_t i;
    SUCCEEDS(keyferry_config_new(&config, &error));
    for (i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        SUCCEEDS(keyferry_config_set(config, settings[i][0], required_env(settings[i][1]), &error));
    }
    SUCCEEDS(keyferry_session_open(config, &session, &error));
    keyferry_config_free(config);
    return session;
}

static inline keyferry_token *token_for(const keyferry_session *session, const char *resource) {
    keyferry_token *token = (keyferry_token *)POISON;
    keyferry_error *error = (keyferry_error *)POISON;
    SUCCEEDS(masv_token_for(session, resource, &token, &error));
    CHECK(token != NULL && token != POISON);
    return token;
}

/* Connects to an http://ADDRESS:PORT. */
static inline int connect_to(const char *url) {
    struct sockaddr_in address;
    char host[64];
    int port = 0;
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    CHECK(sscanf(url, "http://%63[0-9.]:%d", host, &port) == 2);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    CHECK(inet_pton(AF_INET, host, &address.sin_addr) == 1);
    CHECK(connection >= 0 && connect(connection, (struct sockaddr *)&address, sizeof address) == 0);
    return connection;
}

/*
 * One HTTP exchange with a service of the sandbox. `header` is a line or empty. Returns the status; what follows the headers is left
 * in `response`.
 */
static inline int http_exchange(const char *url, const char *method, const char *path, const char *header, const char *body,
                                char *response, size_t capacity) {
    char *message = (char *)malloc(strlen(body) + strlen(path) + strlen(header) + 512);
    int connection = connect_to(url);
    size_t length = 0, sent = 0;
    ssize_t count;
    int status = 0;
    char *end;
    CHECK(message != NULL);
    sprintf(message,
            "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %u\r\n"
            "%s%s\r\n%s",
            method, path, (unsigned)strlen(body), header, *header == '\0' ? "" : "\r\n", body);
    while (sent < strlen(message)) {
        count = write(connection, message + sent, strlen(message) - sent);
        CHECK(count > 0);
        sent += (size_t)count;
    }
    while (length + 1 < capacity && (count = read(connection, response + length, capacity - 1 - length)) > 0) {
        length += (size_t)count;
    }
    response[length] = '\0';
    close(connection);
    free(message);
    CHECK(sscanf(response, "HTTP/1.1 %d", &status) == 1);
    end = strstr(response, "\r\n\r\n");
    CHECK(end != NULL);
    memmove(response, end + 4, strlen(end + 4) + 1);
    return status;
}

/* One of the sandbox's control routes: `control("POST", "fault", "{…}")`. */
static inline void control(const char *method, const char *route, const char *body) {
    char path[64], response[8192];
    sprintf(path, "/sandbox/%.40s", route);
    if (http_exchange(required_env("TEST_CONTROL_URL"), method, path, "", body, response, sizeof response) != 200) {
        fail_check("sandbox", 0, body, response);
    }
}

/* Makes the service answer 401 to a token from now on. */
static inline void sandbox_revoke(const char *value) {
    char body[20000];
    sprintf(body, "{\"token\": \"%.19000s\"}", value);
    control("POST", "reject", body);
}

/* What the sandbox counted under a name. */
static inline long sandbox_count(const char *name) {
    char quoted[64], response[16384];
    const char *at;
    CHECK(http_exchange(required_env("TEST_CONTROL_URL"), "GET", "/sandbox/counts", "", "", response, sizeof response) == 200);
    sprintf(quoted, "\"%.40s\":", name);
    at = strstr(response, quoted);
    return at == NULL ? 0 : strtol(at + strlen(quoted), NULL, 10);
}

/* Calls a service with the token's one header and returns the status: whether the token is good for what it says. */
static inline int http_status_with_token(const keyferry_token *token, const char *url, const char *method, const char *path) {
    char header[20000], response[65536];
    CHECK(keyferry_token_header_count(token) == 1);
    sprintf(header, "%.100s: %.19000s", keyferry_token_header_name(token, 0), keyferry_token_header_value(token, 0));
    return http_exchange(url, method, path, header, "", response, sizeof response);
}

#endif
