/**
 * Valid request headers for MASV cloud and FileVerbs, and the session of the local MASV Agent.
 *
 * ```js
 * import { createFetch } from 'keyferry';
 *
 * const fetch = createFetch();
 * const files = await (await fetch('https://api.massive.app/v1/packages/01EXAMPLE/files')).json();
 * ```
 *
 * Units: durations are milliseconds; points in time are `Date` objects.
 * Errors: every failure of the library throws a {@link KeyferryError}.
 * Secrets: header values are secrets. A secret passed as a `Buffer` or `Uint8Array` is overwritten with zeros; a string can't be.
 * Threads: each worker thread imports the package itself. {@link Session.default} is the same session in all of them.
 * Source: the documentation or standard that a function follows.
 *
 * @packageDocumentation
 */

/**
 * What a token permits; `full` if this kind of token has no levels.
 *
 * Source: MASV API, package tokens.
 */
export type Access = 'any' | 'full' | 'read' | 'write' | 'manage';

/** The kind of a token. */
export type TokenKind = 'key' | 'user' | 'package' | 'transfer' | 'bearer';

/**
 * A long-lived secret.
 *
 * A `Buffer` or `Uint8Array` is overwritten with zeros when the call ends; a string can't be.
 */
export type Secret = string | Uint8Array;

/**
 * What to reach: a URL of a service, a link copied from `get.massive.io`, or exactly one of the
 * short forms `user`, `packages/ID`, `packages/ID/transfers/ID`, `transfers/ID`,
 * `links/ID?secret=S`, `fileverbs:bearer`, `fileverbs:secret-key` and `agent:session`.
 * `SERVICE:/PATH` is the URL of PATH at a service, and `PLUGIN:PATH` a route of a plugin.
 */
export type Resource = string | URL;

/** A JSON document. */
export type Json = Record<string, any>;

/** What a caller requires of a token. */
export interface TokenOptions {
  /**
   * How many milliseconds the token must remain valid.
   *
   * By default keyferry refreshes a token only shortly before its expiry (docs/behaviour.md). If
   * the service issues tokens with a shorter life, the newest one is returned.
   */
  minValid?: number;
  /** `read`, `write` or `manage`. By default the resource determines the access. */
  access?: Access;
  /** The profile to use from the configuration. By default the default profile. */
  account?: string;
  /** The password of a protected link. */
  linkPassword?: Secret;
  /** How many milliseconds to wait, 1 to 600000. By default the setting `http.timeout_ms`. */
  timeout?: number;
}

/** {@link TokenOptions} for a call that can be aborted. */
export interface WaitOptions extends TokenOptions {
  /**
   * Ends the wait with an error named `AbortError`.
   *
   * If the signal is already aborted, no call starts. The request to the service continues for
   * other callers that wait for the same token.
   */
  signal?: AbortSignal;
}

/**
 * The configuration of a session.
 *
 * Without `file` and `settings`, the user's `config.toml` and the environment are used. A process with
 * raised privilege (setuid, setgid, file capabilities) cannot use them: it needs `file`.
 */
export interface SessionOptions {
  /**
   * A different `config.toml`, as an absolute path or a `file:` URL.
   *
   * With `false`, the session reads neither a file nor the environment and keeps tokens in memory.
   */
  file?: string | URL | false;
  /**
   * Settings by key, such as `masv.api_key`.
   *
   * They override file and environment. Values are always literal. The keys are listed in
   * docs/configuration.md in keyferry's repository.
   */
  settings?: Record<string, Secret>;
}

/**
 * A status of `keyferry.h`: `KEYFERRY_E_` and a word.
 *
 * A newer library may return codes that are not listed there.
 */
export type KeyferryCode = `KEYFERRY_E_${string}`;

/**
 * A failure of keyferry.
 *
 * The message says what failed and what to do about it. It contains no secret.
 *
 * Source: the status codes in `keyferry.h`.
 */
export class KeyferryError extends Error {
  private constructor();
  /** The kind of failure, such as `KEYFERRY_E_LOGIN_REQUIRED`. */
  readonly code: KeyferryCode;
  /** The status number of the C ABI for {@link code}. */
  readonly status: number;
  /** The HTTP status of the response; undefined if there was no response. */
  readonly httpStatus?: number;
  /** The service's own error number; undefined if it sent none. */
  readonly serviceCode?: number;
  /** How many milliseconds to wait before a retry; undefined if that is unknown. */
  readonly retryAfter?: number;
  /** The reason of the caller's own signal if it ended the wait; `name` is `AbortError` then. */
  readonly cause?: unknown;
  /**
   * A short remedy for this kind of failure.
   *
   * The message has the remedy for this particular failure.
   */
  get remedy(): string;
}

/**
 * The headers for a request, and when they expire. Immutable. A token outlives its session.
 *
 * `console.log` and `JSON.stringify` show no secret of a token.
 */
export class Token {
  private constructor();
  /**
   * The headers to send, by name.
   *
   * Their values are secrets: keep them out of logs and argument lists.
   */
  get headers(): Readonly<Record<string, string>>;
  /** The value of the first header, without the scheme of an `Authorization` header. A secret. */
  get value(): string;
  /**
   * The service that the token is for: `masv` or `fileverbs`, or the name of a plugin's service.
   */
  get service(): string;
  /** The kind of token. */
  get kind(): TokenKind;
  /** What the token permits. */
  get access(): Access;
  /**
   * When the token expires, by the service's clock; null if it is valid until it is rejected.
   *
   * Source: RFC 7519, `exp`.
   */
  get expiresAt(): Date | null;
  /**
   * A number that orders the tokens of a resource.
   *
   * Later tokens have greater numbers, in all processes that share a store.
   */
  get generation(): number;
  /**
   * Further data that the service sent with the token, without secrets.
   *
   * A user token has `user` and `teams`, as the service sent them.
   */
  get details(): Json;
}

/**
 * Configuration, services, cache and store.
 *
 * Methods that may wait for a service, a file or another process return a promise. A wait for a
 * token uses no thread of libuv's pool, and holds up neither the exit of the process nor the end of
 * a worker thread. Other methods use at most half of the pool in each JavaScript thread. Each
 * method that returns a promise has a blocking version for scripts, whose name ends in `Sync`.
 *
 * All methods throw {@link KeyferryError}. After {@link close} they throw an `Error` with the code
 * `ERR_INVALID_STATE`.
 */
export class Session {
  /**
   * Opens a session. Uses no network.
   *
   * Throws `KEYFERRY_E_CONFIG` or `KEYFERRY_E_UNSAFE_FILE` if the configuration can't be used.
   */
  constructor(options?: SessionOptions);

  /**
   * The default session of the process.
   *
   * The worker threads and other libraries in the process share this session. Its first use opens
   * the session from the user's configuration. It is never closed.
   */
  static get default(): Session;

  /**
   * Returns the name and value of the header for a resource if a fresh one is cached, else
   * undefined.
   *
   * Never waits. The value is a secret.
   *
   * If the result is undefined, call {@link headersFor}. This method doesn't start a refresh. When
   * a refresh is due soon, it returns undefined once. The next {@link headersFor} or
   * {@link tokenFor} for the same resource then returns the cached header and refreshes it in the
   * background.
   *
   * ```js
   * const [name, value] = session.header(url) ?? Object.entries(await session.headersFor(url))[0];
   * ```
   *
   * Throws `KEYFERRY_E_UNKNOWN_SERVICE`, `KEYFERRY_E_NO_HEADER`, `KEYFERRY_E_INVALID_RESOURCE`, or
   * `KEYFERRY_E_MULTIPLE_HEADERS` if there are several headers; use {@link headersFor} then.
   */
  header(resource: Resource): [name: string, value: string] | undefined;

  /** Returns the headers for a resource, by name. Gets them as {@link tokenFor} does. */
  headersFor(resource: Resource, options?: WaitOptions): Promise<Readonly<Record<string, string>>>;
  /** Blocking version of {@link headersFor}. */
  headersForSync(resource: Resource, options?: TokenOptions): Readonly<Record<string, string>>;

  /**
   * Returns the token for a resource.
   *
   * A fresh token comes from the cache, any other from the store or the service.
   *
   * Callers that need the same token share one call, whose timeout starts with the first caller.
   * Throws `KEYFERRY_E_UNKNOWN_SERVICE`, `KEYFERRY_E_NO_HEADER`, `KEYFERRY_E_NOT_CONFIGURED`,
   * `KEYFERRY_E_LOGIN_REQUIRED`, `KEYFERRY_E_BAD_CREDENTIALS`, `KEYFERRY_E_NOT_FOUND`,
   * `KEYFERRY_E_INSUFFICIENT_ACCESS`, `KEYFERRY_E_THROTTLED`, `KEYFERRY_E_UNREACHABLE`,
   * `KEYFERRY_E_TIMEOUT`, `KEYFERRY_E_CANCELLED` and others. Source: the services' documentation.
   */
  tokenFor(resource: Resource, options?: WaitOptions): Promise<Token>;
  /** Blocking version of {@link tokenFor}. */
  tokenForSync(resource: Resource, options?: TokenOptions): Token;

  /**
   * Returns an unexpired token from the cache, or undefined.
   *
   * Uses neither store nor network and starts no refresh.
   */
  cached(resource: Resource, options?: TokenOptions): Token | undefined;

  /**
   * Reports that the service responded with a 401 to a token.
   *
   * This session doesn't get the token again, for any resource. If the service then accepts the
   * token, the session gets it again after 10 seconds. Other sessions and processes go on using it
   * until a newer one is stored. Prefer {@link rejectValue}, which names the resource. Source: RFC
   * 9110, 15.5.2.
   */
  reject(token: Token): Promise<void>;
  /** Blocking version of {@link reject}. */
  rejectSync(token: Token): void;

  /**
   * Reports that the service responded with a 401 to a header value, with or without `Bearer `,
   * that keyferry returned for a resource.
   *
   * No process gets the token for this resource again; other resources go on using it. The next
   * call for the resource returns a new token if the service doesn't accept the old one any more.
   * Otherwise it fails with KEYFERRY_E_INSUFFICIENT_ACCESS, or with KEYFERRY_E_BAD_CREDENTIALS if
   * the service can't be asked. Does nothing if the value isn't the current one.
   */
  rejectValue(resource: Resource, value: Secret): Promise<void>;
  /** Blocking version of {@link rejectValue}. */
  rejectValueSync(resource: Resource, value: Secret): void;

  /**
   * Adds a token that the caller got without keyferry.
   *
   * Examples are the token of a package that the caller created in a Portal (a MASV team's upload
   * page), and the token of a transfer that the caller started. `resource` is `packages/ID`, `transfers/ID`, or a URL of one
   * of them. Without `expiresAt` the expiry is read from the token.
   *
   * Throws `KEYFERRY_E_INVALID_VALUE` if the value can't be a token or has expired,
   * `KEYFERRY_E_UNSUPPORTED` if the resource doesn't accept adopted tokens. Source: MASV API,
   * `POST /v1/portals/{portal_id}/packages` and `POST /v1/packages/{id}/transfer`.
   */
  adopt(resource: Resource, value: Secret, options?: { expiresAt?: Date | null }): Promise<void>;
  /** Blocking version of {@link adopt}. */
  adoptSync(resource: Resource, value: Secret, options?: { expiresAt?: Date | null }): void;

  /**
   * Deletes everything that keyferry caches or stores for a resource: the token, the secret that
   * refreshes the token, and recorded rejections of a credential.
   *
   * Other processes delete their copies when they next read the store.
   */
  forget(resource: Resource): Promise<void>;
  /** Blocking version of {@link forget}. */
  forgetSync(resource: Resource): void;

  /** Does what {@link forget} does, for all resources of all accounts. */
  forgetAll(): Promise<void>;
  /** Blocking version of {@link forgetAll}. */
  forgetAllSync(): void;

  /**
   * Explains which credential a resource would get and why.
   *
   * The result has the service, the account, the key of the token in the cache, the cached token,
   * when keyferry will refresh the token, and how long keyferry will return the last error without
   * a new network request. Uses no network. The result contains no secret.
   */
  explain(resource: Resource): Promise<Json>;
  /** Blocking version of {@link explain}. */
  explainSync(resource: Resource): Json;

  /**
   * Returns the cached and stored tokens without secrets: service, account, kind, id, access,
   * generation, `expires_unix_s`.
   */
  list(): Promise<Json[]>;
  /** Blocking version of {@link list}. */
  listSync(): Json[];

  /**
   * Returns counters of the session, such as flights, waits, logins, refreshes and rejected tokens.
   * A flight is one fetch that several callers share.
   *
   * Cache hits are not counted.
   */
  stats(): Record<string, number>;

  /**
   * Logs in to MASV. Always sends one `POST /v1/auth`, even if an earlier login was rejected.
   *
   * A missing argument is read from `masv.email` or `masv.password`. The login is cached and
   * stored, so {@link tokenFor} uses it from then on. The token's `details` contain `user` and
   * `teams`.
   *
   * Throws `KEYFERRY_E_NOT_CONFIGURED` if an argument is neither passed nor configured;
   * `KEYFERRY_E_BAD_CREDENTIALS` for a wrong password, and for accounts with MFA or SSO, which need
   * an API key. Source: MASV API, `POST /v1/auth`.
   */
  masvLogin(email?: string, password?: Secret): Promise<Token>;
  /** Blocking version of {@link masvLogin}. */
  masvLoginSync(email?: string, password?: Secret): Token;

  /**
   * Returns the user who is signed in to the MASV Agent on this machine: `user` and `teams`, as the
   * agent sent them.
   *
   * Throws `KEYFERRY_E_LOGIN_REQUIRED` if no user is signed in, `KEYFERRY_E_UNREACHABLE` if no
   * agent is running. Source: MASV Agent, `GET /api/v1/login`.
   */
  masvAgentSession(): Promise<Json>;
  /** Blocking version of {@link masvAgentSession}. */
  masvAgentSessionSync(): Json;

  /**
   * Signs in to the MASV Agent and returns `user` and `teams`.
   *
   * The agent then acts as this user for all programs on the machine. A missing argument is read
   * from `masv.email` or `masv.password`. Throws `KEYFERRY_E_BAD_CREDENTIALS` if e-mail or password
   * is wrong, `KEYFERRY_E_UNSUPPORTED` if this agent accepts only an API key. Source: MASV Agent,
   * `POST /api/v1/login`.
   */
  masvAgentSignIn(email?: string, password?: Secret): Promise<Json>;
  /** Blocking version of {@link masvAgentSignIn}. */
  masvAgentSignInSync(email?: string, password?: Secret): Json;

  /**
   * Creates a MASV account through a legacy MASV Transfer Agent and signs in with it. keyferry
   * never does this by itself.
   *
   * Throws `KEYFERRY_E_UNSUPPORTED` if the agent is a newer one. Source: MASV Transfer Agent
   * (legacy), `POST /api/v1/signup`.
   */
  masvAgentSignUp(email: string, password: Secret, name: string): Promise<Json>;
  /** Blocking version of {@link masvAgentSignUp}. */
  masvAgentSignUpSync(email: string, password: Secret, name: string): Json;

  /**
   * Returns the `Authorization: Bearer` header of FileVerbs, refreshed if necessary.
   *
   * Throws `KEYFERRY_E_NOT_CONFIGURED` unless both `fileverbs.secret_key` and `fileverbs.api_key`
   * are set.
   * Source: FileVerbs API, `POST /accounts/access-token`.
   */
  fileverbsBearer(): Promise<Token>;
  /** Blocking version of {@link fileverbsBearer}. */
  fileverbsBearerSync(): Token;

  /**
   * Returns the configured `SecretKey` header of FileVerbs as a token, for machine-to-machine
   * requests.
   *
   * Source: FileVerbs API, SecretKey (Integration, API Secret).
   */
  fileverbsSecretKey(): Promise<Token>;
  /** Blocking version of {@link fileverbsSecretKey}. */
  fileverbsSecretKeySync(): Token;

  /**
   * Closes the session.
   *
   * Calls that wait for a token fail with `KEYFERRY_E_CANCELLED`, refreshes are cancelled, and the
   * session's threads end within 1 second. The promise resolves when this is done. Tokens remain
   * valid. The default session can't be closed: for it, `close` does nothing. A session that is
   * garbage collected is closed automatically.
   */
  close(): Promise<void>;
  /** Calls {@link close} without waiting for it. */
  [Symbol.dispose](): void;
  /** Calls {@link close}. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Returns a `fetch` that adds the headers that match each request's URL.
 *
 * Only requests to the configured services get headers. In all other respects, the function does what
 * the global `fetch` does: it takes the same arguments, reads each of them once, and throws the same
 * errors.
 *
 * On a redirect, the new URL gets only the headers that match it. After a 401 the token is rejected
 * and the request is sent once more with a new token. If there is no new token, the caller gets the
 * 401 response. A body that is a stream, or that is inside a `Request` and larger than 1 MiB, can't
 * be sent again. The token is rejected all the same, but a request with such a body is not retried.
 * It fails on a redirect that requires the body (307, 308). Any other body is sent again as it was
 * when you called the function, even if you have changed it since. After a redirect, a `dispatcher` in `init` is used, but a `dispatcher`
 * inside a `Request` is not.
 *
 * Throws the errors of {@link Session.tokenFor} if keyferry cannot get a token. Source: RFC 9110,
 * 15.5.2; Fetch Standard.
 *
 * @param session the session to use; by default {@link Session.default}
 * @param fetch   the function that sends the requests; by default the global `fetch`. That of undici or
 *                node-fetch, with their own `Request` and options, works too
 */
export function createFetch(session?: Session, fetch?: typeof globalThis.fetch): typeof globalThis.fetch;

/** How severe a log message is. `debug` has every HTTP request. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/**
 * Passes the log messages of the library to a function, up to a level. The messages contain no secrets.
 *
 * The function runs in the event loop of the thread that called `setLog`, in the order of the messages. keyferry never
 * waits for the function, so it may call keyferry. While a blocking call such as {@link Session.tokenForSync} runs, messages wait
 * in a pipe of 64 KiB. If it is full, messages are lost, and the next one says how many. The log doesn't keep the process alive. Messages
 * that are left when the process exits are passed on then.
 *
 * A process has one log: a call in any thread replaces the function that was set before. When a worker thread ends, its log ends too.
 *
 * Throws `KEYFERRY_E_INVALID_VALUE` if there is no such level; `KEYFERRY_E_UNREACHABLE` if too many files are open.
 */
export function setLog(level: LogLevel, callback: (level: LogLevel, message: string) => void): void;
/** Turns the log off. Messages from before are passed on first. */
export function setLog(level: 'off'): void;

/** The version of the library, such as `1.2.3`. */
export const version: string;
