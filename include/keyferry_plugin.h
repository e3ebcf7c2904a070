/*
 * keyferry plugins: services and secret sources of your own, for all programs that use keyferry.
 *
 * Generated from src/plugin/abi by the build; changes belong there. docs/plugins.md leads from an empty file to a working plugin.
 *
 * Rules
 *   Entry    A plugin is a shared object that exports one constant, `keyferry_plugin_entry`. keyferry reads its version from the file
 *            before it loads it, loads no file without an entry, and never unloads one that it has loaded.
 *   Growth   A published table never changes. A new ability is a new extension id, or a field behind the last one of a table.
 *            `struct_size` is the size of a table. The host reads no byte behind it, and a plugin must read none either.
 *   Text     UTF-8 that ends in NUL, without CR, LF or other control characters, at most KEYFERRY_PLUGIN_MAX_TEXT_BYTES long. The host
 *            copies what a plugin passes before the function returns. What the host gives is valid until the call ends, and is wiped
 *            then.
 *   Codes    Functions return a keyferry_plugin_status. Any other number is a fault of the plugin or host that returns it.
 *   Calls    The host gives each call an id. The id is valid until the call returns or times out; with any other id a function of the
 *            host has no effect and returns KEYFERRY_PLUGIN_E_INVALID_CALL.
 *   Time     A call has a timeout (`http.timeout_ms`; time that the host works doesn't count). The host abandons a call that exceeds
 *            it: the call fails. After four abandoned calls the plugin is not called again until one of them returns.
 *   Trust    A plugin runs in the host's process. It MUST NOT call the functions of keyferry.h from a call (they return
 *            KEYFERRY_E_REENTRANT), end the process, throw, longjmp out of a call, or change signals, locale or working directory.
 *
 * Threads
 *   [load]   any thread; no other function of this plugin runs at the same time.
 *   [call]   a thread of the host for this call; several calls may run at once. SIGPIPE is blocked there, so that a broken connection
 *            of the plugin doesn't end the host. A program that the plugin starts inherits this: the plugin unblocks it there, with
 *            posix_spawnattr_setsigmask, or between fork and exec.
 *   [any]    any thread, as long as the call lasts.
 */

#ifndef KEYFERRY_PLUGIN_H
#define KEYFERRY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/**
 * The major version of the ABI. Versions with different major numbers are not compatible.
 */
#define KEYFERRY_PLUGIN_ABI_MAJOR 1

/**
 * The minor version of the ABI. A greater one adds functions and extensions, and removes nothing.
 */
#define KEYFERRY_PLUGIN_ABI_MINOR 0

/**
 * A text that is no secret.
 */
#define KEYFERRY_PLUGIN_SETTING_TEXT 1

/**
 * A secret: it may come from any source and is never shown. Requests of a call that has read it
 * count as logins.
 */
#define KEYFERRY_PLUGIN_SETTING_SECRET 2

/**
 * A base URL: https, or http to this machine. Requests go to URLs below it and nowhere else.
 */
#define KEYFERRY_PLUGIN_SETTING_URL 3

/**
 * The longest text, in bytes without the NUL.
 */
#define KEYFERRY_PLUGIN_MAX_TEXT_BYTES 16384

/**
 * One token for everything that this account has at the service.
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
 * A configured secret, used as the token itself. It is cached in memory and never stored.
 */
#define KEYFERRY_PLUGIN_TOKEN_KEY 4

/**
 * The service has only one kind of access.
 */
#define KEYFERRY_PLUGIN_ACCESS_FULL 1

/**
 * Read access.
 */
#define KEYFERRY_PLUGIN_ACCESS_READ 2

/**
 * Access to add.
 */
#define KEYFERRY_PLUGIN_ACCESS_WRITE 3

/**
 * Access to change and delete.
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
 * An error that the user has to fix.
 */
#define KEYFERRY_PLUGIN_LOG_ERROR 1

/**
 * A fault in spite of which the plugin works.
 */
#define KEYFERRY_PLUGIN_LOG_WARN 2

/**
 * An action.
 */
#define KEYFERRY_PLUGIN_LOG_INFO 3

/**
 * A detail of an action.
 */
#define KEYFERRY_PLUGIN_LOG_DEBUG 4

/**
 * The host breaks the rules of this header. The host itself logs plugins that do.
 */
#define KEYFERRY_PLUGIN_LOG_HOST_MISBEHAVES 5

/**
 * The result of a function: `KEYFERRY_PLUGIN_OK`, or one of `KEYFERRY_PLUGIN_E_`.
 */
typedef int32_t keyferry_plugin_status;

/**
 * A setting of the plugin. Users set it as `KEY` under `[NAME]` in config.toml, or as
 * `KEYFERRY_NAME_KEY` in the environment; a secret also as `KEYFERRY_NAME_KEY_FILE`. Each profile
 * may have its own value.
 */
typedef struct {
  /**
   * The key: 1 to 32 lower-case letters, digits and underscores, beginning with a letter.
   */
  const char *key;
  /**
   * One sentence for users.
   */
  const char *description;
  /**
   * The value if the user sets none, or NULL. NULL for a secret.
   */
  const char *default_value;
  /**
   * One of `KEYFERRY_PLUGIN_SETTING_`.
   */
  uint32_t kind;
  /**
   * 0.
   */
  uint32_t reserved;
} keyferry_plugin_setting;

/**
 * The id of a call: valid until the call returns or times out.
 */
typedef uint64_t keyferry_plugin_call;

/**
 * Memory from the host; `data[size]` is NUL. It is valid until the call ends, and is wiped then. A
 * plugin never frees it.
 */
typedef struct {
  /**
   * The first byte. Only the memory from `new_buffer` may be written to.
   */
  char *data;
  /**
   * The number of bytes without the NUL.
   */
  size_t size;
} keyferry_plugin_buffer;

/**
 * A header of a request.
 */
typedef struct {
  /**
   * The name. The host sets the headers of the connection (`Host`, `Content-Length`,
   * `Transfer-Encoding` and others) itself.
   */
  const char *name;
  /**
   * The value.
   */
  const char *value;
} keyferry_plugin_header;

/**
 * A request. Set all bytes to zero first.
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
   * The key of the setting with the base URL; NULL for `url`.
   */
  const char *base_url_setting;
  /**
   * Path and query below the base URL, with a leading slash. `..` can't leave the base URL.
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
   * The body, UTF-8; NULL for none. Its type is JSON unless there is a `Content-Type` header.
   */
  const char *body;
  /**
   * The size of the body in bytes, at most 1 MiB.
   */
  size_t body_size;
  /**
   * The HTTP status with which the service answers wrong secrets, besides 401; 0 for none.
   */
  uint32_t bad_credentials_status;
  /**
   * 0.
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
   * The HTTP status. Never a redirect, 401, 429 or a 5xx other than 501: `exchange` returns an
   * error for these.
   */
  uint32_t status;
  /**
   * The body.
   */
  keyferry_plugin_buffer body;
} keyferry_plugin_response;

/**
 * The functions of the host. A later host has more functions behind these, and a greater
 * `struct_size`.
 *
 * The host
 * - follows no redirect, uses https except to this machine, sends requests to URLs below the
 *   plugin's own only, and reads at most 1 MiB of a response;
 * - retries a GET that failed, and no other request that the service may have got;
 * - remembers rejected secrets for a while, in all processes, and does not send them again
 *   meanwhile;
 * - drops log lines and error messages that contain a secret of the call.
 */
typedef struct {
  /**
   * The major number of the host's ABI.
   */
  uint32_t abi_major;
  /**
   * Its minor number.
   */
  uint32_t abi_minor;
  /**
   * The size of this table.
   */
  uint32_t struct_size;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Gets the value of a declared setting for the account of the call. Fails with
   * `KEYFERRY_PLUGIN_E_NOT_CONFIGURED` if it is not set, with `KEYFERRY_PLUGIN_E_SECRET_SOURCE`
   * if its source does not give it. Not in `init`. May wait.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*get_setting)(keyferry_plugin_call call, const char *key, keyferry_plugin_buffer *out);
  /**
   * Sends a request and receives the response, at most 16 times in a call. Once the call has
   * read a secret, a 401 or the request's `bad_credentials_status` is
   * `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS`; so is a request with secrets that were rejected before,
   * which is not sent. If the plugin returns the error as it is, the user gets all its details.
   * Not in `init`. May wait.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*exchange)(keyferry_plugin_call call,
                                     const keyferry_plugin_request *request,
                                     keyferry_plugin_response *response);
  /**
   * Allocates a buffer of `size` zero bytes, for texts that contain secrets. All buffers of a
   * call have at most 4 MiB.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*new_buffer)(keyferry_plugin_call call, size_t size, keyferry_plugin_buffer *out);
  /**
   * Gets the value at a JSON pointer (RFC 6901: `/data/token`, `/rows/0`) of a JSON document as
   * text: the content of a string, the digits of a number, `true` or `false`. Fails with
   * `KEYFERRY_PLUGIN_E_NOT_FOUND` if there is no such value, with
   * `KEYFERRY_PLUGIN_E_BAD_RESPONSE` if the document is not JSON or the text has control
   * characters.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*json_get_text)(keyferry_plugin_call call,
                                          const char *document,
                                          size_t document_size,
                                          const char *pointer,
                                          keyferry_plugin_buffer *out);
  /**
   * Converts a text to a JSON string, with quotes.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*json_quote)(keyferry_plugin_call call, const char *text, keyferry_plugin_buffer *out);
  /**
   * Adds a header to the token that this call returns, at most 8.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*add_header)(keyferry_plugin_call call, const char *name, const char *value);
  /**
   * Sets when the token expires, in seconds since 1970 by the clock of the service. Without it
   * the token is used until it is rejected.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*set_expiry)(keyferry_plugin_call call, int64_t unix_s);
  /**
   * Sets the secret that `renew` gets later. It is stored encrypted, with the token.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*set_renewal_secret)(keyferry_plugin_call call, const char *renewal_secret);
  /**
   * Sets the secret that `get` returns.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*set_secret)(keyferry_plugin_call call, const char *secret);
  /**
   * Sets the message for the error that the call returns: what is wrong and what to do, lower
   * case, no full stop, at most 500 bytes. The host puts the plugin's name before it. The call
   * itself goes on.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*set_error_message)(keyferry_plugin_call call, const char *message);
  /**
   * Logs a line of at most 500 bytes. `level` is one of `KEYFERRY_PLUGIN_LOG_`.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*log)(keyferry_plugin_call call, uint32_t level, const char *message);
  /**
   * The time in seconds since 1970 by the clock of the service, which the host learns from its
   * responses; 0 if there is no such call.
   *
   * Threads: [any]
   */
  int64_t (*now_unix_s)(keyferry_plugin_call call);
  /**
   * The time until the call times out, in milliseconds; 0 if it is cancelled.
   *
   * Threads: [any]
   */
  uint64_t (*time_left_ms)(keyferry_plugin_call call);
  /**
   * 1 if the call has timed out or the session is closing, else 0. A plugin that works for long
   * without calling the host checks this from time to time.
   *
   * Threads: [any]
   */
  int32_t (*is_cancelled)(keyferry_plugin_call call);
} keyferry_plugin_host;

/**
 * The entry of a plugin: the type of the constant `keyferry_plugin_entry`.
 *
 * A plugin MUST
 * - export exactly this symbol as constant data, whose numbers are valid before any code runs;
 * - have a name of 1 to 32 lower-case letters and digits, beginning with a letter, that is not the
 *   name of a built-in service, `profile`, `store` or `plugins`, and does not begin with `http`;
 * - list in `settings` every setting that it reads: the host gives it no other;
 * - return from every function, whatever the network does: every function of the host that may
 *   wait returns when the call times out;
 * - use nothing that it got in a call after that call, and store no secret.
 *
 * A plugin SHOULD
 * - do nothing in constructors, and little in `init`;
 * - start no thread. In a forked child its memory is unchanged, its threads are gone, and `init`
 *   is called again;
 * - tell the user with `set_error_message` what to do about a failure, in one sentence without
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
   * The name of the plugin, of its service and of its secret source.
   */
  const char *name;
  /**
   * Its version, for users.
   */
  const char *version;
  /**
   * An array of `setting_count` settings; NULL for none.
   */
  const keyferry_plugin_setting *settings;
  /**
   * Called before any other function, once as long as any session uses the plugin. `host` is
   * valid as long as the process. May be NULL.
   *
   * Threads: [load]
   */
  keyferry_plugin_status (*init)(const keyferry_plugin_host *host, keyferry_plugin_call call);
  /**
   * Called when no session uses the plugin any more, if `init` succeeded. `init` may be called
   * again later. May be NULL.
   *
   * Threads: [load]
   */
  void (*deinit)(void);
  /**
   * Returns the table of the extension with an id, valid as long as the process; NULL for an id
   * that the plugin does not have. Called after `init`.
   *
   * Threads: [load]
   */
  const void *(*get_extension)(const char *id);
} keyferry_plugin;

/**
 * A route: which paths of a service need which token. The host matches them without calling the
 * plugin.
 */
typedef struct {
  /**
   * The path behind the prefix, without a leading slash: `assets/{id}/{rest}`. `{id}` matches
   * one whole segment and occurs at most once; `{rest}` at the end matches any number of
   * segments. All other segments match literally.
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
 * Which token to get.
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
   * 0.
   */
  uint32_t reserved;
  /**
   * The id of the item, as it is written in the URL; empty for the other kinds.
   */
  const char *id;
  /**
   * The name of the account, for messages.
   */
  const char *account;
} keyferry_plugin_token_spec;

/**
 * The extension `keyferry.service/1`: a remote service that needs tokens. Its base URL is the
 * plugin's setting `url`, which MUST be declared. A URL below it, or `NAME:PATH`, belongs to this
 * service if a route matches its path.
 *
 * The host caches the token from `acquire` in memory and stores it, for all programs. Callers at
 * the same time share one call. The token is used until it is about to expire or a caller rejects
 * it. After a failure the host waits before it calls again.
 *
 * A service MUST
 * - claim no URL of another service: the host refuses such a plugin;
 * - get tokens with `get_setting` and `exchange`, and with nothing else;
 * - add at least one header before it returns `KEYFERRY_PLUGIN_OK`, and set the expiry if it is
 *   known;
 * - return `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS` if the service says that the secrets are wrong, and
 *   in no other case.
 *
 * A service SHOULD
 * - set `bad_credentials_status` in its request if the service answers wrong secrets with a status
 *   other than 401;
 * - accept JSON documents with unknown fields.
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
   * The beginning of all its paths below the base URL, with a slash at both ends: `/` or `/v1/`.
   */
  const char *prefix;
  /**
   * An array of `route_count` routes. The first one that matches a path is used.
   */
  const keyferry_plugin_route *routes;
  /**
   * Gets a token with the user's secrets.
   *
   * Threads: [call]
   */
  keyferry_plugin_status (*acquire)(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec);
  /**
   * Renews a token with the secret from `set_renewal_secret`. After
   * `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS` or `KEYFERRY_PLUGIN_E_UNSUPPORTED` the host calls
   * `acquire`. May be NULL.
   *
   * Threads: [call]
   */
  keyferry_plugin_status (*renew)(keyferry_plugin_call call,
                                  const keyferry_plugin_token_spec *spec,
                                  const char *renewal_secret);
} keyferry_plugin_service;

/**
 * The extension `keyferry.secret-source/1`: a source of secrets for other services. In config.toml
 * a secret refers to it as `{ plugin = ["NAME", "WHAT"] }`. The host calls it whenever it needs
 * the secret, and neither caches nor stores the result.
 *
 * A source MUST
 * - define what WHAT may be, and fail with an error message for any other;
 * - set the whole secret with `set_secret` before it returns `KEYFERRY_PLUGIN_OK`;
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
   * 0.
   */
  uint32_t reserved;
  /**
   * Gets a secret; `secret_name` is WHAT.
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
 * A setting that is needed is not set.
 */
#define KEYFERRY_PLUGIN_E_NOT_CONFIGURED 1

/**
 * A setting is set, but its source does not give the value.
 */
#define KEYFERRY_PLUGIN_E_SECRET_SOURCE 2

/**
 * No connection, or no complete response.
 */
#define KEYFERRY_PLUGIN_E_UNREACHABLE 3

/**
 * The service rejected the secrets that this call has read. The host does not send them again for
 * a while.
 */
#define KEYFERRY_PLUGIN_E_BAD_CREDENTIALS 4

/**
 * The user has to log in.
 */
#define KEYFERRY_PLUGIN_E_LOGIN_REQUIRED 5

/**
 * The service has no such item.
 */
#define KEYFERRY_PLUGIN_E_NOT_FOUND 6

/**
 * The configured secrets don't give this access.
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
 * The response of the service is not what it documents.
 */
#define KEYFERRY_PLUGIN_E_BAD_RESPONSE 10

/**
 * Not supported. From `renew`: the host calls `acquire` instead.
 */
#define KEYFERRY_PLUGIN_E_UNSUPPORTED 11

/**
 * The call has timed out, or the session is closing. From the host only.
 */
#define KEYFERRY_PLUGIN_E_CANCELLED 12

/**
 * An argument is invalid: NULL, too long, not UTF-8, with a control character, or the key of a
 * setting that the plugin does not declare. From the host only; the call then fails as a fault of
 * the plugin, whatever the plugin returns.
 */
#define KEYFERRY_PLUGIN_E_INVALID_ARGUMENT 13

/**
 * There is no call with this id, or it has ended. From the host only.
 */
#define KEYFERRY_PLUGIN_E_INVALID_CALL 14

/**
 * Any other failure; `set_error_message` tells why.
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
 * The constant that a plugin exports, also if it is compiled with hidden symbols. Define it in one file.
 */
#ifdef __GNUC__
KEYFERRY_PLUGIN_EXTERN __attribute__((visibility("default"))) const keyferry_plugin keyferry_plugin_entry;
#else
KEYFERRY_PLUGIN_EXTERN const keyferry_plugin keyferry_plugin_entry;
#endif
