/*
 * keyferry plugins: how a service or a secret source of your own is served through every door of keyferry.
 *
 * Generated from src/plugin/abi by the build; changes belong there. docs/plugins.md leads from an empty file to a working plugin.
 *
 * Rules
 *   Entry    A plugin is a shared object that exports one constant, `keyferry_plugin_entry`. keyferry reads its numbers from the
 *            file before it loads anything, runs no code of a file that has none, and never unloads one that it loaded.
 *   Growth   A published table never changes: a new ability is a new extension id, or a slot behind the last one. `struct_size`
 *            says how much of a table is there. The host reads no byte behind it, and a plugin must read none either.
 *   Text     UTF-8 that ends in NUL, without CR, LF or another control character, at most KEYFERRY_PLUGIN_TEXT_BYTES long. What a
 *            plugin passes is copied before the slot returns. What the host gives lives until the call ends, and is wiped then.
 *   Codes    Functions return a keyferry_plugin_status. A number that is not listed here is a fault of whoever returns it.
 *   Calls    The host numbers its calls. A number is good until that call returns, or its time is over; later it gets
 *            KEYFERRY_PLUGIN_E_CALL and nothing happens.
 *   Time     A call has a limit (`http.timeout_ms`, the time that the host itself works not counted). A plugin that doesn't come back
 *            is left alone: its call fails, and with four such calls it is called no more until one of them returns.
 *   Trust    A plugin runs in the host's process. It MUST NOT call the functions of keyferry.h from a call (they answer
 *            KEYFERRY_E_REENTRANT), end the process, throw, longjmp out of a call, or change signals, locale or working directory.
 *
 * Threads
 *   [load]   one at a time for this plugin, on any thread; others of its functions may not run meanwhile.
 *   [call]   the thread of that call, which is the host's; several calls may run at once. SIGPIPE is blocked there, so that a broken
 *            connection of the plugin's doesn't end the host, and a program that the plugin starts inherits that: the plugin unblocks
 *            it there, with posix_spawnattr_setsigmask, or between fork and exec.
 *   [any]    any thread while the call lasts.
 */

#ifndef KEYFERRY_PLUGIN_H
#define KEYFERRY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/**
 * The major number: another one means another ABI. A host says which ones it takes.
 */
#define KEYFERRY_PLUGIN_ABI_MAJOR 1

/**
 * The minor number: a greater one has more slots and extensions, and nothing less.
 */
#define KEYFERRY_PLUGIN_ABI_MINOR 0

/**
 * A setting that is no secret.
 */
#define KEYFERRY_PLUGIN_SETTING_TEXT 1

/**
 * A secret: it may come from any source, is never shown, and what is sent in a call that asked for it counts as a login.
 */
#define KEYFERRY_PLUGIN_SETTING_SECRET 2

/**
 * A base URL: https, or http to this machine. Exchanges go below it and nowhere else.
 */
#define KEYFERRY_PLUGIN_SETTING_URL 3

/**
 * The longest text, in bytes without NUL.
 */
#define KEYFERRY_PLUGIN_TEXT_BYTES 16384

/**
 * One token serves everything of the service that this account has.
 */
#define KEYFERRY_PLUGIN_CLASS_BEARER 1

/**
 * The login of a user.
 */
#define KEYFERRY_PLUGIN_CLASS_USER 2

/**
 * Each thing has a token of its own, by the id in its path.
 */
#define KEYFERRY_PLUGIN_CLASS_ITEM 3

/**
 * A configured secret, handed out as it is: kept in memory alone.
 */
#define KEYFERRY_PLUGIN_CLASS_KEY 4

/**
 * There is one sort of token.
 */
#define KEYFERRY_PLUGIN_ACCESS_FULL 1

/**
 * To read.
 */
#define KEYFERRY_PLUGIN_ACCESS_READ 2

/**
 * To add.
 */
#define KEYFERRY_PLUGIN_ACCESS_WRITE 3

/**
 * To change and delete.
 */
#define KEYFERRY_PLUGIN_ACCESS_MANAGE 4

/**
 * Read.
 */
#define KEYFERRY_PLUGIN_GET 1

/**
 * Post.
 */
#define KEYFERRY_PLUGIN_POST 2

/**
 * Put.
 */
#define KEYFERRY_PLUGIN_PUT 3

/**
 * Delete.
 */
#define KEYFERRY_PLUGIN_DELETE 4

/**
 * What the user has to mend.
 */
#define KEYFERRY_PLUGIN_LOG_ERROR 1

/**
 * What works in spite of a fault.
 */
#define KEYFERRY_PLUGIN_LOG_WARN 2

/**
 * What is done.
 */
#define KEYFERRY_PLUGIN_LOG_INFO 3

/**
 * Every step.
 */
#define KEYFERRY_PLUGIN_LOG_DEBUG 4

/**
 * The host does what this header does not say. What a plugin does so, the host logs by itself.
 */
#define KEYFERRY_PLUGIN_LOG_HOST_MISBEHAVES 5

/**
 * What a function returns: `KEYFERRY_PLUGIN_OK`, or one of the `KEYFERRY_PLUGIN_E_` numbers.
 */
typedef int32_t keyferry_plugin_status;

/**
 * A setting of the plugin's. It stands under `[NAME]` in config.toml as `KEY`, and as `KEYFERRY_NAME_KEY` in the environment, a
 * secret also with `_FILE` at the end; each profile may have its own.
 */
typedef struct {
  /**
   * 1 to 32 lower-case letters, digits and underscores; a letter first.
   */
  const char *key;
  /**
   * One sentence for people.
   */
  const char *about;
  /**
   * The value where nobody sets one, or NULL. A secret has none.
   */
  const char *fallback;
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
 * The number of a call.
 */
typedef uint64_t keyferry_plugin_call;

/**
 * Bytes that the host gives: `data[size]` is NUL. They live until the call ends, and are wiped then; a plugin frees nothing.
 */
typedef struct {
  /**
   * Where they begin; of one got with `buffer` they may be written.
   */
  char *data;
  /**
   * How many, without NUL.
   */
  size_t size;
} keyferry_plugin_buffer;

/**
 * A header of a request.
 */
typedef struct {
  /**
   * Its name. Those of the connection (`Host`, `Content-Length`, `Transfer-Encoding` and their kin) are the host's.
   */
  const char *name;
  /**
   * Its value.
   */
  const char *value;
} keyferry_plugin_header;

/**
 * A request. Zero all of it first.
 */
typedef struct {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * `KEYFERRY_PLUGIN_GET` and its kin.
   */
  uint32_t method;
  /**
   * The key of the setting whose URL this goes below; NULL for `url`.
   */
  const char *base;
  /**
   * Path and query, behind that URL; a slash first. It can't leave the URL.
   */
  const char *path;
  /**
   * The headers, at most 16; NULL for none.
   */
  const keyferry_plugin_header *headers;
  /**
   * How many there are.
   */
  size_t header_count;
  /**
   * The body, UTF-8; NULL for none. JSON unless a header `Content-Type` says otherwise.
   */
  const char *body;
  /**
   * How many bytes it has, at most 1 MiB.
   */
  size_t body_size;
  /**
   * A status that means "wrong secrets", beside 401; 0 for none.
   */
  uint32_t refused_status;
  /**
   * 0.
   */
  uint32_t reserved;
} keyferry_plugin_request;

/**
 * An answer. The plugin sets `struct_size` before the exchange.
 */
typedef struct {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The HTTP status: no redirect, no 401, no 429 and no 5xx but 501, for these have become errors.
   */
  uint32_t status;
  /**
   * The body.
   */
  keyferry_plugin_buffer body;
} keyferry_plugin_answer;

/**
 * What the host does for a plugin. A later host has more slots behind these, and a greater `struct_size`.
 *
 * The host's promises, which are its part of the contract: it
 * - follows no redirect, speaks https or to this machine, sends below the plugin's own URLs alone, reads at most 1 MiB;
 * - repeats a GET that failed, and nothing else that may have arrived;
 * - remembers for a while which secrets were refused, over all processes, and does not send them again meanwhile;
 * - drops whatever a plugin logs or says that holds one of the secrets which the call asked for.
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
   * The value of a setting that the descriptor names, as this account has it. `KEYFERRY_PLUGIN_E_NOT_CONFIGURED` where there is
   * none, `KEYFERRY_PLUGIN_E_SECRET_SOURCE` where it can't be had. Not in `init`. May wait.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*setting)(keyferry_plugin_call call, const char *key, keyferry_plugin_buffer *out);
  /**
   * One exchange, at most 16 in a call. Errors: what stands in the way, and `KEYFERRY_PLUGIN_E_REFUSED` for a 401 or the request's
   * `refused_status` once the call has asked for a secret, also from memory. Returned as they are they reach the user with all
   * their details. Not in `init`. May wait.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*exchange)(keyferry_plugin_call call,
                                     const keyferry_plugin_request *request,
                                     keyferry_plugin_answer *response);
  /**
   * A buffer of `size` bytes, zeroed, to put secrets together in; 4 MiB in a call.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*buffer)(keyferry_plugin_call call, size_t size, keyferry_plugin_buffer *out);
  /**
   * What stands in a JSON document at a JSON pointer (RFC 6901: `/data/token`, `/rows/0`) as text: a string's content, a number's
   * digits, `true` or `false`. `KEYFERRY_PLUGIN_E_NOT_FOUND` where nothing of the kind stands, `KEYFERRY_PLUGIN_E_BAD_ANSWER` for
   * what is no JSON, and for a text with control characters.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*json_text)(keyferry_plugin_call call,
                                      const char *document,
                                      size_t document_size,
                                      const char *pointer,
                                      keyferry_plugin_buffer *out);
  /**
   * A text as a JSON string, with its quotes.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*json_quote)(keyferry_plugin_call call, const char *text, keyferry_plugin_buffer *out);
  /**
   * Adds a header to the token that this call gives, at most 8.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*give_header)(keyferry_plugin_call call, const char *name, const char *value);
  /**
   * When the token ends, in seconds since 1970 by the service's clock. Without it the token is good until it is rejected.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*give_expiry)(keyferry_plugin_call call, int64_t unix_s);
  /**
   * What `renew` gets later. It is kept sealed, with the token.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*give_renewal)(keyferry_plugin_call call, const char *renewal);
  /**
   * The secret that `get` was asked for.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*give_secret)(keyferry_plugin_call call, const char *secret);
  /**
   * Why the call fails: lower case, no full stop, what is wrong and what helps. At most 500 bytes; the host puts the plugin's name
   * before it.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*fail)(keyferry_plugin_call call, const char *why);
  /**
   * Logs a line at one of `KEYFERRY_PLUGIN_LOG_`, at most 500 bytes.
   *
   * Threads: [any]
   */
  keyferry_plugin_status (*log)(keyferry_plugin_call call, uint32_t level, const char *message);
  /**
   * Seconds since 1970 by the service's clock, as its answers tell it; 0 for no such call.
   *
   * Threads: [any]
   */
  int64_t (*now_unix_s)(keyferry_plugin_call call);
  /**
   * How many milliseconds the call has left; 0 when it is over.
   *
   * Threads: [any]
   */
  uint64_t (*time_left_ms)(keyferry_plugin_call call);
  /**
   * 1 when nobody waits for the call any more (its time is over, or the session closes), else 0. A plugin that works long without
   * the host asks now and then.
   *
   * Threads: [any]
   */
  int32_t (*is_over)(keyferry_plugin_call call);
} keyferry_plugin_host;

/**
 * What a plugin is: the type of the constant `keyferry_plugin_entry`.
 *
 * A plugin MUST
 * - export exactly this symbol as constant data, its numbers right without running code;
 * - have a name of 1 to 32 lower-case letters and digits, a letter first, that is no built-in service, `profile`, `store` or
 *   `plugins`, and begins not with `http`;
 * - name in `settings` everything that it asks for: the host gives nothing else;
 * - come back from every function, whatever the network does: every slot that waits has the call's own limit;
 * - keep nothing that a call gave beyond that call, and no secret anywhere.
 *
 * A plugin SHOULD
 * - do nothing in constructors, and little in `init`;
 * - start no thread. In a forked child its memory is as it was, its threads are gone, and `init` is called once more;
 * - say with `fail` what a person can do, in one sentence without secrets.
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
   * How many settings there are, at most 32.
   */
  uint32_t setting_count;
  /**
   * The plugin's name, which is its service's and its source's too.
   */
  const char *name;
  /**
   * Its version, for people.
   */
  const char *version;
  /**
   * Its settings; NULL for none.
   */
  const keyferry_plugin_setting *settings;
  /**
   * Called before anything else, once as long as any session uses the plugin. The host's table lives for ever. May be NULL.
   *
   * Threads: [load]
   */
  keyferry_plugin_status (*init)(const keyferry_plugin_host *host, keyferry_plugin_call call);
  /**
   * Called when no session uses the plugin any more, if `init` was done. `init` may follow again. May be NULL.
   *
   * Threads: [load]
   */
  void (*deinit)(void);
  /**
   * The table of an extension, which lives for ever; NULL for an id that the plugin does not have. Called after `init`.
   *
   * Threads: [load]
   */
  const void *(*get_extension)(const char *id);
} keyferry_plugin;

/**
 * Which paths of a service need which token. The host matches them by itself: a hit costs no call.
 */
typedef struct {
  /**
   * A path behind the prefix, without a slash before it. `{id}` stands for one whole segment, at most once; `{rest}` at the end for
   * whatever follows, also nothing: `assets/{id}/{rest}`. All other segments count to the letter.
   */
  const char *pattern;
  /**
   * One of `KEYFERRY_PLUGIN_CLASS_`. `{id}` stands in the pattern of an item, and in no other.
   */
  uint32_t token_class;
  /**
   * One of `KEYFERRY_PLUGIN_ACCESS_`.
   */
  uint32_t access;
} keyferry_plugin_route;

/**
 * What is to be got.
 */
typedef struct {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * One of `KEYFERRY_PLUGIN_CLASS_`.
   */
  uint32_t token_class;
  /**
   * One of `KEYFERRY_PLUGIN_ACCESS_`.
   */
  uint32_t access;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Which item, as it stands in the URL; empty for the other classes.
   */
  const char *id;
  /**
   * The account's name, for messages.
   */
  const char *account;
} keyferry_plugin_want;

/**
 * The extension `keyferry.service/1`: a remote system whose headers are handed out. Its base URL is the plugin's setting `url`,
 * which it MUST have; a URL below that, or `NAME:PATH`, is its own if a route has its path.
 *
 * keyferry keeps what `acquire` gives: in memory and in the store, for all programs, one flight for all who ask at the same
 * time, until it is about to end or is rejected. A failure is not asked for again for a while.
 *
 * A service MUST
 * - claim no URL of another service: the host refuses it;
 * - get a token with what `setting` and `exchange` give, and with nothing else;
 * - give at least one header before it returns `KEYFERRY_PLUGIN_OK`, and the expiry where it is known;
 * - return `KEYFERRY_PLUGIN_E_REFUSED` when the service says that the secrets are wrong, and for nothing else.
 *
 * A service SHOULD
 * - name the status that means "wrong secrets" in `refused_status` of its request where that is not 401;
 * - accept documents with unknown fields.
 */
typedef struct {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * How many routes there are, at most 64.
   */
  uint32_t route_count;
  /**
   * The service's name in sentences.
   */
  const char *title;
  /**
   * What its paths begin with below the base URL: a slash at both ends, `/` or `/v1/`.
   */
  const char *prefix;
  /**
   * The routes; the first one that has a path counts.
   */
  const keyferry_plugin_route *routes;
  /**
   * Gets a token with the user's secrets.
   *
   * Threads: [call]
   */
  keyferry_plugin_status (*acquire)(keyferry_plugin_call call, const keyferry_plugin_want *spec);
  /**
   * Renews a token with what `give_renewal` gave. After `KEYFERRY_PLUGIN_E_REFUSED` and `KEYFERRY_PLUGIN_E_UNSUPPORTED` the host
   * calls `acquire`. May be NULL.
   *
   * Threads: [call]
   */
  keyferry_plugin_status (*renew)(keyferry_plugin_call call, const keyferry_plugin_want *spec, const char *renewal);
} keyferry_plugin_service;

/**
 * The extension `keyferry.secret-source/1`: where secrets of other services come from. In config.toml a secret refers to it as
 * `{ plugin = ["NAME", "WHAT"] }`; it is asked whenever the secret is needed, and nothing of it is kept.
 *
 * A source MUST
 * - understand WHAT as it likes, and refuse what it does not understand with a sentence;
 * - give the whole secret with `give_secret` before it returns `KEYFERRY_PLUGIN_OK`;
 * - not ask a person: there may be none.
 *
 * A source SHOULD answer within two seconds.
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
   * Gives the secret of `what`.
   *
   * Threads: [call]
   */
  keyferry_plugin_status (*get)(keyferry_plugin_call call, const char *what);
} keyferry_plugin_source;

/**
 * Done.
 */
#define KEYFERRY_PLUGIN_OK 0

/**
 * A setting that is needed is not there.
 */
#define KEYFERRY_PLUGIN_E_NOT_CONFIGURED 1

/**
 * A setting is there and can't be had.
 */
#define KEYFERRY_PLUGIN_E_SECRET_SOURCE 2

/**
 * No connection, or no whole answer.
 */
#define KEYFERRY_PLUGIN_E_UNREACHABLE 3

/**
 * The service refused the secrets that this call asked for. They are not sent again for a while.
 */
#define KEYFERRY_PLUGIN_E_REFUSED 4

/**
 * A person has to log in.
 */
#define KEYFERRY_PLUGIN_E_LOGIN_REQUIRED 5

/**
 * The service does not know the thing.
 */
#define KEYFERRY_PLUGIN_E_NOT_FOUND 6

/**
 * The secrets at hand can't do this.
 */
#define KEYFERRY_PLUGIN_E_ACCESS 7

/**
 * The service wants fewer requests.
 */
#define KEYFERRY_PLUGIN_E_THROTTLED 8

/**
 * The service is out of order.
 */
#define KEYFERRY_PLUGIN_E_UNAVAILABLE 9

/**
 * The service's answer is not what it documents.
 */
#define KEYFERRY_PLUGIN_E_BAD_ANSWER 10

/**
 * There is no such way. From `renew`: get a new token instead.
 */
#define KEYFERRY_PLUGIN_E_UNSUPPORTED 11

/**
 * The call's time is over, or the session closes.
 */
#define KEYFERRY_PLUGIN_E_OVER 12

/**
 * What was passed can't be: NULL, too long, not UTF-8, a control character in it, a name that the descriptor does not have. From
 * the host alone, and the call fails as the plugin's fault whatever it returns.
 */
#define KEYFERRY_PLUGIN_E_ARGUMENT 13

/**
 * There is no such call, or no more. From the host alone.
 */
#define KEYFERRY_PLUGIN_E_CALL 14

/**
 * Anything else; say why with `fail`.
 */
#define KEYFERRY_PLUGIN_E_FAILED 15

#endif  /* KEYFERRY_PLUGIN_H */

/**
 * The id of the extension `keyferry_plugin_service`.
 */
#define KEYFERRY_PLUGIN_SERVICE "keyferry.service/1"

/**
 * The id of the extension `keyferry_plugin_source`.
 */
#define KEYFERRY_PLUGIN_SOURCE "keyferry.secret-source/1"

#ifdef __cplusplus
#define KEYFERRY_PLUGIN_C extern "C"
#else
#define KEYFERRY_PLUGIN_C extern
#endif

/**
 * What a plugin exports, also where it is compiled with hidden symbols. Define it once, in one file.
 */
#ifdef __GNUC__
KEYFERRY_PLUGIN_C __attribute__((visibility("default"))) const keyferry_plugin keyferry_plugin_entry;
#else
KEYFERRY_PLUGIN_C const keyferry_plugin keyferry_plugin_entry;
#endif
