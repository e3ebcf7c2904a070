/*
 * keyferry: gets, caches and refreshes the HTTP headers that authenticate requests to MASV cloud and FileVerbs, and signs
 * in to the MASV Agent.
 *
 * build.rs generates this file from src/ffi. Edit the sources, not this file.
 *
 * Rules
 *   Status   Each function that can fail returns a keyferry_status. All of these functions except keyferry_session_peek also
 *            take an error_out, which may be NULL. On failure, *error_out is set to an error object with the details, which
 *            the caller frees with keyferry_error_free. On success, *error_out is set to NULL.
 *   Outputs  An out-pointer such as token_out or text_out is set to NULL first. On success it receives the new object or
 *            string, which the caller then owns. A failed call has no partial result.
 *   Strings  Arguments are UTF-8 and end in NUL. A returned string belongs to an object and is valid until that object is
 *            freed. Only a string from text_out belongs to the caller, who frees it with keyferry_text_free.
 *   Owner    "Borrowed" means that keyferry does not use the argument after the function returns. "Taken" means that the
 *            caller must not use the argument any more.
 *   Free     Each function whose name ends in _free accepts NULL, and then does nothing. Tokens and errors stay valid after
 *            their session is freed.
 *   Panics   No Rust panic leaves the library. After a panic, a function returns KEYFERRY_E_PANIC; a function without a status
 *            returns NULL, 0 or nothing.
 *   Network  A function makes a network request only if its comment says so.
 *   Prompts  keyferry itself never prompts the user. A secret source that you configure may prompt: a locked keyring, for example.
 *   Errors   The comment of each function lists its error codes. The comment of each code gives its remedy. The lists leave
 *            out these errors:
 *            - A function with an error_out returns KEYFERRY_E_REENTRANT if a log callback or a plugin calls it.
 *            - With NULL as the session, a function may fail to open the default session. It then returns
 *              KEYFERRY_E_CONFIG, KEYFERRY_E_UNSAFE_FILE or KEYFERRY_E_NOT_CONFIGURED.
 *            - A function that needs a plugin which could not be loaded returns KEYFERRY_E_PLUGIN or
 *              KEYFERRY_E_UNSAFE_FILE.
 *   Refresh  A token with an expiry has two refresh windows. In the advisory window, about the last 20 % of its lifetime, a
 *            call returns the cached token, and a background thread refreshes it. In the mandatory window, about the last
 *            5 %, a call waits for the refresh. docs/behaviour.md has the exact lengths.
 *   Source   The service documentation or the standard that specifies what the function does. "keyferry" means that no
 *            other document specifies the function.
 *   Fork     In a forked child, a call with a session or request that was created before the fork returns
 *            KEYFERRY_E_FORKED. The child can pass NULL as the session, or open its own session.
 *   Load     Loading the library starts no thread, and opens no file or socket. Before its first network request, the library
 *            starts only threads that run plugins.
 *
 * Threads
 *   [any]    Any thread may call the function, at the same time as other threads and with the same objects.
 *   [one]    Only one thread at a time may use the object.
 */

#ifndef KEYFERRY_H
#define KEYFERRY_H

#include <stddef.h>
#include <stdint.h>

/**
 * The version of the ABI, which is also the number in the soname. Within one version, nothing is
 * removed or changed.
 */
#define KEYFERRY_ABI_VERSION 0

/**
 * The access that the resource implies. This is the default.
 */
#define KEYFERRY_ACCESS_ANY 0

/**
 * Full access, for a kind of token that has only one level of access.
 */
#define KEYFERRY_ACCESS_FULL 1

/**
 * Access to list and download a package.
 */
#define KEYFERRY_ACCESS_READ 2

/**
 * Access to add files to a package and finalize it.
 */
#define KEYFERRY_ACCESS_WRITE 3

/**
 * Access to rename, transfer and delete a package, to make it expire, and to create download links
 * for it.
 */
#define KEYFERRY_ACCESS_MANAGE 4

/**
 * The expiry of a token that is valid until the service rejects it.
 */
#define KEYFERRY_NO_EXPIRY INT64_MAX

/**
 * A configured API key or SecretKey.
 */
#define KEYFERRY_TOKEN_KIND_KEY 1

/**
 * The token of a user, from a login.
 */
#define KEYFERRY_TOKEN_KIND_USER 2

/**
 * The token of a package.
 */
#define KEYFERRY_TOKEN_KIND_PACKAGE 3

/**
 * The token of a transfer.
 */
#define KEYFERRY_TOKEN_KIND_TRANSFER 4

/**
 * A bearer token.
 */
#define KEYFERRY_TOKEN_KIND_BEARER 5

/**
 * Log nothing.
 */
#define KEYFERRY_LOG_OFF 0

/**
 * An error that the user must fix.
 */
#define KEYFERRY_LOG_ERROR 1

/**
 * A fault after which keyferry continues to work.
 */
#define KEYFERRY_LOG_WARN 2

/**
 * Logins, refreshes and rejections.
 */
#define KEYFERRY_LOG_INFO 3

/**
 * Every HTTP request.
 */
#define KEYFERRY_LOG_DEBUG 4

/**
 * Settings for a session. Only one thread at a time may use a configuration.
 */
typedef struct keyferry_config keyferry_config;

/**
 * The details of a failure, without secrets. An error is immutable and stays valid after its
 * session is freed.
 */
typedef struct keyferry_error keyferry_error;

/**
 * A resource and the requirements for its token. One thread sets up a request; after that, any
 * thread may use or cancel it.
 *
 * A program that often needs a token of one resource should keep its request. The first session
 * that uses the request keeps the parsed resource in it, so each later call with this session is
 * faster than `masv_token_for`. Other sessions may use the request too.
 */
typedef struct keyferry_request keyferry_request;

/**
 * A session: configuration, services, cache and store. Any number of threads may use one session
 * at the same time.
 *
 * NULL stands for the default session. The first call that uses the default session opens it from
 * the user's configuration. keyferry never frees it. A forked child opens its own default session.
 * A process with raised privilege (setuid, setgid, file capabilities) has no default session: calls
 * that need it return KEYFERRY_E_CONFIG.
 */
typedef struct keyferry_session keyferry_session;

/**
 * A set of headers with an expiry. A token is immutable: any number of threads may use it at the
 * same time. It stays valid after its session is freed.
 */
typedef struct keyferry_token keyferry_token;

/**
 * The result of each function that can fail: `KEYFERRY_OK`, or one of the `KEYFERRY_E_` codes
 * below. `keyferry_status_text` describes a code in words. A code that isn't listed here comes
 * from a newer library.
 */
typedef int32_t keyferry_status;

/**
 * Receives a log message.
 *
 * Any thread may run the callback, and several threads may run it at the same time. It must not
 * call keyferry: such a call returns `KEYFERRY_E_REENTRANT`.
 *
 * The callback must return. It must not leave with `longjmp`, with an exception, or by ending its
 * thread. Otherwise all later calls of this thread return `KEYFERRY_E_REENTRANT`,
 * and `keyferry_log_set_callback` waits for ever.
 *
 * @param level      one of `KEYFERRY_LOG_`
 * @param message    UTF-8. Borrowed.
 * @param user_data  the pointer that `keyferry_log_set_callback` received
 */
typedef void (*keyferry_log_callback)(int32_t level, const char *message, void *user_data);

/**
 * Frees `user_data`. keyferry calls it once, after the last call of the callback has returned.
 */
typedef void (*keyferry_log_finalizer)(void *user_data);

/**
 * Success.
 */
#define KEYFERRY_OK 0

/**
 * An argument that must not be NULL is NULL. Remedy: pass a value; the error message names the
 * parameter.
 */
#define KEYFERRY_E_NULL_ARGUMENT 101

/**
 * A string is not UTF-8. Remedy: convert it to UTF-8.
 */
#define KEYFERRY_E_NOT_UTF8 102

/**
 * A value is empty, too long or out of range, or contains CR, LF, NUL or another control
 * character. Remedy: correct the value that the error message names.
 */
#define KEYFERRY_E_INVALID_VALUE 103

/**
 * The resource is malformed, or a misspelt short form. Remedy: pass `user`, `packages/ID`,
 * `links/ID?secret=S` or an https URL; the error message has the nearest short form.
 */
#define KEYFERRY_E_INVALID_RESOURCE 104

/**
 * The resource belongs to no configured service. Remedy: check its host and the URLs of the
 * services in the configuration.
 */
#define KEYFERRY_E_UNKNOWN_SERVICE 105

/**
 * The resource takes no credential header. Remedy: send the request without one.
 */
#define KEYFERRY_E_NO_HEADER 106

/**
 * The token has more than one header, and the function returns only one. Remedy: call
 * `keyferry_session_cached` and read all headers of its token.
 */
#define KEYFERRY_E_MULTIPLE_HEADERS 107

/**
 * The buffer is too small. Remedy: pass a buffer of at least `length_out` + 1 bytes.
 */
#define KEYFERRY_E_BUFFER_TOO_SMALL 108

/**
 * The request was cancelled with `keyferry_request_cancel`.
 */
#define KEYFERRY_E_CANCELLED 109

/**
 * The request timed out. Remedy: retry, or set a longer timeout with
 * `keyferry_request_set_timeout_ms`.
 */
#define KEYFERRY_E_TIMEOUT 110

/**
 * The session or request was created before a fork. Remedy: in the child, pass NULL as the
 * session, or create a new object.
 */
#define KEYFERRY_E_FORKED 111

/**
 * keyferry was called from its own log callback or from a plugin. Remedy: in a log callback, pass
 * the message to another thread; in a plugin, call the functions of keyferry_plugin_host.
 */
#define KEYFERRY_E_REENTRANT 112

/**
 * An internal error in keyferry made the call fail; the process can continue. Remedy: report it as
 * a bug.
 */
#define KEYFERRY_E_PANIC 113

/**
 * The configuration cannot be read or is invalid. Remedy: correct the file, line or key that the
 * error message names.
 */
#define KEYFERRY_E_CONFIG 201

/**
 * A required setting is missing. Remedy: set the setting that the error message names.
 */
#define KEYFERRY_E_NOT_CONFIGURED 202

/**
 * Other users can read or change a file that contains secrets. Remedy: run the `chmod` command
 * that the error message gives.
 */
#define KEYFERRY_E_UNSAFE_FILE 203

/**
 * A secret source did not return the secret. Remedy: check the source and the setting that the
 * error message names.
 */
#define KEYFERRY_E_SECRET_SOURCE 204

/**
 * No usable token is cached. Remedy: call `keyferry_session_token_for`.
 */
#define KEYFERRY_E_NOT_CACHED 301

/**
 * Another process took too long to fetch the same token. Remedy: retry; the error message names
 * the process.
 */
#define KEYFERRY_E_BUSY 302

/**
 * The token store cannot be used. Remedy: check the store that the error message names.
 */
#define KEYFERRY_E_STORE 303

/**
 * keyferry cannot connect to the service. Remedy: check the network and the URL in the
 * configuration; for the MASV Agent, check that it is running.
 */
#define KEYFERRY_E_UNREACHABLE 601

/**
 * The TLS connection to the server failed. Remedy: check the system clock and the URL; for a
 * private CA, set `http.ca_file`.
 */
#define KEYFERRY_E_TLS 602

/**
 * The service did not respond in time, or closed the connection too early. Remedy: retry later.
 */
#define KEYFERRY_E_NO_RESPONSE 603

/**
 * The service rejected the credential. Remedy: check it; keyferry does not send the same
 * credential again for a while. `keyferry_error_retry_after_ms` says how long.
 */
#define KEYFERRY_E_BAD_CREDENTIALS 701

/**
 * There is no valid login, and keyferry cannot log in without the user. Remedy: call `masv_login`,
 * or configure e-mail and password.
 */
#define KEYFERRY_E_LOGIN_REQUIRED 702

/**
 * The service does not know the requested item. Remedy: check its ID, and that the account has
 * access to it.
 */
#define KEYFERRY_E_NOT_FOUND 703

/**
 * The available credentials do not allow this access, or the service answers 401 for this resource
 * although the token is valid. Remedy: configure the credential or check the permission that the
 * error message names.
 */
#define KEYFERRY_E_INSUFFICIENT_ACCESS 704

/**
 * The service is rate limiting requests. Remedy: wait as long as `keyferry_error_retry_after_ms`
 * says, then retry.
 */
#define KEYFERRY_E_THROTTLED 705

/**
 * The service is unavailable (5xx). Remedy: retry later.
 */
#define KEYFERRY_E_UNAVAILABLE 706

/**
 * The response is not what the service documents. Remedy: check the URL; a proxy may have sent the
 * response.
 */
#define KEYFERRY_E_BAD_RESPONSE 707

/**
 * The service sent a redirect, which keyferry never follows with a credential. Remedy: check the
 * URL in the configuration.
 */
#define KEYFERRY_E_REDIRECTED 708

/**
 * The service does not support this operation. Remedy: use the alternative that the error message
 * names.
 */
#define KEYFERRY_E_UNSUPPORTED 709

/**
 * A plugin failed, or broke a rule of keyferry_plugin.h. Remedy: report it to the author of the
 * plugin; the error message names the plugin and the fault.
 */
#define KEYFERRY_E_PLUGIN 801

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Describes a status code in words: what happened, then the remedy.
 *
 * @param status  any number; for an unknown code, the string says that the code is unknown
 *
 * Errors:  none
 * Owner:   the string is static; never free it
 * Threads: [any]
 * Source:  the status codes in this header
 * Since:   0.1
 */
const char *keyferry_status_text(keyferry_status status);

/**
 * Returns the version of the library at run time, such as `0.1.0`.
 *
 * Errors:  none
 * Owner:   the string is static; never free it
 * Threads: [any]
 * Source:  semver.org
 * Since:   0.1
 */
const char *keyferry_version(void);

/**
 * Returns the ABI version of the library at run time. `KEYFERRY_ABI_VERSION` is the ABI
 * version of the header.
 *
 * Errors:  none
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
uint32_t keyferry_abi_version(void);

/**
 * Frees a string that keyferry returned through a parameter named `text_out`.
 *
 * @param text  the string; NULL does nothing. Taken.
 *
 * Errors:  none
 * Owner:   takes `text`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_text_free(char *text);

/**
 * Returns the status code that the failed call returned.
 *
 * @param error  NULL gives `KEYFERRY_OK`
 *
 * Errors:  none
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_error_status(const keyferry_error *error);

/**
 * Returns the error message for people. It says what is wrong and what to do about it, and names the
 * affected item, such as a file or a setting. It is one line of UTF-8 without a full stop at the
 * end.
 *
 * @param error  NULL gives NULL
 *
 * Errors:  none
 * Owner:   borrowed from `error`, valid until it is freed
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
const char *keyferry_error_message(const keyferry_error *error);

/**
 * Returns the HTTP status of the response that caused the failure.
 *
 * @param error  NULL gives 0
 * @return       the status; 0 if there was no response
 *
 * Errors:  none
 * Threads: [any]
 * Source:  RFC 9110, section 15
 * Since:   0.1
 */
int32_t keyferry_error_http_status(const keyferry_error *error);

/**
 * Returns the service's own error code.
 *
 * @param error  NULL gives 0
 * @return       the code, such as 262146 of the MASV Agent; 0 if the service sent none
 *
 * Errors:  none
 * Threads: [any]
 * Source:  MASV API and MASV Agent, error bodies
 * Since:   0.1
 */
int64_t keyferry_error_service_code(const keyferry_error *error);

/**
 * Returns how long to wait before a retry.
 *
 * @param error  NULL gives 0
 * @return       milliseconds; 0 if no time is known
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
 * Owner:   takes `error` and its message
 * Threads: [any], but not while another call uses `error`
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_error_free(keyferry_error *error);

/**
 * Creates an empty configuration.
 *
 * Reads no file and no environment variable. Tokens are cached in memory and not stored, unless
 * `store` is set.
 *
 * @param config_out  receives the configuration
 * @param error_out   receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `config_out` is NULL
 * Owner:   the caller frees the configuration with `keyferry_config_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_config_new(keyferry_config **config_out, keyferry_error **error_out);

/**
 * Loads a configuration from a file and from the environment. An environment variable overrides
 * the file.
 *
 * In a process with raised privilege (setuid, setgid, file capabilities), this function loads only
 * a file that `path` names, and reads no environment variable.
 *
 * @param path        the file, in any encoding; NULL for `keyferry/config.toml` in the user's configuration
 *                    directory; that file need not exist. Borrowed.
 * @param config_out  receives the configuration
 * @param error_out   receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `config_out` is NULL;
 *          KEYFERRY_E_CONFIG if the configuration cannot be read or is invalid: the error message
 *            names the file, the key and the line; or if `path` is NULL and the process has raised
 *            privilege: the error message names AT_SECURE;
 *          KEYFERRY_E_UNSAFE_FILE if the file contains secrets and other users can read or change
 *            it: the error message gives the `chmod` command
 * Owner:   the caller frees the configuration with `keyferry_config_free`
 * Threads: [any]; no thread may change the environment during the call
 * Source:  docs/configuration.md
 * Since:   0.1
 */
keyferry_status keyferry_config_load(const char *path, keyferry_config **config_out, keyferry_error **error_out);

/**
 * Sets one value, which overrides the file and the environment.
 *
 * The value is always literal. For example, `env:X` is the password `env:X`, and not a reference
 * to the environment variable `X`.
 *
 * @param config     the configuration
 * @param key        the key of a setting, such as `masv.api_key`, `http.timeout_ms` or
 *                   `profile.NAME.masv.team`; UTF-8. docs/configuration.md lists all
 *                   keys. Borrowed.
 * @param value      UTF-8. Borrowed and copied; `keyferry_config_free` wipes the copy.
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `config`, `key` or `value` is NULL;
 *          KEYFERRY_E_NOT_UTF8 if `key` or `value` is not UTF-8;
 *          KEYFERRY_E_CONFIG if there is no such key: the error message names the most similar
 *            one;
 *          KEYFERRY_E_INVALID_VALUE if the value is out of range or contains a control character
 * Owner:   ownership does not change
 * Threads: [one]: no other call may use `config` at the same time
 * Source:  docs/configuration.md
 * Since:   0.1
 */
keyferry_status keyferry_config_set(keyferry_config *config,
                                    const char *key,
                                    const char *value,
                                    keyferry_error **error_out);

/**
 * Frees a configuration. A session that was opened with it keeps working: it has a copy
 * of the settings.
 *
 * @param config  NULL does nothing. Taken.
 *
 * Errors:  none
 * Owner:   takes `config` and wipes its secrets
 * Threads: [one]: no other call may be using `config`
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_config_free(keyferry_config *config);

/**
 * Creates a request for a resource.
 *
 * @param resource     as for `masv_token_for`. A misspelt short form is an error of the function that uses the
 *                     request. Borrowed and copied.
 * @param request_out  receives the request
 * @param error_out    receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `resource` or `request_out` is NULL;
 *          KEYFERRY_E_NOT_UTF8 if `resource` is not UTF-8;
 *          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed
 * Owner:   the caller frees the request with `keyferry_request_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_request_new(const char *resource, keyferry_request **request_out, keyferry_error **error_out);

/**
 * Sets how long the token must stay valid. keyferry refreshes a token that expires sooner.
 *
 * If the service issues only tokens with a shorter lifetime, keyferry returns the freshest one;
 * `keyferry_token_expires_unix_s` gives its expiry.
 *
 * @param request      the request
 * @param min_valid_s  seconds; with 0, the default, keyferry refreshes the token only in its refresh windows (see
 *                     "Refresh" at the top of this file)
 * @param error_out    receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL
 * Owner:   ownership does not change
 * Threads: [one]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_request_set_min_valid_s(keyferry_request *request,
                                                 uint32_t min_valid_s,
                                                 keyferry_error **error_out);

/**
 * Sets the access that the token must allow, instead of the access that the resource implies.
 *
 * @param request    the request
 * @param access     one of `KEYFERRY_ACCESS_`
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL;
 *          KEYFERRY_E_INVALID_VALUE if `access` is not one of `KEYFERRY_ACCESS_`
 * Owner:   ownership does not change
 * Threads: [one]
 * Source:  MASV API, package tokens
 * Since:   0.1
 */
keyferry_status keyferry_request_set_access(keyferry_request *request, int32_t access, keyferry_error **error_out);

/**
 * Sets the account to use instead of the default account.
 *
 * This function does not check whether a profile has the name. If none has it, the first call that uses the
 * request returns KEYFERRY_E_NOT_CONFIGURED.
 *
 * @param request    the request
 * @param account    the name of a profile in the configuration, UTF-8; NULL for the default account. Borrowed and
 *                   copied.
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL;
 *          KEYFERRY_E_NOT_UTF8 if `account` is not UTF-8
 * Owner:   ownership does not change
 * Threads: [one]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_request_set_account(keyferry_request *request,
                                             const char *account,
                                             keyferry_error **error_out);

/**
 * Sets the password of a password-protected link.
 *
 * @param request    the request
 * @param password   UTF-8; NULL for no password. Borrowed and copied; `keyferry_request_free` wipes the copy.
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL;
 *          KEYFERRY_E_NOT_UTF8 if `password` is not UTF-8;
 *          KEYFERRY_E_INVALID_VALUE if `password` is empty, longer than 16 KiB or contains a
 *            control character
 * Owner:   ownership does not change
 * Threads: [one]
 * Source:  MASV API, `GET /v1/links/{link_id}`, header X-Link-Password
 * Since:   0.1
 */
keyferry_status keyferry_request_set_link_password(keyferry_request *request,
                                                   const char *password,
                                                   keyferry_error **error_out);

/**
 * Makes the request log in to MASV with e-mail and password, as `masv_login` does, even if a token
 * is cached or stored. So a login can wait in an event loop, or have its own account and timeout.
 *
 * @param request    a request for the resource `user`
 * @param email      UTF-8; NULL for the configured `masv.email`. Borrowed and copied.
 * @param password   UTF-8; NULL for the configured `masv.password`. Borrowed and copied; `keyferry_request_free`
 *                   wipes the copy.
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL;
 *          KEYFERRY_E_NOT_UTF8 if `email` or `password` is not UTF-8;
 *          KEYFERRY_E_INVALID_VALUE if `email` or `password` is longer than 16 KiB, or if the
 *            resource is not `user`
 * Owner:   ownership does not change
 * Threads: [one]
 * Source:  MASV API, `POST /v1/auth`
 * Since:   0.1
 */
keyferry_status keyferry_request_set_login(keyferry_request *request,
                                           const char *email,
                                           const char *password,
                                           keyferry_error **error_out);

/**
 * Sets how long a call with this request may wait for its token.
 *
 * @param request     the request
 * @param timeout_ms  milliseconds, 1 to 600000 (10 minutes); 0, the default, for the configured `http.timeout_ms`
 * @param error_out   receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL;
 *          KEYFERRY_E_INVALID_VALUE if `timeout_ms` is above 600000
 * Owner:   ownership does not change
 * Threads: [one]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_request_set_timeout_ms(keyferry_request *request,
                                                uint32_t timeout_ms,
                                                keyferry_error **error_out);

/**
 * Cancels a request for good. All calls that use the request, both waiting and later ones, return
 * `KEYFERRY_E_CANCELLED`.
 *
 * A fetch that has started goes on for other callers that wait for the same token.
 *
 * @param request  NULL does nothing
 *
 * Errors:  none
 * Owner:   ownership does not change
 * Threads: [any], even while another call uses `request`
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_request_cancel(const keyferry_request *request);

/**
 * Gets the result of `keyferry_session_start`: the token, or the error.
 *
 * Call this function after the descriptor of `keyferry_session_start` has become readable. It never waits.
 * Afterwards, the request can be started again.
 *
 * @param request    the started request
 * @param token_out  receives the token
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  all errors of `keyferry_session_token_for`;
 *          KEYFERRY_E_NULL_ARGUMENT if `request` or `token_out` is NULL;
 *          KEYFERRY_E_INVALID_VALUE if the request is not started or has no result yet;
 *          KEYFERRY_E_FORKED if `request` was created before a fork
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]; only one call gets the result
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_request_token(const keyferry_request *request,
                                       keyferry_token **token_out,
                                       keyferry_error **error_out);

/**
 * Frees a request and wipes its passwords. A fetch that `keyferry_session_start` has started
 * with this request is cancelled, as with `keyferry_request_cancel`.
 *
 * @param request  NULL does nothing. Taken.
 *
 * Errors:  none
 * Owner:   takes `request`
 * Threads: [one]: no other call may be using `request`. If another thread waits with it, call
 *          `keyferry_request_cancel`, and free the request after that thread's call has returned.
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_request_free(keyferry_request *request);

/**
 * Returns the number of headers of the token. A token of a built-in service has one header.
 *
 * @param token  NULL gives 0
 *
 * Errors:  none
 * Threads: [any]
 * Source:  API documentation of the services, headers
 * Since:   0.1
 */
size_t keyferry_token_header_count(const keyferry_token *token);

/**
 * Returns the name of a header, such as `X-User-Token` or `Authorization`.
 *
 * @param token  NULL gives NULL
 * @param index  from 0; an index of `keyferry_token_header_count` or more gives NULL
 *
 * Errors:  none
 * Owner:   borrowed from `token`, valid until it is freed
 * Threads: [any]
 * Source:  API documentation of the services, headers
 * Since:   0.1
 */
const char *keyferry_token_header_name(const keyferry_token *token, size_t index);

/**
 * Returns the complete value of a header, such as `Bearer eyJ…` for `Authorization`. The value is
 * a secret: do not log it, and do not pass it as a command-line argument.
 *
 * @param token  NULL gives NULL
 * @param index  from 0; an index of `keyferry_token_header_count` or more gives NULL
 *
 * Errors:  none
 * Owner:   borrowed from `token`, valid until it is freed; `keyferry_token_free` wipes it
 * Threads: [any]
 * Source:  API documentation of the services, headers
 * Since:   0.1
 */
const char *keyferry_token_header_value(const keyferry_token *token, size_t index);

/**
 * Returns the value of the first header. A scheme such as `Bearer` is removed from the value. The
 * value is a secret.
 *
 * @param token  NULL gives NULL
 *
 * Errors:  none
 * Owner:   borrowed from `token`, valid until it is freed; `keyferry_token_free` wipes it
 * Threads: [any]
 * Source:  API documentation of the services, headers
 * Since:   0.1
 */
const char *keyferry_token_value(const keyferry_token *token);

/**
 * Returns the name of the service that the token is for, such as `masv` or `fileverbs`.
 *
 * @param token  NULL gives NULL
 *
 * Errors:  none
 * Owner:   borrowed from `token`, valid until it is freed
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
const char *keyferry_token_service(const keyferry_token *token);

/**
 * Returns the kind of the token: one of `KEYFERRY_TOKEN_KIND_`.
 *
 * @param token  NULL gives 0
 *
 * Errors:  none
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
int32_t keyferry_token_kind(const keyferry_token *token);

/**
 * Returns the access that the token allows: one of `KEYFERRY_ACCESS_`.
 *
 * @param token  NULL gives `KEYFERRY_ACCESS_ANY`
 *
 * Errors:  none
 * Threads: [any]
 * Source:  MASV API, package tokens
 * Since:   0.1
 */
int32_t keyferry_token_access(const keyferry_token *token);

/**
 * Returns the expiry of the token.
 *
 * @param token  NULL gives 0
 * @return       seconds since 1970, UTC, by the clock of the service; `KEYFERRY_NO_EXPIRY` if the token is valid
 *               until the service rejects it
 *
 * Errors:  none
 * Threads: [any]
 * Source:  RFC 7519, section 4.1.4 (exp), otherwise the response of the service
 * Since:   0.1
 */
int64_t keyferry_token_expires_unix_s(const keyferry_token *token);

/**
 * Returns the generation of the token, a number that orders the tokens of one resource. A newer
 * token has a greater number, in all processes that share a store.
 *
 * @param token  NULL gives 0
 *
 * Errors:  none
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
uint64_t keyferry_token_generation(const keyferry_token *token);

/**
 * Returns other data that the service sent with the token, as a JSON object without secrets. For a
 * user token, the object has `user` and `teams` as the service sent them.
 *
 * @param token  NULL gives NULL
 *
 * Errors:  none
 * Owner:   borrowed from `token`, valid until it is freed
 * Threads: [any]
 * Source:  MASV API, `POST /v1/auth`; FileVerbs API, `POST /accounts/access-token`
 * Since:   0.1
 */
const char *keyferry_token_details_json(const keyferry_token *token);

/**
 * Frees a token and wipes its memory.
 *
 * @param token  NULL does nothing. Taken.
 *
 * Errors:  none
 * Owner:   takes `token`; all strings borrowed from it become invalid
 * Threads: [any], but not while another call uses `token`
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_token_free(keyferry_token *token);

/**
 * Opens a session.
 *
 * Makes no network request. Starts threads only to initialise the configured plugins. If a plugin
 * cannot be used, this function still succeeds. Only calls that need this plugin fail; their error
 * message gives the reason.
 *
 * @param config       NULL for the user's `config.toml` and the environment. Borrowed and copied.
 * @param session_out  receives the session
 * @param error_out    receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `session_out` is NULL;
 *          KEYFERRY_E_CONFIG or KEYFERRY_E_UNSAFE_FILE if the configuration cannot be used: the
 *            error message names the key. KEYFERRY_E_CONFIG also if the process has raised
 *            privilege (setuid, setgid, file capabilities) and `config` is NULL or has settings
 *            that such a process cannot use: the error message names AT_SECURE;
 *          KEYFERRY_E_NOT_CONFIGURED if the selected `profile` does not exist
 * Owner:   the caller frees the session with `keyferry_session_free`
 * Threads: [any], but no other call may be changing or freeing `config`
 * Source:  docs/configuration.md
 * Since:   0.1
 */
keyferry_status keyferry_session_open(const keyferry_config *config,
                                      keyferry_session **session_out,
                                      keyferry_error **error_out);

/**
 * Closes and frees a session, and ends its threads within one second. It cancels running logins and
 * refreshes. A refresh that was sent may still be answered and stored during that second. Tokens and errors of
 * the session stay valid.
 *
 * Other threads may be using the session. Their calls return KEYFERRY_E_CANCELLED, and this function
 * waits for them, at most one second. If a call takes longer, for example because a plugin hangs,
 * the memory of the session is freed when that call returns.
 *
 * @param session  NULL does nothing. In a forked child, keyferry does not free a session from before the fork.
 *                 Taken.
 *
 * Errors:  none
 * Owner:   takes `session`; no new call may use it
 * Threads: [any], even while other calls use `session`
 * Source:  keyferry
 * Since:   0.1
 */
void keyferry_session_free(keyferry_session *session);

/**
 * Gets the headers for the resource of a request.
 *
 * Uses the cached token if it is fresh; otherwise loads a token from the store or requests one
 * from the service.
 *
 * @param session    NULL for the default session
 * @param request    the resource and the requirements for its token. Borrowed.
 * @param token_out  receives the token
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  all errors of `masv_token_for` and `fileverbs_bearer`;
 *          KEYFERRY_E_NULL_ARGUMENT if `request` or `token_out` is NULL;
 *          KEYFERRY_E_FORKED if `session` or `request` was created before a fork;
 *          KEYFERRY_E_CANCELLED if `request` is cancelled
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]; if several threads need the same token, keyferry fetches it once
 * Source:  API documentation of the services
 * Since:   0.1
 */
keyferry_status keyferry_session_token_for(const keyferry_session *session,
                                           const keyferry_request *request,
                                           keyferry_token **token_out,
                                           keyferry_error **error_out);

/**
 * Starts a call of `keyferry_session_token_for` on a thread of keyferry, and returns at once. A
 * program with an event loop can wait for the token in this way without a thread of its own.
 *
 * `fd_out` receives the reading end of a pipe, which the program adds to its event loop. When it becomes readable,
 * `keyferry_request_token` returns the token or the error. If the resource needs a login, the login
 * may still run when the program closes the descriptor, cancels or frees the request, or ends: it then goes
 * on for other callers.
 *
 * @param session    NULL for the default session
 * @param request    the resource and the requirements for its token; it holds the result. Borrowed and copied: it
 *                   may be freed at any time.
 * @param fd_out     receives a file descriptor, or -1 on failure
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` or `fd_out` is NULL;
 *          KEYFERRY_E_INVALID_VALUE if `request` is started already and its result was not taken;
 *          KEYFERRY_E_UNREACHABLE if no pipe can be created, because the process has too many open files;
 *          KEYFERRY_E_FORKED if `session` or `request` was created before a fork.
 *          `keyferry_request_token` returns all other errors.
 * Owner:   the caller closes the descriptor with `close`
 * Threads: [any]; if several threads need the same token, keyferry fetches it once
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_start(const keyferry_session *session,
                                       const keyferry_request *request,
                                       int32_t *fd_out,
                                       keyferry_error **error_out);

/**
 * Gets an unexpired token from the cache.
 *
 * Does not read the store and makes no network request. The first use of the default session opens
 * it, which reads the configuration.
 *
 * @param session    NULL for the default session
 * @param request    the resource and the requirements for its token. Borrowed.
 * @param token_out  receives the token
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NOT_CACHED if no unexpired token is cached, or if the cached token expires
 *            before the required time has passed. That time is `min_valid_s` seconds, or half of
 *            the token's lifetime if `min_valid_s` exceeds the whole lifetime;
 *          KEYFERRY_E_NULL_ARGUMENT if `request` or `token_out` is NULL;
 *          KEYFERRY_E_INVALID_RESOURCE if the resource is a misspelt short form;
 *          KEYFERRY_E_UNKNOWN_SERVICE if the resource belongs to no configured service;
 *          KEYFERRY_E_NO_HEADER if the resource takes no credential header;
 *          KEYFERRY_E_NOT_CONFIGURED if the account does not exist;
 *          KEYFERRY_E_FORKED if `session` or `request` was created before a fork
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
 * Copies the header line `Name: value` of a fresh cached token into a buffer, followed by a NUL.
 *
 * Does not read the store and makes no network request. Allocates memory in two cases only: for a
 * MASV link (`links/ID?secret=S`), and for a URL that keyferry must normalize. Examples are a URL
 * with upper-case letters in its host, and a URL with percent-encoded characters. The first use of
 * the default session opens it, which reads the configuration.
 *
 * When the token becomes due for a refresh, exactly one call of this function returns
 * KEYFERRY_E_NOT_CACHED, although the token is still valid. That caller should call
 * `keyferry_session_token_for`, which starts the refresh. All other calls still return the token.
 *
 * @param session     NULL for the default session
 * @param resource    as for `masv_token_for`. Borrowed.
 * @param buffer      receives the line; may be NULL if `capacity` is 0. After any status other than KEYFERRY_OK it
 *                    may contain bytes of a token.
 * @param capacity    the size of `buffer` in bytes; a line is shorter than 17000 bytes
 * @param length_out  receives the length of the line in bytes without NUL, even if the status is
 *                    KEYFERRY_E_BUFFER_TOO_SMALL; may be NULL
 *
 * Errors:  KEYFERRY_E_NOT_CACHED if no fresh token is cached: call `keyferry_session_token_for`;
 *          KEYFERRY_E_BUFFER_TOO_SMALL if the line and its NUL do not fit;
 *          KEYFERRY_E_MULTIPLE_HEADERS if the token has more than one header;
 *          KEYFERRY_E_NULL_ARGUMENT if `resource` is NULL, or if `buffer` is NULL and `capacity`
 *            is not 0;
 *          KEYFERRY_E_NOT_UTF8 if `resource` is not UTF-8;
 *          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
 *          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
 *          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   ownership does not change; the line is a secret: wipe `buffer` whatever the status is
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
 * Reports that the service answered 401 to a token. This function does not name the resource. From
 * then on, this session no longer returns the token for any resource. All other sessions and processes go on using
 * the token until a newer one is stored. A newer token is not affected.
 *
 * The next call that needs the token finds out whether the token is still valid, in the way that
 * `keyferry_session_reject_value` describes. If it is valid, this session returns it again after 10
 * seconds. Prefer `keyferry_session_reject_value`, which names the resource. This function makes no
 * network request.
 *
 * @param session    NULL for the default session
 * @param token      the token. Borrowed; it may come from another session with the same account.
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `token` is NULL;
 *          KEYFERRY_E_STORE if the store cannot be written;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   ownership does not change: the caller still frees `token`
 * Threads: [any]
 * Source:  RFC 9110, section 15.5.2
 * Since:   0.1
 */
keyferry_status keyferry_session_reject(const keyferry_session *session,
                                        const keyferry_token *token,
                                        keyferry_error **error_out);

/**
 * Reports that the service answered 401 to a header value at a resource. Does nothing unless the
 * value belongs to the current token of the resource.
 *
 * From then on, keyferry no longer returns this token for this resource, in any process. It goes on
 * returning the token for all other resources until a newer token is stored. keyferry ignores the resource's
 * query, and remembers the last 64 resources of each token.
 *
 * The next call for the resource finds out whether the token is still valid: keyferry sends a
 * request that the service accepts with every valid token. If the token is not valid, the call returns a new one. If the token
 * is valid, the call returns KEYFERRY_E_INSUFFICIENT_ACCESS. If the service has no such request,
 * keyferry replaces the token, but at most once in 10 seconds. This interval grows to 1 minute, 10
 * minutes and 1 hour if the new tokens are rejected too. During the interval, the call returns
 * KEYFERRY_E_BAD_CREDENTIALS, and `keyferry_error_retry_after_ms` says how long to wait. A
 * configured API key or SecretKey cannot be replaced; keyferry returns it again after the interval.
 *
 * Makes no network request itself.
 *
 * @param session    NULL for the default session
 * @param resource   the resource that the value was returned for. Borrowed.
 * @param value      the value of the header, with or without `Bearer `; UTF-8. Borrowed.
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `resource` or `value` is NULL;
 *          KEYFERRY_E_NOT_UTF8 if `resource` or `value` is not UTF-8;
 *          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
 *          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
 *          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
 *          KEYFERRY_E_STORE if the store cannot be written;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   ownership does not change
 * Threads: [any]
 * Source:  RFC 9110, section 15.5.2
 * Since:   0.1
 */
keyferry_status keyferry_session_reject_value(const keyferry_session *session,
                                              const char *resource,
                                              const char *value,
                                              keyferry_error **error_out);

/**
 * Adds a token that the caller got from the service without keyferry. Examples are the token of a
 * package that the caller created in a Portal (a MASV team's upload page), and the token of a
 * transfer that the caller started.
 *
 * Caches and stores the token. Makes no network request.
 *
 * @param session         NULL for the default session
 * @param resource        `packages/ID`, `transfers/ID`, or the URL of a package or transfer. Borrowed.
 * @param value           the token, UTF-8. Borrowed and copied.
 * @param expires_unix_s  the expiry in seconds since 1970; `KEYFERRY_NO_EXPIRY` if the caller does not know the
 *                        expiry: keyferry then reads it from the token
 * @param error_out       receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `resource` or `value` is NULL;
 *          KEYFERRY_E_NOT_UTF8 if `resource` or `value` is not UTF-8;
 *          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
 *          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
 *          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
 *          KEYFERRY_E_INVALID_VALUE if `value` cannot be a token, or the token has expired;
 *          KEYFERRY_E_UNSUPPORTED if a token of `resource` cannot be added;
 *          KEYFERRY_E_STORE if the store cannot be written;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   ownership does not change
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
 * Removes everything that keyferry caches or stores for a resource: the token, the secret that
 * refreshes the token, and recorded rejections of a credential. Other processes remove their
 * copies when they next read the store.
 *
 * Makes no network request.
 *
 * @param session    NULL for the default session
 * @param resource   NULL for all resources of all accounts; otherwise as for `masv_token_for`. Borrowed.
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NOT_UTF8 if `resource` is not UTF-8;
 *          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
 *          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
 *          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
 *          KEYFERRY_E_STORE or KEYFERRY_E_UNSAFE_FILE if data cannot be removed from the store;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   ownership does not change
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_forget(const keyferry_session *session,
                                        const char *resource,
                                        keyferry_error **error_out);

/**
 * Explains how keyferry would get a token for a resource, and why. The explanation names
 * the service, the account and the token's identifier in the cache. It describes the cached or
 * stored token and its refresh times, but does not contain the token. `origin` says where the token
 * comes from: `memory`, `store`, `setting` (a configured secret is the token) or `service`. `fetch` is
 * the first step if the token must be fetched, else null. Its `step` is `use_secret`, `log_in`, `ask`,
 * `read_secret`, `call_plugin` or `fail`; if it is `fail`, its `failure` has the error and the time of it. `settings` lists
 * the credential settings that the fetch would use, and the source of each.
 *
 * Reads the store, and secrets in values, variables and files. Starts no program, and makes no
 * network request.
 *
 * @param session    NULL for the default session
 * @param resource   as for `masv_token_for`. Borrowed.
 * @param text_out   receives a JSON object without secrets
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `resource` or `text_out` is NULL;
 *          KEYFERRY_E_NOT_UTF8 if `resource` is not UTF-8;
 *          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
 *          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
 *          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   the caller frees the string with `keyferry_text_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_explain(const keyferry_session *session,
                                         const char *resource,
                                         char **text_out,
                                         keyferry_error **error_out);

/**
 * Lists the cached and the stored tokens, without their values.
 *
 * Reads the store. Makes no network request.
 *
 * @param session    NULL for the default session
 * @param text_out   receives a JSON array without secrets. Each element has `service`, `account`, `kind`, `id`,
 *                   `access`, `generation`, `expires_unix_s`, and `expires_here_unix_s`, which is the expiry by
 *                   the clock of this machine. Both times are null if the token has no expiry.
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `text_out` is NULL;
 *          KEYFERRY_E_STORE or KEYFERRY_E_UNSAFE_FILE if the store cannot be read;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   the caller frees the string with `keyferry_text_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_list(const keyferry_session *session, char **text_out, keyferry_error **error_out);

/**
 * Gets the counters of the session, such as flights, waits, logins, refreshes and rejected tokens.
 * A flight is one fetch that several callers share.
 *
 * Cache hits are not counted, because counting would slow them down. Makes no network request.
 *
 * @param session    NULL for the default session
 * @param text_out   receives a JSON object of numbers
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `text_out` is NULL;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   the caller frees the string with `keyferry_text_free`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_session_stats(const keyferry_session *session, char **text_out, keyferry_error **error_out);

/**
 * Logs in to MASV with e-mail and password.
 *
 * Always sends one `POST /v1/auth`, even if MASV rejected an earlier login. keyferry caches and
 * stores the token under the session's account, so that `masv_token_for` can use it. When the
 * token expires and no password is configured, `masv_token_for` returns KEYFERRY_E_LOGIN_REQUIRED.
 *
 * @param session    NULL for the default session
 * @param email      UTF-8; NULL for the configured `masv.email`. Borrowed.
 * @param password   UTF-8; NULL for the configured `masv.password`. Borrowed; keyferry wipes its copy.
 * @param token_out  receives the user token, whose details have `user` and `teams`; may be NULL
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NOT_CONFIGURED if e-mail or password is neither passed nor configured;
 *          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE or KEYFERRY_E_PLUGIN if a configured
 *            e-mail or password cannot be read;
 *          KEYFERRY_E_BAD_CREDENTIALS if the password is wrong, or if the account uses MFA or SSO
 *            and therefore needs an API key;
 *          KEYFERRY_E_NOT_FOUND or KEYFERRY_E_UNSUPPORTED if the server at `masv.url` is not MASV;
 *          KEYFERRY_E_UNREACHABLE, KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED,
 *            KEYFERRY_E_UNAVAILABLE, KEYFERRY_E_BAD_RESPONSE or KEYFERRY_E_REDIRECTED if the
 *            request fails;
 *          KEYFERRY_E_TIMEOUT if the request times out;
 *          KEYFERRY_E_NOT_UTF8 if `email` or `password` is not UTF-8;
 *          KEYFERRY_E_INVALID_VALUE if e-mail or password is empty, longer than 16 KiB or contains
 *            a control character;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
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
 * Gets the headers for a resource of any service. A path without a service name belongs to MASV.
 *
 * Uses the cached token if it is fresh; otherwise loads a token from the store or requests one
 * from the service. Does the same as `keyferry_session_token_for` with a request for which only
 * the resource is set.
 *
 * @param session    NULL for the default session
 * @param resource   a URL of a service; a link copied from get.massive.io; exactly one of the short forms
 *                   `user`, `packages/ID`, `packages/ID/transfers/ID`, `transfers/ID`, `links/ID?secret=S`,
 *                   `fileverbs:bearer`, `fileverbs:secret-key` and `agent:session`; `SERVICE:/PATH` for the URL of
 *                   PATH at a service, such as `masv:/v1/teams`; or `PLUGIN:PATH` for a route of a plugin. UTF-8.
 *                   Borrowed.
 * @param token_out  receives the token
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `resource` or `token_out` is NULL;
 *          KEYFERRY_E_NOT_UTF8 if `resource` is not UTF-8;
 *          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
 *          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
 *          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
 *          KEYFERRY_E_NOT_CONFIGURED if a required setting is missing;
 *          KEYFERRY_E_LOGIN_REQUIRED if the user must log in;
 *          KEYFERRY_E_BAD_CREDENTIALS if the service rejects the credential;
 *          KEYFERRY_E_NOT_FOUND if the service does not know the requested item;
 *          KEYFERRY_E_INSUFFICIENT_ACCESS if the available credentials do not allow the access:
 *            for example, a download from a MASV package requires a link to the package;
 *          KEYFERRY_E_UNSUPPORTED if the service does not support the operation;
 *          KEYFERRY_E_SECRET_SOURCE or KEYFERRY_E_UNSAFE_FILE if a secret cannot be read;
 *          KEYFERRY_E_PLUGIN if a required plugin fails;
 *          KEYFERRY_E_UNREACHABLE, KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED,
 *            KEYFERRY_E_UNAVAILABLE, KEYFERRY_E_BAD_RESPONSE or KEYFERRY_E_REDIRECTED if the
 *            request fails;
 *          KEYFERRY_E_TIMEOUT if the request times out;
 *          KEYFERRY_E_BUSY if another process takes too long to fetch the token;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]; if several threads need the same token, keyferry fetches it once
 * Source:  API documentation of the services
 * Since:   0.1
 */
keyferry_status masv_token_for(const keyferry_session *session,
                               const char *resource,
                               keyferry_token **token_out,
                               keyferry_error **error_out);

/**
 * Gets the user who is signed in to the MASV Agent on this machine.
 *
 * Sends a request to the agent, never through a proxy. Does not use the cache.
 *
 * @param session    NULL for the default session
 * @param text_out   receives a JSON object with `user` and `teams`, as the agent sent them
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `text_out` is NULL;
 *          KEYFERRY_E_LOGIN_REQUIRED if no user is signed in to the agent;
 *          KEYFERRY_E_UNREACHABLE if no agent is running: the error message says how to start one;
 *          KEYFERRY_E_UNSUPPORTED if the server at `agent.url` is not a MASV Agent;
 *          KEYFERRY_E_TIMEOUT if the request times out;
 *          KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE,
 *            KEYFERRY_E_BAD_RESPONSE or KEYFERRY_E_REDIRECTED if the request fails;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   the caller frees the string with `keyferry_text_free`
 * Threads: [any]
 * Source:  MASV Agent, `GET /api/v1/login` and `GET /api/v1/teams`
 * Since:   0.1
 */
keyferry_status masv_agent_session(const keyferry_session *session, char **text_out, keyferry_error **error_out);

/**
 * Signs in to the MASV Agent, which then acts as this user for all programs on the machine.
 *
 * Sends a request to the agent, never through a proxy. Does not use the cache.
 *
 * @param session    NULL for the default session
 * @param email      UTF-8; NULL for the configured `masv.email`. Borrowed.
 * @param password   UTF-8; NULL for the configured `masv.password`. Borrowed; keyferry wipes its copy.
 * @param text_out   receives a JSON object with `user` and `teams`; may be NULL
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  all errors of `masv_agent_session`;
 *          KEYFERRY_E_NOT_CONFIGURED if e-mail or password is neither passed nor configured;
 *          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE or KEYFERRY_E_PLUGIN if a configured
 *            e-mail or password cannot be read;
 *          KEYFERRY_E_BAD_CREDENTIALS if the agent rejects e-mail or password;
 *          KEYFERRY_E_NOT_UTF8 if `email` or `password` is not UTF-8;
 *          KEYFERRY_E_INVALID_VALUE if e-mail or password is empty, longer than 16 KiB or contains
 *            a control character;
 *          KEYFERRY_E_UNSUPPORTED if this agent accepts only an API key: the error message says
 *            how to set it
 * Owner:   the caller frees the string with `keyferry_text_free`
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
 * Creates a MASV account through an old MASV Transfer Agent, which then signs in to
 * this account. Only the application calls this function; keyferry never does so by itself.
 *
 * Sends a request to the agent, never through a proxy. Does not use the cache.
 *
 * @param session    NULL for the default session
 * @param email      UTF-8. Borrowed.
 * @param password   UTF-8. Borrowed; keyferry wipes its copy.
 * @param name       the name of the person, UTF-8. Borrowed.
 * @param text_out   receives a JSON object with `user` and `teams`; may be NULL
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  all errors of `masv_agent_session`;
 *          KEYFERRY_E_NULL_ARGUMENT if `email`, `password` or `name` is NULL;
 *          KEYFERRY_E_NOT_UTF8 if `email`, `password` or `name` is not UTF-8;
 *          KEYFERRY_E_INVALID_VALUE if `email`, `password` or `name` is longer than 16 KiB, or if
 *            `email` or `password` is empty or contains a control character;
 *          KEYFERRY_E_BAD_CREDENTIALS if the agent rejects the new account;
 *          KEYFERRY_E_UNSUPPORTED if this agent cannot create accounts: only the old MASV Transfer
 *            Agent can create them
 * Owner:   the caller frees the string with `keyferry_text_free`
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
 * Gets the `Authorization: Bearer` header of FileVerbs. keyferry refreshes the token when it is
 * due.
 *
 * Uses the cached token if it is fresh; otherwise loads a token from the store or requests one
 * from the service.
 *
 * @param session    NULL for the default session
 * @param token_out  receives the token
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `token_out` is NULL;
 *          KEYFERRY_E_NOT_CONFIGURED if `fileverbs.secret_key` or `fileverbs.api_key` is not set;
 *          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE or KEYFERRY_E_PLUGIN if one of these
 *            keys cannot be read;
 *          KEYFERRY_E_BAD_CREDENTIALS if FileVerbs rejects the keys;
 *          KEYFERRY_E_UNSUPPORTED if the server at `fileverbs.url` is not FileVerbs;
 *          KEYFERRY_E_UNREACHABLE, KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED,
 *            KEYFERRY_E_UNAVAILABLE, KEYFERRY_E_BAD_RESPONSE or KEYFERRY_E_REDIRECTED if the
 *            request fails;
 *          KEYFERRY_E_TIMEOUT if the request times out;
 *          KEYFERRY_E_BUSY if another process takes too long to fetch the token;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]; if several threads need the token at the same time, keyferry fetches it once
 * Source:  FileVerbs API, `POST /accounts/access-token`
 * Since:   0.1
 */
keyferry_status fileverbs_bearer(const keyferry_session *session,
                                 keyferry_token **token_out,
                                 keyferry_error **error_out);

/**
 * Gets the configured `SecretKey` header of FileVerbs as a token. This header is for
 * machine-to-machine requests.
 *
 * Makes no network request, unless a plugin supplies the secret.
 *
 * @param session    NULL for the default session
 * @param token_out  receives the token
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `token_out` is NULL;
 *          KEYFERRY_E_NOT_CONFIGURED if `fileverbs.secret_key` is not set;
 *          KEYFERRY_E_SECRET_SOURCE or KEYFERRY_E_UNSAFE_FILE if the setting cannot be read;
 *          KEYFERRY_E_PLUGIN, KEYFERRY_E_TIMEOUT, KEYFERRY_E_UNREACHABLE, KEYFERRY_E_TLS,
 *            KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE,
 *            KEYFERRY_E_BAD_RESPONSE or KEYFERRY_E_REDIRECTED if a plugin supplies the secret and
 *            fails;
 *          KEYFERRY_E_BAD_CREDENTIALS for a while after the secret was rejected;
 *          KEYFERRY_E_FORKED if `session` was opened before a fork
 * Owner:   the caller frees the token with `keyferry_token_free`
 * Threads: [any]
 * Source:  FileVerbs API, SecretKey (in the portal: Integration, API Secret)
 * Since:   0.1
 */
keyferry_status fileverbs_secret_key(const keyferry_session *session,
                                     keyferry_token **token_out,
                                     keyferry_error **error_out);

/**
 * Sets the function that receives the log messages of the whole library. The messages contain no
 * secrets.
 *
 * `callback` replaces the callback or the pipe that was set before: keyferry waits until no call of
 * the previous callback is running, and then runs the finalizer of the previous callback. A forked
 * child logs nothing until it calls this function itself, and never runs the finalizer of a callback
 * of its parent.
 *
 * @param level      the most detailed level to log: one of `KEYFERRY_LOG_`
 * @param callback   receives the messages; NULL turns the log off, and `finalizer` then runs at once
 * @param user_data  is passed to `callback`; may be NULL. Taken.
 * @param finalizer  frees `user_data`; may be NULL
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_INVALID_VALUE if `level` is not one of `KEYFERRY_LOG_`;
 *          KEYFERRY_E_REENTRANT if a log callback calls this function;
 *          after either error the caller still owns `user_data`
 * Owner:   keyferry owns `user_data` until `finalizer` has run
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_log_set_callback(int32_t level,
                                          keyferry_log_callback callback,
                                          void *user_data,
                                          keyferry_log_finalizer finalizer,
                                          keyferry_error **error_out);

/**
 * Sends the log messages of the whole library to a pipe, for a program with an event loop. The
 * messages contain no secrets.
 *
 * `fd_out` receives the reading end. Each message is one line of UTF-8: the digit of its level, a
 * space, the message. A line has at most 4096 bytes; a longer message is cut.
 *
 * keyferry never waits for the reader. If the pipe is full, messages are lost, and the next line
 * says how many.
 *
 * The pipe replaces the callback or the pipe that was set before. The reader of a pipe that was
 * replaced reads the rest, and then the end of the file. `keyferry_log_set_callback` with NULL turns
 * the log off. If the program only closes the descriptor, keyferry discards the messages. A forked
 * child logs nothing until it sets its own pipe or callback.
 *
 * @param level      the most detailed level to log: one of `KEYFERRY_LOG_`
 * @param fd_out     receives a file descriptor that doesn't block, or -1 on failure
 * @param error_out  receives the details of a failure; may be NULL
 *
 * Errors:  KEYFERRY_E_NULL_ARGUMENT if `fd_out` is NULL;
 *          KEYFERRY_E_INVALID_VALUE if `level` is not one of `KEYFERRY_LOG_`;
 *          KEYFERRY_E_UNREACHABLE if no pipe can be created, because the process has too many open files;
 *          KEYFERRY_E_REENTRANT if a log callback calls this function
 * Owner:   the caller closes the descriptor with `close`
 * Threads: [any]
 * Source:  keyferry
 * Since:   0.1
 */
keyferry_status keyferry_log_open_pipe(int32_t level, int32_t *fd_out, keyferry_error **error_out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KEYFERRY_H */
