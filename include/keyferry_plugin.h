/*
 * keyferry plugins: add services and secret sources to keyferry, for all programs that use it.
 *
 * build.rs generates this file from src/plugin/abi. Edit the sources, not this file. docs/plugins.md is a tutorial: it starts with an
 * empty file and ends with a working plugin.
 *
 * Words
 *   host       The keyferry library that loaded the plugin.
 *   call       The host's call of one of the plugin's functions.
 *   table      A struct of function pointers and data that the host and the plugin share.
 *   extension  A feature of a plugin, such as a service or a secret source. It has an id and a table.
 *
 * Rules
 *   Entry    A plugin is a shared object that exports one constant, `keyferry_plugin_entry`. The host reads the ABI version from the
 *            file before it loads the file. It loads no file without an entry, and never unloads a plugin.
 *   Growth   The fields of a published table never change. A new feature is a new extension with its own id, or new fields after
 *            the last field of a table. `struct_size` is the size of a table in bytes. Neither the host nor a plugin may read a byte
 *            beyond that size.
 *   Strings  Strings are UTF-8 and end in NUL. They contain no CR, LF or other control character, and have at most
 *            KEYFERRY_PLUGIN_MAX_TEXT_BYTES bytes. When a plugin passes a string, the function of the host copies it.
 *            Strings and buffers from the host are valid until the call ends; the host then wipes them.
 *   Codes    Functions return a keyferry_plugin_status. A plugin or host that returns a number not listed here breaks the rules.
 *   Calls    The host gives each call an id, which is valid until the call returns or times out. With any other id, a function of the
 *            host has no effect and returns KEYFERRY_PLUGIN_E_INVALID_CALL.
 *   Time     A call of `init`, `deinit` or `get_extension` times out after 5 seconds. Any other call times out after the time in the
 *            setting `http.timeout_ms`. The time that `get_setting` and `exchange` take does not count: the host limits it separately.
 *            A call that times out fails, and the host no longer waits for it. While four timed-out calls are still running, the host
 *            does not call the plugin again.
 *   Trust    A plugin runs in the same process as the host. It MUST NOT call the functions of keyferry.h in a call: they would return
 *            KEYFERRY_E_REENTRANT. It MUST NOT end the process, let an exception or a longjmp leave a call, or change signals, the
 *            locale or the working directory.
 *
 * Threads
 *   [load]   Any thread. No other function of the plugin runs at the same time.
 *   [call]   A thread that the host started for this call. Several calls may run at the same time. SIGPIPE is blocked on this thread,
 *            so that a broken connection of the plugin does not end the process. A program that the plugin starts inherits the blocked
 *            SIGPIPE. The plugin must unblock it for that program, with posix_spawnattr_setsigmask or between fork and exec.
 *   [any]    Any thread, until the call ends.
 */

#ifndef KEYFERRY_PLUGIN_H
#define KEYFERRY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/**
 * The major version of the ABI. Different major versions are not compatible.
 */
#define KEYFERRY_PLUGIN_ABI_MAJOR 1

/**
 * The minor version of the ABI. A higher minor version adds functions and extensions, and removes
 * nothing.
 */
#define KEYFERRY_PLUGIN_ABI_MINOR 0

/**
 * A string that is not a secret.
 */
#define KEYFERRY_PLUGIN_SETTING_TEXT 1

/**
 * A secret. It may come from any secret source, and keyferry never shows it. After a call has read
 * a secret, the host treats the requests of the call as logins: see `exchange`.
 */
#define KEYFERRY_PLUGIN_SETTING_SECRET 2

/**
 * A base URL: https, or http to this machine. The plugin can send requests only to URLs below one
 * of its base URLs.
 */
#define KEYFERRY_PLUGIN_SETTING_URL 3

/**
 * The maximum length of a string, in bytes without the NUL.
 */
#define KEYFERRY_PLUGIN_MAX_TEXT_BYTES 16384

/**
 * One token for everything that the account can reach at the service.
 */
#define KEYFERRY_PLUGIN_TOKEN_BEARER 1

/**
 * A token of the user, from a login.
 */
#define KEYFERRY_PLUGIN_TOKEN_USER 2

/**
 * A token for one item, whose id is in the path.
 */
#define KEYFERRY_PLUGIN_TOKEN_ITEM 3

/**
 * A configured secret that is itself the token. The host caches it in memory and never stores it.
 */
#define KEYFERRY_PLUGIN_TOKEN_KEY 4

/**
 * Full access, for a service that has only one level of access.
 */
#define KEYFERRY_PLUGIN_ACCESS_FULL 1

/**
 * Read access.
 */
#define KEYFERRY_PLUGIN_ACCESS_READ 2

/**
 * Access to add data.
 */
#define KEYFERRY_PLUGIN_ACCESS_WRITE 3

/**
 * Access to change and delete data.
 */
#define KEYFERRY_PLUGIN_ACCESS_MANAGE 4

/**
 * GET.
 */
#define KEYFERRY_PLUGIN_METHOD_GET 1

/**
 * POST.
 */
#define KEYFERRY_PLUGIN_METHOD_POST 2

/**
 * PUT.
 */
#define KEYFERRY_PLUGIN_METHOD_PUT 3

/**
 * DELETE.
 */
#define KEYFERRY_PLUGIN_METHOD_DELETE 4

/**
 * An error that the user must fix.
 */
#define KEYFERRY_PLUGIN_LOG_ERROR 1

/**
 * A fault after which the plugin continues to work.
 */
#define KEYFERRY_PLUGIN_LOG_WARN 2

/**
 * An action, such as a login.
 */
#define KEYFERRY_PLUGIN_LOG_INFO 3

/**
 * A detail of an action.
 */
#define KEYFERRY_PLUGIN_LOG_DEBUG 4

/**
 * The host broke a rule of this header. (If a plugin breaks a rule, the host itself logs that.)
 */
#define KEYFERRY_PLUGIN_LOG_HOST_MISBEHAVES 5

/**
 * The result of a function: `KEYFERRY_PLUGIN_OK`, or one of `KEYFERRY_PLUGIN_E_`.
 */
typedef int32_t keyferry_plugin_status;

/**
 * A setting of the plugin.
 *
 * Users set it as `KEY` in the section `[NAME]` of config.toml, where NAME is the name of the
 * plugin. Instead, they can set the environment variable `KEYFERRY_NAME_KEY`, all in upper case.
 * For a secret, `KEYFERRY_NAME_KEY_FILE` can name a file that contains it. Each profile can have
 * its own value.
 */
typedef struct {
  /**
   * The key: 1 to 32 lower-case letters, digits and underscores, with a letter first.
   */
  const char *key;
  /**
   * A description for users, in one sentence.
   */
  const char *description;
  /**
   * The default value, or NULL if there is none. It must be NULL for a secret.
   */
  const char *default_value;
  /**
   * One of `KEYFERRY_PLUGIN_SETTING_`.
   */
  uint32_t kind;
  /**
   * Reserved; must be 0.
   */
  uint32_t reserved;
} keyferry_plugin_setting;

/**
 * The id of a call. It is valid until the call returns or times out.
 */
typedef uint64_t keyferry_plugin_call;

/**
 * Memory from the host. `data[size]` is NUL. The memory is valid until the call ends; the host
 * then wipes it. A plugin never frees it.
 */
typedef struct {
  /**
   * The first byte. A plugin may write only to memory from `new_buffer`.
   */
  char *data;
  /**
   * The number of bytes, without the NUL.
   */
  size_t size;
} keyferry_plugin_buffer;

/**
 * A header of a request.
 */
typedef struct {
  /**
   * The name. The host itself sets the headers of the connection, such as `Host`,
   * `Content-Length` and `Transfer-Encoding`.
   */
  const char *name;
  /**
   * The value.
   */
  const char *value;
} keyferry_plugin_header;

/**
 * A request. Set all its bytes to zero before you fill it in.
 */
typedef struct {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * One of `KEYFERRY_PLUGIN_METHOD_`.
   */
  uint32_t method;
  /**
   * The key of the setting that has the base URL. NULL means the setting with the key `url`.
   */
  const char *base_url_setting;
  /**
   * The path and query below the base URL, with a leading slash. A path with `..` cannot leave
   * the base URL.
   */
  const char *path;
  /**
   * An array of `header_count` headers; NULL for none.
   */
  const keyferry_plugin_header *headers;
  /**
   * The number of headers, at most 16.
   */
  size_t header_count;
  /**
   * The body, UTF-8; NULL for none. It is JSON unless `headers` has a `Content-Type`.
   */
  const char *body;
  /**
   * The size of the body in bytes, at most 1 MiB.
   */
  size_t body_size;
  /**
   * The HTTP status, besides 401, with which the service rejects wrong secrets; 0 for none.
   */
  uint32_t bad_credentials_status;
  /**
   * Reserved; must be 0.
   */
  uint32_t reserved;
} keyferry_plugin_request;

/**
 * A response. The plugin sets `struct_size` before it calls `exchange`.
 */
typedef struct {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The HTTP status. It is never a redirect, 401, 429, or a 5xx other than 501: for these
   * `exchange` returns an error code.
   */
  uint32_t status;
  /**
   * The body.
   */
  keyferry_plugin_buffer body;
} keyferry_plugin_response;

/**
 * The functions of the host. A later version of the host has more functions after these, and a
 * greater `struct_size`.
 *
 * The host
 * - follows no redirect, and uses https except for connections to this machine;
 * - sends requests only to URLs below the base URLs of the plugin, and reads at most 1 MiB of a
 *   response;
 * - sends each request on a new connection, and closes the connection after the response;
 * - retries a GET that is no login (see `exchange`) at most twice, if it failed temporarily;
 * - retries a login at most once. It does so in two cases: no part of the request was sent, or a
 *   429 response asks for a retry within 2 seconds;
 * - never retries any other POST, PUT or DELETE;
 * - remembers rejected secrets for a while, in all processes, and does not send them again during
 *   that time;
 * - drops log messages and error messages that contain a secret of the call.
 */
typedef struct {
  /**
   * The major version of the host's ABI.
   */
  uint32_t abi_major;
  /**
   * The minor version of the host's ABI.
   */
  uint32_t abi_minor;
  /**
   * The size of this table.
   */
  uint32_t struct_size;
  /**
   * Reserved; 0.
   */
  uint32_t reserved;
  /**
   * Gets the value of a declared setting for the account of the call. Returns
   * `KEYFERRY_PLUGIN_E_NOT_CONFIGURED` if the setting is not set, and
   * `KEYFERRY_PLUGIN_E_SECRET_SOURCE` if its source does not return the value. The function
   * may block. A plugin must not call it in `init`.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*get_setting)(keyferry_plugin_call call, const char *key, keyferry_plugin_buffer *out);
  /**
   * Sends a request and receives the response. A plugin may use `exchange` at most 16 times in
   * one call.
   *
   * After the call has read a secret, the host treats its requests as logins. If the response
   * then has the status 401 or the `bad_credentials_status` of the request, `exchange` returns
   * `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS`. If the service has recently rejected the same secrets,
   * `exchange` returns this code without sending the request.
   *
   * If a plugin returns the error code of `exchange` unchanged, the user gets all details of the
   * error. The function may block. A plugin must not call it in `init`.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*exchange)(keyferry_plugin_call call,
                                     const keyferry_plugin_request *request,
                                     keyferry_plugin_response *response);
  /**
   * Allocates a buffer of `size` bytes, all zero, for strings that contain secrets. All buffers
   * of a call together have at most 4 MiB.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*new_buffer)(keyferry_plugin_call call, size_t size, keyferry_plugin_buffer *out);
  /**
   * Gets a value of a JSON document as a string: the content of a string, the digits of a
   * number, `true` or `false`. `pointer` is a JSON pointer (RFC 6901), such as `/data/token` or
   * `/rows/0`. Returns `KEYFERRY_PLUGIN_E_NOT_FOUND` if there is no such value, and
   * `KEYFERRY_PLUGIN_E_BAD_RESPONSE` if the document is not JSON or the value contains a control
   * character.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*json_get_text)(keyferry_plugin_call call,
                                          const char *document,
                                          size_t document_size,
                                          const char *pointer,
                                          keyferry_plugin_buffer *out);
  /**
   * Converts a string to a JSON string, with quotes.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*json_quote)(keyferry_plugin_call call, const char *text, keyferry_plugin_buffer *out);
  /**
   * Adds a header to the token that this call returns. A token has at most 8 headers.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*add_header)(keyferry_plugin_call call, const char *name, const char *value);
  /**
   * Sets the expiry of the token, in seconds since 1970 by the clock of the service. Without an
   * expiry the host uses the token until it is rejected.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*set_expiry)(keyferry_plugin_call call, int64_t unix_s);
  /**
   * Sets the secret that the host passes to `renew` later. The host stores it encrypted, with
   * the token.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*set_renewal_secret)(keyferry_plugin_call call, const char *renewal_secret);
  /**
   * Passes the requested secret to the host. Only the function `get` of a
   * `keyferry_plugin_secret_source` may call it.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*set_secret)(keyferry_plugin_call call, const char *secret);
  /**
   * Sets the error message of the call: what is wrong and what to do, in lower case, without a
   * full stop, at most 500 bytes. The host puts the name of the plugin before it. The call
   * continues.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*set_error_message)(keyferry_plugin_call call, const char *message);
  /**
   * Logs a message of at most 500 bytes. `level` is one of `KEYFERRY_PLUGIN_LOG_`.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*log)(keyferry_plugin_call call, uint32_t level, const char *message);
  /**
   * Returns the time in seconds since 1970 by the clock of the service, which the host learns
   * from the responses of the service. Returns 0 if there is no call with this id.
   *
   * Threads: [any]
   */
  int64_t (*now_unix_s)(keyferry_plugin_call call);
  /**
   * Returns the time until the call times out, in milliseconds. Returns 0 if the call is
   * cancelled.
   *
   * Threads: [any]
   */
  uint64_t (*time_left_ms)(keyferry_plugin_call call);
  /**
   * Returns 1 if the call has timed out or the session is closing, otherwise 0. A plugin that
   * works for a long time without calling the host should check this regularly.
   *
   * Threads: [any]
   */
  int32_t (*is_cancelled)(keyferry_plugin_call call);
} keyferry_plugin_host;

/**
 * The type of the constant `keyferry_plugin_entry`, which every plugin exports.
 *
 * A plugin MUST
 * - export a symbol with exactly this name, as constant data: the host reads `abi_major`,
 *   `abi_minor` and `struct_size` from the file before any code of the plugin runs;
 * - have a name of 1 to 32 lower-case letters and digits, with a letter first. The name must not
 *   begin with `http`, and must not be `profile`, `store`, `plugins` or the name of a built-in
 *   service;
 * - declare in `settings` every setting that it reads: the host gives it no other setting;
 * - return from every function before the call times out. The functions of the host always return,
 *   because the host limits the time that they take;
 * - stop using the strings and buffers of a call when the call ends, and store no secret.
 *
 * A plugin SHOULD
 * - do nothing in constructors, and little in `init`;
 * - start no thread: in a forked child the memory of the plugin is unchanged, but its threads are
 *   gone, and the host calls `init` again;
 * - after a failure, tell the user with `set_error_message` what to do, in one sentence without
 *   secrets.
 */
typedef struct {
  /**
   * `KEYFERRY_PLUGIN_ABI_MAJOR`.
   */
  uint32_t abi_major;
  /**
   * `KEYFERRY_PLUGIN_ABI_MINOR`.
   */
  uint32_t abi_minor;
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The number of settings, at most 32.
   */
  uint32_t setting_count;
  /**
   * The name of the plugin, and of its service and its secret source.
   */
  const char *name;
  /**
   * The version of the plugin, for users.
   */
  const char *version;
  /**
   * An array of `setting_count` settings; NULL for none.
   */
  const keyferry_plugin_setting *settings;
  /**
   * Initialises the plugin. The host calls `init` before any other function of the plugin, and
   * does not call `init` again while a session uses the plugin. The table `host` stays valid
   * until the process ends. The field `init` may be NULL.
   *
   * Threads: [load]
   */
  keyferry_plugin_status (*init)(const keyferry_plugin_host *host, keyferry_plugin_call call);
  /**
   * Releases what `init` set up. If `init` succeeded, the host calls `deinit` when no session
   * uses the plugin any more. The host may call `init` again later. The field `deinit`
   * may be NULL.
   *
   * Threads: [load]
   */
  void (*deinit)(void);
  /**
   * Returns the table of the extension `id`, or NULL if the plugin does not have this extension.
   * The table must stay valid until the process ends. The host calls this function after `init`.
   *
   * Threads: [load]
   */
  const void *(*get_extension)(const char *id);
} keyferry_plugin;

/**
 * A route: the paths of a service that need a certain token. The host matches routes without
 * calling the plugin.
 */
typedef struct {
  /**
   * The path after the prefix, without a leading slash, such as `assets/{id}/{rest}`. `{id}`
   * matches one whole segment and occurs at most once. `{rest}` occurs only at the end and
   * matches any number of segments. All other segments match literally.
   */
  const char *pattern;
  /**
   * One of `KEYFERRY_PLUGIN_TOKEN_`. The pattern has `{id}` if, and only if, this is
   * `KEYFERRY_PLUGIN_TOKEN_ITEM`.
   */
  uint32_t token_kind;
  /**
   * One of `KEYFERRY_PLUGIN_ACCESS_`.
   */
  uint32_t access;
} keyferry_plugin_route;

/**
 * The token to get.
 */
typedef struct {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * One of `KEYFERRY_PLUGIN_TOKEN_`.
   */
  uint32_t token_kind;
  /**
   * One of `KEYFERRY_PLUGIN_ACCESS_`.
   */
  uint32_t access;
  /**
   * Reserved; 0.
   */
  uint32_t reserved;
  /**
   * The id of the item, as it is written in the URL; empty for the other kinds of token.
   */
  const char *id;
  /**
   * The name of the account, for messages.
   */
  const char *account;
} keyferry_plugin_token_spec;

/**
 * The extension `keyferry.service/1`: a remote service that needs tokens.
 *
 * The base URL of the service is the plugin's setting `url`, which the plugin MUST declare. A URL
 * below the base URL, or `NAME:PATH`, belongs to the service if a route matches its path.
 *
 * The host caches the token from `acquire` in memory and stores it, so that all programs share it.
 * Callers that need the token at the same time share one call of the plugin. The host uses the
 * token until it is about to expire or a caller rejects it. After a failure the host backs off
 * before it calls the plugin again.
 *
 * A service MUST
 * - claim no URL of another service: the host rejects a plugin that does;
 * - get tokens only with `get_setting` and `exchange`;
 * - add at least one header before it returns `KEYFERRY_PLUGIN_OK`, and set the expiry if it is
 *   known;
 * - return `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS` if the service says that the secrets are wrong, and
 *   in no other case.
 *
 * A service SHOULD
 * - set `bad_credentials_status` in its request if the service rejects wrong secrets with a status
 *   other than 401;
 * - accept JSON documents that have unknown fields.
 */
typedef struct {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The number of routes, at most 64.
   */
  uint32_t route_count;
  /**
   * The name of the service in messages.
   */
  const char *title;
  /**
   * The prefix of all paths of the service below the base URL. It begins and ends with a slash,
   * as in `/` or `/v1/`.
   */
  const char *prefix;
  /**
   * An array of `route_count` routes. The host uses the first route that matches a path.
   */
  const keyferry_plugin_route *routes;
  /**
   * Gets a token with the secrets of the user.
   *
   * Threads: [call]
   */
  keyferry_plugin_status (*acquire)(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec);
  /**
   * Refreshes a token with the secret from `set_renewal_secret`. If `renew` returns
   * `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS` or `KEYFERRY_PLUGIN_E_UNSUPPORTED`, the host calls
   * `acquire`. The field `renew` may be NULL.
   *
   * Threads: [call]
   */
  keyferry_plugin_status (*renew)(keyferry_plugin_call call,
                                  const keyferry_plugin_token_spec *spec,
                                  const char *renewal_secret);
} keyferry_plugin_service;

/**
 * The extension `keyferry.secret-source/1`: a source of secrets for other services.
 *
 * In config.toml, a setting with the value `{ plugin = ["NAME", "WHAT"] }` gets its secret from
 * the plugin. NAME is the name of the plugin, and WHAT is the name of the secret. The host calls
 * `get` each time it needs the secret. It does not cache or store the secret.
 *
 * A source MUST
 * - define the names of its secrets, and fail with an error message for any other name;
 * - pass the complete secret to `set_secret` before it returns `KEYFERRY_PLUGIN_OK`;
 * - not prompt: there may be no user at a terminal.
 *
 * A source SHOULD return within two seconds.
 */
typedef struct {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * Reserved; must be 0.
   */
  uint32_t reserved;
  /**
   * Gets a secret and passes it to `set_secret`. `secret_name` is the name of the secret: the
   * second string in the value of the setting.
   *
   * Threads: [call]
   */
  keyferry_plugin_status (*get)(keyferry_plugin_call call, const char *secret_name);
} keyferry_plugin_secret_source;

/**
 * Success.
 */
#define KEYFERRY_PLUGIN_OK 0

/**
 * A required setting is not set.
 */
#define KEYFERRY_PLUGIN_E_NOT_CONFIGURED 1

/**
 * A setting is set, but its source does not return the value.
 */
#define KEYFERRY_PLUGIN_E_SECRET_SOURCE 2

/**
 * There was no connection, or no complete response.
 */
#define KEYFERRY_PLUGIN_E_UNREACHABLE 3

/**
 * The service rejected the secrets that this call has read. The host does not send the same
 * secrets again for a while.
 */
#define KEYFERRY_PLUGIN_E_BAD_CREDENTIALS 4

/**
 * The user must log in.
 */
#define KEYFERRY_PLUGIN_E_LOGIN_REQUIRED 5

/**
 * The service has no such item.
 */
#define KEYFERRY_PLUGIN_E_NOT_FOUND 6

/**
 * The configured secrets do not allow this access.
 */
#define KEYFERRY_PLUGIN_E_INSUFFICIENT_ACCESS 7

/**
 * The service is rate limiting requests.
 */
#define KEYFERRY_PLUGIN_E_THROTTLED 8

/**
 * The service is unavailable.
 */
#define KEYFERRY_PLUGIN_E_UNAVAILABLE 9

/**
 * The response of the service does not follow the documentation of the service.
 */
#define KEYFERRY_PLUGIN_E_BAD_RESPONSE 10

/**
 * The operation is not supported. If `renew` returns it, the host calls `acquire` instead.
 */
#define KEYFERRY_PLUGIN_E_UNSUPPORTED 11

/**
 * The call has timed out, or the session is closing. Only the host returns this code.
 */
#define KEYFERRY_PLUGIN_E_CANCELLED 12

/**
 * An argument is invalid: it is NULL, too long or not UTF-8, contains a control character, or is
 * the key of a setting that the plugin does not declare. Only the host returns this code. The call
 * then fails, whatever the plugin returns, and the host reports a fault of the plugin.
 */
#define KEYFERRY_PLUGIN_E_INVALID_ARGUMENT 13

/**
 * There is no call with this id, or the call has ended. Only the host returns this code.
 */
#define KEYFERRY_PLUGIN_E_INVALID_CALL 14

/**
 * Any other failure. The plugin describes it with `set_error_message`.
 */
#define KEYFERRY_PLUGIN_E_FAILED 15

#endif  /* KEYFERRY_PLUGIN_H */

/**
 * The id of the extension whose table is a `keyferry_plugin_service`.
 */
#define KEYFERRY_PLUGIN_EXTENSION_SERVICE "keyferry.service/1"

/**
 * The id of the extension whose table is a `keyferry_plugin_secret_source`.
 */
#define KEYFERRY_PLUGIN_EXTENSION_SECRET_SOURCE "keyferry.secret-source/1"

#ifdef __cplusplus
#define KEYFERRY_PLUGIN_EXTERN extern "C"
#else
#define KEYFERRY_PLUGIN_EXTERN extern
#endif

/**
 * The constant that every plugin exports. Define it in exactly one file. It is exported even if the plugin is compiled with hidden symbols.
 */
#ifdef __GNUC__
KEYFERRY_PLUGIN_EXTERN __attribute__((visibility("default"))) const keyferry_plugin keyferry_plugin_entry;
#else
KEYFERRY_PLUGIN_EXTERN const keyferry_plugin keyferry_plugin_entry;
#endif
