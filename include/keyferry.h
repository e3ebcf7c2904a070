/*
 * keyferry: the right, unexpired request headers for MASV cloud, the local MASV Agent and FileVerbs.
 *
 * Generated from src/ffi by the build; changes belong there.
 *
 * Rules
 *   Status   Every call that can fail returns a keyferry_status and takes an error_out, which may be NULL. On failure it
 *            gets an object with every detail, to be freed with keyferry_error_free; on success NULL.
 *   Outputs  An out-pointer is NULL until success, then owns what it points to. No call fails half.
 *   Text     In: UTF-8 that ends in NUL, borrowed for the call. Out: borrowed from an object until that is freed, but a
 *            text_out, which is the caller's until keyferry_text_free.
 *   Free     Each _free takes NULL and does nothing then. Tokens and errors outlive their session.
 *   Faults   No panic leaves the library: KEYFERRY_E_PANIC, or NULL, 0 or nothing from functions without a status.
 *   Errors   A function's comment lists its own. Besides, one with an error_out answers KEYFERRY_E_REENTRANT inside a log
 *            callback; opening the default session, for NULL, may fail with KEYFERRY_E_CONFIG, KEYFERRY_E_UNSAFE_FILE or
 *            KEYFERRY_E_NOT_CONFIGURED; and what only a plugin could give that is left out is KEYFERRY_E_PLUGIN or
 *            KEYFERRY_E_UNSAFE_FILE.
 *   Fork     In a forked child a handle made before answers KEYFERRY_E_FORKED; NULL, or a session of its own, works.
 *   Load     Loading the library starts, opens and reads nothing. No thread starts before the first use of the network, but those
 *            that plugins run on.
 *
 * Threads
 *   [any]    any thread, several at once, also with the same objects.
 *   [one]    one thread at a time for that object.
 */

#ifndef KEYFERRY_H
#define KEYFERRY_H

#include <stddef.h>
#include <stdint.h>

/**
 * The number of this ABI, which the soname holds too. Nothing is removed or changed within a
 * number.
 */
#define KEYFERRY_ABI_VERSION 0

/**
 * The access that the resource itself says; the default.
 */
#define KEYFERRY_ACCESS_ANY 0

/**
 * All that this kind of token allows: there is only one sort of it.
 */
#define KEYFERRY_ACCESS_FULL 1

/**
 * List and download a package.
 */
#define KEYFERRY_ACCESS_READ 2

/**
 * Add files to a package and finalize it.
 */
#define KEYFERRY_ACCESS_WRITE 3

/**
 * Rename, expire, link, transfer and delete a package.
 */
#define KEYFERRY_ACCESS_MANAGE 4

/**
 * The expiry of a token that is good until it is rejected.
 */
#define KEYFERRY_NO_EXPIRY INT64_MAX

/**
 * An API key or SecretKey, as it is configured.
 */
#define KEYFERRY_TOKEN_KIND_KEY 1

/**
 * A user's login.
 */
#define KEYFERRY_TOKEN_KIND_USER 2

/**
 * A package's token.
 */
#define KEYFERRY_TOKEN_KIND_PACKAGE 3

/**
 * A transfer's token.
 */
#define KEYFERRY_TOKEN_KIND_TRANSFER 4

/**
 * A bearer token.
 */
#define KEYFERRY_TOKEN_KIND_BEARER 5

/**
 * Nothing.
 */
#define KEYFERRY_LOG_OFF 0

/**
 * What the user has to mend.
 */
#define KEYFERRY_LOG_ERROR 1

/**
 * What works in spite of a fault.
 */
#define KEYFERRY_LOG_WARN 2

/**
 * Logins, refreshes, refusals.
 */
#define KEYFERRY_LOG_INFO 3

/**
 * Each exchange.
 */
#define KEYFERRY_LOG_DEBUG 4

/**
 * Settings for a session. Not shared between threads without a lock of the caller's.
 */
typedef struct keyferry_config keyferry_config;

/**
 * Every detail of a failure. Holds no secret. Immutable, outlives the session that it came from.
 */
typedef struct keyferry_error keyferry_error;

/**
 * A resource and what the caller needs of its token. Set it up in one thread; then any thread may
 * use or cancel it.
 */
typedef struct keyferry_request keyferry_request;

/**
 * Configuration, services, cache and store. `const keyferry_session *`: any thread, at once. NULL
 * stands for the default session, which is opened at its first use from the user's configuration,
 * is never freed, and opens anew in a forked child.
 */
typedef struct keyferry_session keyferry_session;

/**
 * A set of headers with its expiry. Immutable: any thread, at once. Outlives the session that it
 * came from.
 */
typedef struct keyferry_token keyferry_token;

/**
 * What every fallible call returns: `KEYFERRY_OK`, or one of the `KEYFERRY_E_` numbers below.
 * `keyferry_status_text` says each in words. A number that is not listed here comes from a newer
 * library.
 */
typedef int32_t keyferry_status;

/**
 * Takes a message: `level` is one of `KEYFERRY_LOG_`, `message` is UTF-8 and borrowed for the
 * call, `user_data` is what `keyferry_log_set_callback` was given. Runs on any thread, several at
 * once. Must not call keyferry: such calls get `KEYFERRY_E_REENTRANT`.
 */
typedef void (*keyferry_log_callback)(int32_t level, const char *message, void *user_data);

/**
 * Frees `user_data`, once, when no call of the callback runs any more.
 */
typedef void (*keyferry_log_finalizer)(void *user_data);

/**
 * Done.
 */
#define KEYFERRY_OK 0

/**
 * A pointer that must not be NULL is NULL. Remedy: see the function's comment.
 */
#define KEYFERRY_E_NULL_ARGUMENT 101

/**
 * A text is not UTF-8. Remedy: convert it first.
 */
#define KEYFERRY_E_NOT_UTF8 102

/**
 * A value is empty, too long, out of range, or holds CR, LF, NUL or another control character.
 * Remedy: copy it again.
 */
#define KEYFERRY_E_INVALID_VALUE 103

/**
 * The resource can't be read. Remedy: write `user`, `packages/ID`, `links/ID?secret=S`,
 * `SERVICE:PATH` or an https URL.
 */
#define KEYFERRY_E_INVALID_RESOURCE 104

/**
 * The resource belongs to no configured service. Remedy: check its host and the services' URLs in
 * the configuration.
 */
#define KEYFERRY_E_UNKNOWN_SERVICE 105

/**
 * The resource is reached without any header. Remedy: send the request as it is.
 */
#define KEYFERRY_E_NO_HEADER 106

/**
 * The token has several headers. Remedy: take them from `keyferry_session_cached`.
 */
#define KEYFERRY_E_MULTIPLE_HEADERS 107

/**
 * The buffer is too small. Remedy: bring as many bytes as `length_out` says and one for the NUL.
 */
#define KEYFERRY_E_BUFFER_TOO_SMALL 108

/**
 * `keyferry_request_cancel` was called.
 */
#define KEYFERRY_E_CANCELLED 109

/**
 * The request's time was over first. Remedy: ask again, or give it more with
 * `keyferry_request_set_timeout_ms`.
 */
#define KEYFERRY_E_TIMEOUT 110

/**
 * The handle was made before a fork. Remedy: pass NULL, or open another in the child.
 */
#define KEYFERRY_E_FORKED 111

/**
 * Called from keyferry's own log callback, or from a plugin's. Remedy: hand the message to another
 * thread; use the host's table.
 */
#define KEYFERRY_E_REENTRANT 112

/**
 * A fault inside keyferry; the process is fine, what the call was about is not done. Remedy:
 * report it.
 */
#define KEYFERRY_E_PANIC 113

/**
 * The configuration can't be read or understood. Remedy: the message names file, key and line.
 */
#define KEYFERRY_E_CONFIG 201

/**
 * A setting that is needed is not there. Remedy: the message names it.
 */
#define KEYFERRY_E_NOT_CONFIGURED 202

/**
 * A file with secrets can be read or changed by others. Remedy: the message has the chmod.
 */
#define KEYFERRY_E_UNSAFE_FILE 203

/**
 * A secret's source did not give it. Remedy: the message names source and setting.
 */
#define KEYFERRY_E_SECRET_SOURCE 204

/**
 * Nothing usable in memory. Remedy: `keyferry_session_token_for`.
 */
#define KEYFERRY_E_NOT_CACHED 301

/**
 * Another process holds the lock. Remedy: ask again; the message names the process.
 */
#define KEYFERRY_E_BUSY 302

/**
 * The store can't be used. Remedy: the message names it.
 */
#define KEYFERRY_E_STORE 303

/**
 * No connection. Remedy: check network, the URL in the configuration and, for the MASV Agent, that
 * it runs.
 */
#define KEYFERRY_E_UNREACHABLE 601

/**
 * TLS refused the server. Remedy: check the clock, the URL, and `http.ca_file` for a private CA.
 */
#define KEYFERRY_E_TLS 602

/**
 * The service did not answer in time, or broke off. Remedy: ask again later.
 */
#define KEYFERRY_E_NO_RESPONSE 603

/**
 * The service refused the credential. Remedy: check it; the same one is not sent again for a
 * while.
 */
#define KEYFERRY_E_BAD_CREDENTIALS 701

/**
 * The login ended and can't be renewed without a person. Remedy: `masv_login`, or configure e-mail
 * and password.
 */
#define KEYFERRY_E_LOGIN_REQUIRED 702

/**
 * The service does not know the thing. Remedy: check its id, and that the account may see it.
 */
#define KEYFERRY_E_NOT_FOUND 703

/**
 * The credentials at hand can't do this. Remedy: the message names the one that can.
 */
#define KEYFERRY_E_INSUFFICIENT_ACCESS 704

/**
 * The service wants fewer requests. Remedy: ask again after `keyferry_error_retry_after_ms`.
 */
#define KEYFERRY_E_THROTTLED 705

/**
 * The service is out of order (5xx). Remedy: ask again later.
 */
#define KEYFERRY_E_UNAVAILABLE 706

/**
 * The answer is not what the service documents. Remedy: check the URL; a proxy may stand between.
 */
#define KEYFERRY_E_BAD_RESPONSE 707

/**
 * The service redirects, which is never followed with a credential. Remedy: check the URL in the
 * configuration.
 */
#define KEYFERRY_E_REDIRECTED 708

/**
 * The service has no such route. Remedy: the message says what it has.
 */
#define KEYFERRY_E_UNSUPPORTED 709

/**
 * A plugin misbehaved. Remedy: the message names plugin and fault; report it to its author.
 */
#define KEYFERRY_E_PLUGIN 801

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Says a status in words.
 *
 * @param status  any number; an unknown one gives a text that says so
 *
 * Errors:  none
 * Owner:   the text is static, never freed
 * Threads: [any]
 * Source:  the table of status numbers in this header
 * Since:   0.1
 */
const char *keyferry_status_text(keyferry_status status);

/**
 * The version of the library at run time, as `0.1.0`.
 *
 * Errors:  none
 * Owner:   static, never freed
 * Threads: [any]
 * Source:  semver.org
 * Since:   0.1
 */
const char *keyferry_version(void);

/**
 * The ABI number of the library at run time; `KEYFERRY_ABI_VERSION` is the header's.
 *
 * Errors:  none
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
uint32_t keyferry_abi_version(void);

/**
 * Frees a text that keyferry gave.
 *
 * @param text  from an out-parameter named `text_out`; NULL does nothing. Taken.
 *
 * Errors:  none
 * Owner:   the text is gone afterwards
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_text_free(char *text);

/**
 * The status that the failing call returned.
 *
 * @param error  may be NULL: then `KEYFERRY_OK`
 *
 * Errors:  none
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_error_status(const keyferry_error *error);

/**
 * One sentence for people, UTF-8, without a full stop: what is wrong with which thing, and the
 * remedy.
 *
 * @param error  may be NULL: then NULL
 *
 * Errors:  none
 * Owner:   borrowed from `error`, valid until it is freed
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
const char *keyferry_error_message(const keyferry_error *error);

/**
 * The HTTP status behind the failure.
 *
 * @param error  may be NULL: then 0
 * @return       the status, 0 where no answer came
 *
 * Errors:  none
 * Threads: [any]
 * Source:  RFC 9110, section 15
 * Since:   0.1
 */
int32_t keyferry_error_http_status(const keyferry_error *error);

/**
 * The service's own error number.
 *
 * @param error  may be NULL: then 0
 * @return       the number, e.g. 262146 of the MASV Agent; 0 where the service sent none
 *
 * Errors:  none
 * Threads: [any]
 * Source:  MASV API and MASV Agent, error bodies
 * Since:   0.1
 */
int64_t keyferry_error_service_code(const keyferry_error *error);

/**
 * After how many milliseconds a new try makes sense.
 *
 * @param error  may be NULL: then 0
 * @return       milliseconds; 0 where nobody named a time
 *
 * Errors:  none
 * Threads: [any]
 * Source:  RFC 9110, section 10.2.3 (Retry-After)
 * Since:   0.1
 */
uint64_t keyferry_error_retry_after_ms(const keyferry_error *error);

/**
 * Frees an error.
 *
 * @param error  NULL does nothing. Taken.
 *
 * Errors:  none
 * Owner:   the error and its message are gone afterwards
 * Threads: [any], but not while another call uses it
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_error_free(keyferry_error *error);

/**
 * Makes a configuration with nothing in it: no file and no variable is read. Tokens are kept in
 * memory unless `store` is set.
 *
 * @param config_out  gets the configuration
 * @param error_out   gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `config_out` is NULL
 * Owner:   the caller frees it with `keyferry_config_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_config_new(keyferry_config **config_out, keyferry_error **error_out);

/**
 * Makes a configuration from a file and, over it, from the environment.
 *
 * @param path        the file, UTF-8; NULL for `keyferry/config.toml` in the user's configuration folder, which may be absent. Borrowed.
 * @param config_out  gets the configuration
 * @param error_out   gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8; KEYFERRY_E_CONFIG if it can't be read or
 *          understood: the message names file, key and line; KEYFERRY_E_UNSAFE_FILE if it holds
 *          secrets and is open to others: the message has the chmod
 * Owner:   the caller frees it with `keyferry_config_free`
 * Threads: [any]; the environment must not be changed meanwhile
 * Source:  the configuration table in README.md
 * Since:   0.1
 */
keyferry_status keyferry_config_load(const char *path,
                                     keyferry_config **config_out,
                                     keyferry_error **error_out);

/**
 * Sets one value, over file and environment. The value is always literal: `env:X` is a password
 * that begins so.
 *
 * @param config     the configuration
 * @param key        as in the configuration table: `masv.api_key`, `http.timeout_ms`, `profile.NAME.masv.team`. Borrowed.
 * @param value      UTF-8. Borrowed and copied; our copy is wiped when the configuration is freed.
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8; KEYFERRY_E_CONFIG if there is no such key: the message names the nearest;
 *          KEYFERRY_E_INVALID_VALUE if the value is out of range or holds a control character
 * Owner:   nothing changes hands
 * Threads: [one]: no other call with `config` at the same time
 * Source:  the configuration table in README.md
 * Since:   0.1
 */
keyferry_status keyferry_config_set(keyferry_config *config,
                                    const char *key,
                                    const char *value,
                                    keyferry_error **error_out);

/**
 * Frees a configuration. Sessions opened with it keep what they need.
 *
 * @param config  NULL does nothing. Taken.
 *
 * Errors:  none
 * Owner:   the configuration is gone afterwards, its secrets wiped
 * Threads: [one]
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_config_free(keyferry_config *config);

/**
 * Makes a request for a resource.
 *
 * @param resource     a URL of a service, `SERVICE:PATH`, or the path of a MASV thing: `user`, `packages/ID`,
 *                     `packages/ID/transfers/ID`, `transfers/ID`, `links/ID?secret=S`. UTF-8. Borrowed and copied.
 * @param request_out  gets the request
 * @param error_out    gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE if it can't be read
 * Owner:   the caller frees it with `keyferry_request_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_request_new(const char *resource, keyferry_request **request_out, keyferry_error **error_out);

/**
 * Wants a token that is good for so long, instead of the engine's own windows. A service that
 * gives shorter ones gets the last word: the freshest is returned, and
 * `keyferry_token_expires_unix_s` says when that ends.
 *
 * @param request      the request
 * @param min_valid_s  seconds; 0 (the default) for the engine's own windows
 * @param error_out    gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT
 * Owner:   nothing changes hands
 * Threads: [one]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_request_set_min_valid_s(keyferry_request *request,
                                                 uint32_t min_valid_s,
                                                 keyferry_error **error_out);

/**
 * Wants this access instead of the one that the resource says.
 *
 * @param request    the request
 * @param access     one of `KEYFERRY_ACCESS_`
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_INVALID_VALUE for another number
 * Owner:   nothing changes hands
 * Threads: [one]
 * Source:  MASV API, package tokens
 * Since:   0.1
 */
keyferry_status keyferry_request_set_access(keyferry_request *request, int32_t access, keyferry_error **error_out);

/**
 * Acts as another account than the default one.
 *
 * @param request    the request
 * @param account    a profile's name from the configuration, UTF-8; NULL for the default. Borrowed and copied.
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8; an unknown profile shows at the first use, as KEYFERRY_E_NOT_CONFIGURED
 * Owner:   nothing changes hands
 * Threads: [one]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_request_set_account(keyferry_request *request,
                                             const char *account,
                                             keyferry_error **error_out);

/**
 * Brings the password of a protected link.
 *
 * @param request    the request
 * @param password   UTF-8; NULL for none. Borrowed and copied; our copy is wiped when the request is freed.
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8; KEYFERRY_E_INVALID_VALUE if it is empty or holds a control character
 * Owner:   nothing changes hands
 * Threads: [one]
 * Source:  MASV API, `GET /v1/links/{link_id}`, header X-Link-Password
 * Since:   0.1
 */
keyferry_status keyferry_request_set_link_password(keyferry_request *request,
                                                   const char *password,
                                                   keyferry_error **error_out);

/**
 * Waits no longer than this.
 *
 * @param request    the request
 * @param timeout_ms milliseconds, 1 to 600000; 0 (the default) for the configured `http.timeout_ms`
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_INVALID_VALUE above ten minutes
 * Owner:   nothing changes hands
 * Threads: [one]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_request_set_timeout_ms(keyferry_request *request,
                                                uint32_t timeout_ms,
                                                keyferry_error **error_out);

/**
 * Ends the wait of whoever waits with this request, now and from now on: it gets
 * `KEYFERRY_E_CANCELLED`. What is under way goes on for others who wait for the same token.
 *
 * @param request  may be NULL: then nothing happens
 *
 * Errors:  none
 * Owner:   nothing changes hands
 * Threads: [any], also while another thread waits with `request`
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_request_cancel(const keyferry_request *request);

/**
 * Frees a request.
 *
 * @param request  NULL does nothing. Taken.
 *
 * Errors:  none
 * Owner:   the request is gone afterwards; no call may be using it
 * Threads: [one]
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_request_free(keyferry_request *request);

/**
 * How many headers a request needs. All services of this version need one.
 *
 * @param token  may be NULL: then 0
 *
 * Errors:  none
 * Threads: [any]
 * Source:  services' documents, headers
 * Since:   0.1
 */
size_t keyferry_token_header_count(const keyferry_token *token);

/**
 * The name of a header: `X-User-Token`, `Authorization`.
 *
 * @param token  may be NULL: then NULL
 * @param index  from 0; NULL beyond `keyferry_token_header_count`
 *
 * Errors:  none
 * Owner:   borrowed from `token`, valid until it is freed
 * Threads: [any]
 * Source:  services' documents, headers
 * Since:   0.1
 */
const char *keyferry_token_header_name(const keyferry_token *token, size_t index);

/**
 * The value of a header, whole: `Bearer eyJ…` for `Authorization`. A secret: keep it out of logs
 * and argument lists.
 *
 * @param token  may be NULL: then NULL
 * @param index  from 0; NULL beyond `keyferry_token_header_count`
 *
 * Errors:  none
 * Owner:   borrowed from `token`, valid until it is freed, and wiped then
 * Threads: [any]
 * Source:  services' documents, headers
 * Since:   0.1
 */
const char *keyferry_token_header_value(const keyferry_token *token, size_t index);

/**
 * The bare value of the first header, without the scheme of an `Authorization`. A secret.
 *
 * @param token  may be NULL: then NULL
 *
 * Errors:  none
 * Owner:   borrowed from `token`, valid until it is freed, and wiped then
 * Threads: [any]
 * Source:  services' documents, headers
 * Since:   0.1
 */
const char *keyferry_token_value(const keyferry_token *token);

/**
 * The service that it is for: `masv`, `fileverbs`.
 *
 * @param token  may be NULL: then NULL
 *
 * Errors:  none
 * Owner:   borrowed from `token`, valid until it is freed
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
const char *keyferry_token_service(const keyferry_token *token);

/**
 * What it is: one of `KEYFERRY_TOKEN_KIND_`.
 *
 * @param token  may be NULL: then 0
 *
 * Errors:  none
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
int32_t keyferry_token_kind(const keyferry_token *token);

/**
 * What it allows: one of `KEYFERRY_ACCESS_`.
 *
 * @param token  may be NULL: then `KEYFERRY_ACCESS_ANY`
 *
 * Errors:  none
 * Threads: [any]
 * Source:  MASV API, package tokens
 * Since:   0.1
 */
int32_t keyferry_token_access(const keyferry_token *token);

/**
 * When it ends.
 *
 * @param token  may be NULL: then 0
 * @return       seconds since 1970, UTC, by the service's clock; `KEYFERRY_NO_EXPIRY` if it is good until rejected
 *
 * Errors:  none
 * Threads: [any]
 * Source:  RFC 7519, section 4.1.4 (exp), else the service's answer
 * Since:   0.1
 */
int64_t keyferry_token_expires_unix_s(const keyferry_token *token);

/**
 * Which one of its resource's tokens it is: each later one has a greater number, in all processes
 * that share a store.
 *
 * @param token  may be NULL: then 0
 *
 * Errors:  none
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
uint64_t keyferry_token_generation(const keyferry_token *token);

/**
 * What else the service said with it, as a JSON object without secrets: of a user token `user` and
 * `teams`, as they came.
 *
 * @param token  may be NULL: then NULL
 *
 * Errors:  none
 * Owner:   borrowed from `token`, valid until it is freed
 * Threads: [any]
 * Source:  MASV API, `POST /v1/auth`; FileVerbs API, `POST /accounts/access-token`
 * Since:   0.1
 */
const char *keyferry_token_details_json(const keyferry_token *token);

/**
 * Frees a token.
 *
 * @param token  NULL does nothing. Taken.
 *
 * Errors:  none
 * Owner:   the token and all that was borrowed from it are gone afterwards, its memory wiped
 * Threads: [any], but not while another call uses it
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_token_free(keyferry_token *token);

/**
 * Opens a session. Goes to no network, and starts no thread but those that initialise the plugins
 * which the configuration names; a plugin that can't be used is left out, and whoever asks for its
 * tokens is told why.
 *
 * @param config       copied; NULL for the user's `config.toml` and the environment
 * @param session_out  gets the session
 * @param error_out    gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_CONFIG, KEYFERRY_E_UNSAFE_FILE if the
 *          configuration can't be used: the message names the key; KEYFERRY_E_NOT_CONFIGURED if
 *          there is no such `profile`
 * Owner:   the caller frees it with `keyferry_session_free`
 * Threads: [any]
 * Source:  the configuration table in README.md
 * Since:   0.1
 */
keyferry_status keyferry_session_open(const keyferry_config *config,
                                      keyferry_session **session_out,
                                      keyferry_error **error_out);

/**
 * Closes a session: cancels refreshes, ends its threads within a second. Tokens and errors that
 * came from it live on.
 *
 * @param session  NULL does nothing; in a forked child nothing is freed, on purpose. Taken.
 *
 * Errors:  none
 * Owner:   the session is gone afterwards; no call with it may be in progress
 * Threads: [one]
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_session_free(keyferry_session *session);

/**
 * Gets the headers for a request, from memory if they are fresh, else from the store or the
 * service. May go to the network.
 *
 * @param session    NULL for the default session
 * @param request    what is wanted. Borrowed.
 * @param token_out  gets the token
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  those of `masv_token_for` and `fileverbs_bearer`; KEYFERRY_E_CANCELLED
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]; threads that want the same token wait for one request
 * Source:  services' documents
 * Since:   0.1
 */
keyferry_status keyferry_session_token_for(const keyferry_session *session,
                                           const keyferry_request *request,
                                           keyferry_token **token_out,
                                           keyferry_error **error_out);

/**
 * Gets an unexpired token from memory. Goes to no store and no network; the first use of NULL
 * opens the default session.
 *
 * @param session    NULL for the default session
 * @param request    what is wanted. Borrowed.
 * @param token_out  gets the token
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NOT_CACHED if there is none, or none that is good for `min_valid_s` (beyond
 *          a token's whole life: for half of it); KEYFERRY_E_NULL_ARGUMENT,
 *          KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER,
 *          KEYFERRY_E_NOT_CONFIGURED for an unknown account, KEYFERRY_E_FORKED
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_cached(const keyferry_session *session,
                                        const keyferry_request *request,
                                        keyferry_token **token_out,
                                        keyferry_error **error_out);

/**
 * Copies the header line of a fresh token from memory: `Name: value` and NUL. Goes to no store and
 * no network; allocates for links and for odd spellings of a URL; the first use of NULL opens the
 * default session. From the moment on when a refresh is advisable it answers KEYFERRY_E_NOT_CACHED
 * once, so that somebody calls `keyferry_session_token_for`.
 *
 * @param session     NULL for the default session
 * @param resource    as for `masv_token_for`. Borrowed.
 * @param buffer      gets the line; may be NULL if `capacity` is 0. After any status but KEYFERRY_OK it may hold bytes of a token.
 * @param capacity    its size in bytes; a line is shorter than 17000
 * @param length_out  gets the line's length in bytes without NUL, also with KEYFERRY_E_BUFFER_TOO_SMALL; may be NULL
 *
 * Errors:  KEYFERRY_E_NOT_CACHED: call `keyferry_session_token_for`; KEYFERRY_E_BUFFER_TOO_SMALL;
 *          KEYFERRY_E_MULTIPLE_HEADERS; KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8,
 *          KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER,
 *          KEYFERRY_E_FORKED
 * Owner:   nothing changes hands; the line is a secret: wipe the buffer, whatever the status is
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_peek(const keyferry_session *session,
                                      const char *resource,
                                      char *buffer,
                                      size_t capacity,
                                      size_t *length_out);

/**
 * Says that the service refused a token (401): its generation is dead, here and in the store, and
 * the next call gets another. A later generation is not harmed. Rejecting an API key or SecretKey
 * keeps it from being handed out for a while.
 *
 * @param session    NULL for the default session
 * @param token      the token. Borrowed; it may come from another session with the same account.
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_STORE, KEYFERRY_E_FORKED
 * Owner:   nothing changes hands: the token is still to be freed
 * Threads: [any]
 * Source:  RFC 9110, section 15.5.2
 * Since:   0.1
 */
keyferry_status keyferry_session_reject(const keyferry_session *session,
                                        const keyferry_token *token,
                                        keyferry_error **error_out);

/**
 * Says that the service refused a value that was got for a resource, by a caller that has no token
 * object. Nothing happens unless it is the present one.
 *
 * @param session    NULL for the default session
 * @param resource   what it was got for. Borrowed.
 * @param value      the header's value, with or without `Bearer `. Borrowed.
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  those of `keyferry_session_reject`; KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE,
 *          KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER
 * Owner:   nothing changes hands
 * Threads: [any]
 * Source:  RFC 9110, section 15.5.2
 * Since:   0.1
 */
keyferry_status keyferry_session_reject_value(const keyferry_session *session,
                                              const char *resource,
                                              const char *value,
                                              keyferry_error **error_out);

/**
 * Keeps a token that the caller got itself: of a package that it made through a Portal, of a
 * transfer that it started.
 *
 * @param session         NULL for the default session
 * @param resource        `packages/ID` or `transfers/ID`, or a URL of that. Borrowed.
 * @param value           the token. Borrowed and copied.
 * @param expires_unix_s  when it ends, seconds since 1970; `KEYFERRY_NO_EXPIRY` to have it read from the token
 * @param error_out       gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE,
 *          KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER; KEYFERRY_E_INVALID_VALUE if it can't
 *          be a token or has ended; KEYFERRY_E_UNSUPPORTED if the resource takes no such token;
 *          KEYFERRY_E_STORE, KEYFERRY_E_FORKED
 * Owner:   nothing changes hands
 * Threads: [any]
 * Source:  MASV API, `POST /v1/portals/{portal_id}/packages` and `POST /v1/packages/{id}/transfer`
 * Since:   0.1
 */
keyferry_status keyferry_session_adopt(const keyferry_session *session,
                                       const char *resource,
                                       const char *value,
                                       int64_t expires_unix_s,
                                       keyferry_error **error_out);

/**
 * Forgets what is kept of a resource: token, record, renewal secret, refusals. Other processes
 * drop theirs at their next read.
 *
 * @param session    NULL for the default session
 * @param resource   NULL for everything of every account. Borrowed.
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE,
 *          KEYFERRY_E_NO_HEADER; KEYFERRY_E_STORE, KEYFERRY_E_UNSAFE_FILE if something is still in
 *          the store; KEYFERRY_E_FORKED
 * Owner:   nothing changes hands
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_forget(const keyferry_session *session,
                                        const char *resource,
                                        keyferry_error **error_out);

/**
 * Explains what would happen for a resource and why: service, account, key, what is in memory,
 * when it is refreshed, for how long the last failure is answered. Goes nowhere.
 *
 * @param session    NULL for the default session
 * @param resource   as for `masv_token_for`. Borrowed.
 * @param text_out   gets a JSON object without secrets
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE,
 *          KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER, KEYFERRY_E_FORKED
 * Owner:   the caller frees the text with `keyferry_text_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_explain(const keyferry_session *session,
                                         const char *resource,
                                         char **text_out,
                                         keyferry_error **error_out);

/**
 * Lists the tokens in memory and in the store.
 *
 * @param session    NULL for the default session
 * @param text_out   gets a JSON array without secrets: service, account, kind, id, access, generation, expires_unix_s, and
 *                   expires_here_unix_s by this machine's clock; both are null where a token has no end
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_FORKED; KEYFERRY_E_STORE, KEYFERRY_E_UNSAFE_FILE if the store can't be read
 * Owner:   the caller frees the text with `keyferry_text_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_list(const keyferry_session *session,
                                      char **text_out,
                                      keyferry_error **error_out);

/**
 * Counts what the session did: flights, waits, logins, refreshes, refusals. Hits are not counted:
 * that would slow them down.
 *
 * @param session    NULL for the default session
 * @param text_out   gets a JSON object of numbers
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_FORKED
 * Owner:   the caller frees the text with `keyferry_text_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_stats(const keyferry_session *session, char **text_out, keyferry_error **error_out);

/**
 * Logs in to MASV with e-mail and password: always one `POST /v1/auth`, also where an earlier one
 * was refused. The login is kept for the session's account, so `masv_token_for` works from then
 * on; when it ends and no password is configured, that one answers KEYFERRY_E_LOGIN_REQUIRED. Goes
 * to the network.
 *
 * @param session    NULL for the default session
 * @param email      UTF-8; NULL for the configured `masv.email`. Borrowed.
 * @param password   UTF-8; NULL for the configured `masv.password`. Borrowed; our copy is wiped.
 * @param token_out  gets the user token, with `user` and `teams` in its details; may be NULL
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NOT_CONFIGURED if one is neither given nor configured;
 *          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE, KEYFERRY_E_PLUGIN if a configured one
 *          can't be had; KEYFERRY_E_BAD_CREDENTIALS for a wrong password, and for accounts with
 *          MFA or SSO, which need an API key; KEYFERRY_E_NOT_FOUND, KEYFERRY_E_UNSUPPORTED if MASV
 *          is not at `masv.url`; KEYFERRY_E_UNREACHABLE, KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE,
 *          KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE, KEYFERRY_E_BAD_RESPONSE,
 *          KEYFERRY_E_REDIRECTED, KEYFERRY_E_TIMEOUT, KEYFERRY_E_FORKED; KEYFERRY_E_NOT_UTF8;
 *          KEYFERRY_E_INVALID_VALUE if one is empty, longer than 16 KiB or holds a control
 *          character
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]
 * Source:  MASV API, `POST /v1/auth`
 * Since:   0.1
 */
keyferry_status masv_login(const keyferry_session *session,
                           const char *email,
                           const char *password,
                           keyferry_token **token_out,
                           keyferry_error **error_out);

/**
 * Gets the headers for a resource of any service, from memory if they are fresh, else from the
 * store or the service. A path with no service before it is MASV's. Short for
 * `keyferry_session_token_for` with nothing but a resource. May go to the network.
 *
 * @param session    NULL for the default session
 * @param resource   a URL of a service, `SERVICE:PATH`, a pasted link of get.massive.io, or the path of a MASV thing: `user`,
 *                   `packages/ID`, `packages/ID/transfers/ID`, `transfers/ID`, `links/ID?secret=S`. UTF-8. Borrowed.
 * @param token_out  gets the token
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE,
 *          KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER, KEYFERRY_E_NOT_CONFIGURED,
 *          KEYFERRY_E_LOGIN_REQUIRED, KEYFERRY_E_BAD_CREDENTIALS, KEYFERRY_E_NOT_FOUND,
 *          KEYFERRY_E_INSUFFICIENT_ACCESS (a download needs a link), KEYFERRY_E_UNSUPPORTED;
 *          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE if a secret can't be had;
 *          KEYFERRY_E_PLUGIN if a plugin that is needed misbehaves; KEYFERRY_E_UNREACHABLE,
 *          KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE,
 *          KEYFERRY_E_BAD_RESPONSE, KEYFERRY_E_REDIRECTED; KEYFERRY_E_TIMEOUT, KEYFERRY_E_BUSY if
 *          another process that gets it takes too long; KEYFERRY_E_FORKED; `keyferry_status_text`
 *          has each remedy
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]; threads that want the same token wait for one request
 * Source:  services' documents
 * Since:   0.1
 */
keyferry_status masv_token_for(const keyferry_session *session,
                               const char *resource,
                               keyferry_token **token_out,
                               keyferry_error **error_out);

/**
 * Says who is signed in to the MASV Agent on this machine. Goes to the agent, never through a
 * proxy.
 *
 * @param session    NULL for the default session
 * @param text_out   gets a JSON object with `user` and `teams`, as the agent sent them
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_LOGIN_REQUIRED if nobody is signed in;
 *          KEYFERRY_E_UNREACHABLE if no agent runs: the message says how to start it;
 *          KEYFERRY_E_UNSUPPORTED if what listens there is none; KEYFERRY_E_TLS,
 *          KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE,
 *          KEYFERRY_E_BAD_RESPONSE, KEYFERRY_E_REDIRECTED, KEYFERRY_E_TIMEOUT, KEYFERRY_E_FORKED
 * Owner:   the caller frees the text with `keyferry_text_free`
 * Threads: [any]
 * Source:  MASV Agent, `GET /api/v1/login` and `GET /api/v1/teams`
 * Since:   0.1
 */
keyferry_status masv_agent_session(const keyferry_session *session, char **text_out, keyferry_error **error_out);

/**
 * Signs in to the MASV Agent, which then acts as this user for all programs of the machine. Goes
 * to the agent.
 *
 * @param session    NULL for the default session
 * @param email      UTF-8; NULL for the configured `masv.email`. Borrowed.
 * @param password   UTF-8; NULL for the configured `masv.password`. Borrowed; our copy is wiped.
 * @param text_out   gets a JSON object with `user` and `teams`; may be NULL
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  those of `masv_agent_session`; KEYFERRY_E_NOT_CONFIGURED if one is neither given nor
 *          configured; KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE, KEYFERRY_E_PLUGIN if a
 *          configured one can't be had; KEYFERRY_E_BAD_CREDENTIALS if they are wrong;
 *          KEYFERRY_E_NOT_UTF8; KEYFERRY_E_INVALID_VALUE beyond 16 KiB; KEYFERRY_E_UNSUPPORTED if
 *          this agent takes an API key only: the message says how to give it
 * Owner:   the caller frees the text with `keyferry_text_free`
 * Threads: [any]
 * Source:  MASV Agent, `POST /api/v1/login`
 * Since:   0.1
 */
keyferry_status masv_agent_sign_in(const keyferry_session *session,
                                   const char *email,
                                   const char *password,
                                   char **text_out,
                                   keyferry_error **error_out);

/**
 * Makes a MASV account through an old MASV Transfer Agent and signs in with it. Never called by
 * keyferry itself. Goes to the agent.
 *
 * @param session    NULL for the default session
 * @param email      UTF-8. Borrowed.
 * @param password   UTF-8. Borrowed; our copy is wiped.
 * @param name       the person's name, UTF-8. Borrowed.
 * @param text_out   gets a JSON object with `user` and `teams`; may be NULL
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  those of `masv_agent_session`; KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8;
 *          KEYFERRY_E_INVALID_VALUE beyond 16 KiB; KEYFERRY_E_BAD_CREDENTIALS if the agent will
 *          not; KEYFERRY_E_UNSUPPORTED if it is a new one
 * Owner:   the caller frees the text with `keyferry_text_free`
 * Threads: [any]
 * Source:  MASV Transfer Agent (legacy), `POST /api/v1/signup`
 * Since:   0.1
 */
keyferry_status masv_agent_sign_up(const keyferry_session *session,
                                   const char *email,
                                   const char *password,
                                   const char *name,
                                   char **text_out,
                                   keyferry_error **error_out);

/**
 * Gets the `Authorization: Bearer` header of FileVerbs, renewed when it is due. May go to the
 * network.
 *
 * @param session    NULL for the default session
 * @param token_out  gets the token
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_NOT_CONFIGURED without `fileverbs.secret_key` and
 *          `fileverbs.api_key`; KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE,
 *          KEYFERRY_E_PLUGIN if they can't be had; KEYFERRY_E_BAD_CREDENTIALS if they are wrong;
 *          KEYFERRY_E_UNSUPPORTED if FileVerbs is not at `fileverbs.url`; KEYFERRY_E_UNREACHABLE,
 *          KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE,
 *          KEYFERRY_E_BAD_RESPONSE, KEYFERRY_E_REDIRECTED; KEYFERRY_E_TIMEOUT, KEYFERRY_E_BUSY if
 *          another process that gets it takes too long; KEYFERRY_E_FORKED
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]; threads that want it at the same time wait for one request
 * Source:  FileVerbs API, `POST /accounts/access-token`
 * Since:   0.1
 */
keyferry_status fileverbs_bearer(const keyferry_session *session,
                                 keyferry_token **token_out,
                                 keyferry_error **error_out);

/**
 * Gets the `SecretKey` header of FileVerbs for machine-to-machine calls: the configured one, in
 * the shape of a token.
 *
 * @param session    NULL for the default session
 * @param token_out  gets the token
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_NOT_CONFIGURED without `fileverbs.secret_key`;
 *          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE if it can't be had; KEYFERRY_E_PLUGIN,
 *          KEYFERRY_E_TIMEOUT and those of the network if a plugin gives it;
 *          KEYFERRY_E_BAD_CREDENTIALS for a while after it was rejected; KEYFERRY_E_FORKED
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]
 * Source:  FileVerbs API, SecretKey (Integration, API Secret)
 * Since:   0.1
 */
keyferry_status fileverbs_secret_key(const keyferry_session *session,
                                     keyferry_token **token_out,
                                     keyferry_error **error_out);

/**
 * Sets the function that gets the log of the whole library. Replaces the one before: waits until
 * no call of it runs, then runs its finalizer. Messages hold no secret. In a forked child nothing
 * is logged until it calls this itself.
 *
 * @param level      up to which level: one of `KEYFERRY_LOG_`
 * @param callback   takes the messages; NULL for silence, then `finalizer` runs at once
 * @param user_data  handed to `callback`; may be NULL. Taken.
 * @param finalizer  frees `user_data`; may be NULL
 * @param error_out  gets the detail of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_INVALID_VALUE for another level; KEYFERRY_E_REENTRANT from inside a log
 *          callback; after both `user_data` is still the caller's
 * Owner:   `user_data` is keyferry's until `finalizer` has run
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_log_set_callback(int32_t level,
                                          keyferry_log_callback callback,
                                          void *user_data,
                                          keyferry_log_finalizer finalizer,
                                          keyferry_error **error_out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KEYFERRY_H */
