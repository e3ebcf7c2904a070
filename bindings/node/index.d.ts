/**
 * The right, unexpired request headers for MASV cloud, the local MASV Agent and FileVerbs.
 *
 * ```js
 * import { createFetch } from 'keyferry';
 *
 * const fetch = createFetch();
 * const files = await (await fetch('https://api.massive.app/v1/packages/01EXAMPLE/files')).json();
 * ```
 *
 * Units: all spans of time are milliseconds, as everywhere in Node; moments are `Date`.
 * Errors: every failure of the library is a {@link KeyferryError}.
 * Secrets: values of headers are secrets. One that is handed over as a `Buffer` or `Uint8Array` is wiped; a string can't be.
 * Threads: each worker thread imports the package for itself; {@link Session.default} is the same session in all of them.
 *
 * @packageDocumentation
 */

/** What a token allows: `full` where there is only one sort. Source: MASV API, package tokens. */
export type Access = 'any' | 'full' | 'read' | 'write' | 'manage';

/** What a token is. */
export type TokenKind = 'key' | 'user' | 'package' | 'transfer' | 'bearer';

/** A long-lived secret. A `Buffer` or `Uint8Array` is overwritten with zeros when the call has ended; a string can't be. */
export type Secret = string | Uint8Array;

/**
 * What to reach: a URL of a service, `SERVICE:PATH`, or the path of a MASV thing: `user`, `packages/ID`, `packages/ID/transfers/ID`,
 * `transfers/ID`, `links/ID?secret=S`, or a pasted link of `get.massive.io`.
 */
export type Resource = string | URL;

/** A JSON document. */
export type Json = Record<string, any>;

/** What a caller needs of a token. */
export interface TokenOptions {
  /**
   * For how many milliseconds the token must be good, instead of keyferry's own windows. Where a service gives shorter ones, the freshest
   * is returned.
   */
  minValid?: number;
  /** `read`, `write` or `manage` instead of what the resource says. */
  access?: Access;
  /** The profile in the configuration to act as, instead of the default one. */
  account?: string;
  /** The password of a protected link. */
  linkPassword?: Secret;
  /** How many milliseconds to wait, 1 to 600000; without it the configured `http.timeout_ms`. */
  timeout?: number;
}

/** {@link TokenOptions} of a call that can be given up. */
export interface WaitOptions extends TokenOptions {
  /**
   * Ends the wait with an error of the name `AbortError`; one that was aborted before lets no call begin. What is under way goes on for
   * others who wait for the same token.
   */
  signal?: AbortSignal;
}

/** How a session is configured. Without `file` and `settings`: by the user's `config.toml` and the environment. */
export interface SessionOptions {
  /**
   * Another `config.toml`, an absolute path or a `file:` URL; `false` to read neither a file nor the environment, and to keep tokens in
   * memory.
   */
  file?: string | URL | false;
  /**
   * Values by key, such as `masv.api_key`, over file and environment. Always literal. The keys stand in the configuration table of
   * keyferry's README.
   */
  settings?: Record<string, Secret>;
}

/** `KEYFERRY_E_` and a word for each status of `keyferry.h`. A code that is not listed comes from a newer library. */
export type KeyferryCode = `KEYFERRY_E_${string}`;

/**
 * What keyferry could not do. The message says it in one sentence with the remedy, and holds no secret.
 *
 * Source: the table of status numbers in `keyferry.h`.
 */
export class KeyferryError extends Error {
  private constructor();
  /** What kind of failure it is, such as `KEYFERRY_E_LOGIN_REQUIRED`. */
  readonly code: KeyferryCode;
  /** The status number of the C ABI for {@link code}. */
  readonly status: number;
  /** The HTTP status behind it; undefined where no answer came. */
  readonly httpStatus?: number;
  /** The service's own error number; undefined where it sent none. */
  readonly serviceCode?: number;
  /** After how many milliseconds a new try makes sense; undefined where nobody named a time. */
  readonly retryAfter?: number;
  /** The reason of the signal, where the caller's own signal ended the wait; `name` is `AbortError` then. */
  readonly cause?: unknown;
  /** What helps against this kind of failure, in a few words. */
  get remedy(): string;
}

/**
 * The headers that a request needs, and until when they are good. Immutable; it outlives its session. `console.log` and `JSON.stringify`
 * show no secret of it.
 */
export class Token {
  private constructor();
  /** The headers to send, by name. Their values are secrets: keep them out of logs and argument lists. */
  get headers(): Readonly<Record<string, string>>;
  /** The bare value of the first header, without the scheme of an `Authorization`. A secret. */
  get value(): string;
  /** The service that it is for: `masv`, `fileverbs`. */
  get service(): string;
  /** What it is. */
  get kind(): TokenKind;
  /** What it allows. */
  get access(): Access;
  /** When it ends, by the service's clock; null if it is good until it is rejected. Source: RFC 7519, `exp`. */
  get expiresAt(): Date | null;
  /** Which one of its resource's tokens it is: each later one has a greater number, in all processes that share a store. */
  get generation(): number;
  /** What else the service said with it, without secrets: of a user token `user` and `teams`, as they came. */
  get details(): Json;
}

/**
 * Configuration, services, cache and store.
 *
 * Methods that may wait for a service, a file or another process return a promise and wait on a
 * thread of libuv's pool. Those of one JavaScript thread take at most half of it; worker threads
 * share the pool, and each counts its own waits. Each method has a twin that ends in `Sync`, which
 * waits where it is called: for scripts. All throw {@link KeyferryError}; and an `Error` with the
 * code `ERR_INVALID_STATE` after {@link close}.
 */
export class Session {
  /** Opens a session. Goes to no network. Throws `KEYFERRY_E_CONFIG` or `KEYFERRY_E_UNSAFE_FILE` if the configuration can't be used. */
  constructor(options?: SessionOptions);

  /**
   * The session of the whole process, which its worker threads and other libraries in it share. Opened at its first use from the user's
   * configuration, and never closed.
   */
  static get default(): Session;

  /**
   * Name and value of the header for a resource, if a fresh one is in memory; else undefined: then
   * ask {@link headersFor}. Never waits. The value is a secret.
   *
   * It asks for no refresh itself. When one is due soon it answers undefined once, and {@link headersFor} or {@link tokenFor}, asked then
   * for the same resource, gives the present header and has the next one got in the background.
   *
   * ```js
   * const [name, value] = session.header(url) ?? Object.entries(await session.headersFor(url))[0];
   * ```
   *
   * Throws `KEYFERRY_E_UNKNOWN_SERVICE`, `KEYFERRY_E_NO_HEADER`, `KEYFERRY_E_INVALID_RESOURCE`, or
   * `KEYFERRY_E_MULTIPLE_HEADERS` where {@link headersFor} is needed.
   */
  header(resource: Resource): [name: string, value: string] | undefined;

  /** The headers for a resource, by name, as {@link tokenFor} gets them. */
  headersFor(resource: Resource, options?: WaitOptions): Promise<Readonly<Record<string, string>>>;
  /** As {@link headersFor}, but waits. */
  headersForSync(resource: Resource, options?: TokenOptions): Readonly<Record<string, string>>;

  /**
   * The token for a resource: from memory if it is fresh, else from the store or the service.
   * Callers that want the same token wait for one request, from the first one's start on.
   *
   * Throws `KEYFERRY_E_UNKNOWN_SERVICE`, `KEYFERRY_E_NO_HEADER`, `KEYFERRY_E_NOT_CONFIGURED`,
   * `KEYFERRY_E_LOGIN_REQUIRED`, `KEYFERRY_E_BAD_CREDENTIALS`, `KEYFERRY_E_NOT_FOUND`,
   * `KEYFERRY_E_INSUFFICIENT_ACCESS`, `KEYFERRY_E_THROTTLED`, `KEYFERRY_E_UNREACHABLE`,
   * `KEYFERRY_E_TIMEOUT`, `KEYFERRY_E_CANCELLED` and others. Source: the services' documents.
   */
  tokenFor(resource: Resource, options?: WaitOptions): Promise<Token>;
  /** As {@link tokenFor}, but waits. */
  tokenForSync(resource: Resource, options?: TokenOptions): Token;

  /** An unexpired token from memory, or undefined. Goes to no store and no network, and asks for no refresh. */
  cached(resource: Resource, options?: TokenOptions): Token | undefined;

  /**
   * Says that the service refused a token (401): its generation is dead, here and in the store, and the next call gets another. A later
   * generation is not harmed. A rejected API key or SecretKey is not handed out for a while. Source: RFC 9110, 15.5.2.
   */
  reject(token: Token): Promise<void>;
  /** As {@link reject}, but waits. */
  rejectSync(token: Token): void;

  /**
   * As {@link reject}, for a header's value, with or without `Bearer `, that was got for a resource. Nothing happens unless it is the
   * present one.
   */
  rejectValue(resource: Resource, value: Secret): Promise<void>;
  /** As {@link rejectValue}, but waits. */
  rejectValueSync(resource: Resource, value: Secret): void;

  /**
   * Keeps a token that the caller got itself: of a package that it made through a Portal, of a transfer that it started. `resource` is
   * `packages/ID` or `transfers/ID`, or a URL of that. Without `expiresAt` the token says itself when it ends.
   *
   * Throws `KEYFERRY_E_INVALID_VALUE` if it can't be a token or has ended, `KEYFERRY_E_UNSUPPORTED`
   * if the resource takes no such token. Source: MASV API, `POST /v1/portals/{portal_id}/packages`
   * and `POST /v1/packages/{id}/transfer`.
   */
  adopt(resource: Resource, value: Secret, options?: { expiresAt?: Date | null }): Promise<void>;
  /** As {@link adopt}, but waits. */
  adoptSync(resource: Resource, value: Secret, options?: { expiresAt?: Date | null }): void;

  /** Forgets what is kept of a resource: token, record, renewal secret, refusals. Other processes drop theirs at their next read. */
  forget(resource: Resource): Promise<void>;
  /** As {@link forget}, but waits. */
  forgetSync(resource: Resource): void;

  /** As {@link forget}, for everything of every account. */
  forgetAll(): Promise<void>;
  /** As {@link forgetAll}, but waits. */
  forgetAllSync(): void;

  /**
   * What would happen for a resource and why: service, account, key, what is in memory, when it is
   * refreshed, for how long the last failure is answered. Goes nowhere and tells no secret.
   */
  explain(resource: Resource): Promise<Json>;
  /** As {@link explain}, but waits. */
  explainSync(resource: Resource): Json;

  /** The tokens in memory and in the store, without secrets: service, account, kind, id, access, generation, `expires_unix_s`. */
  list(): Promise<Json[]>;
  /** As {@link list}, but waits. */
  listSync(): Json[];

  /** What the session did, counted: flights, waits, logins, refreshes, refusals. Hits are not counted. */
  stats(): Record<string, number>;

  /**
   * Logs in to MASV: always one `POST /v1/auth`, also where an earlier one was refused. What is not given is taken from `masv.email` and
   * `masv.password`. The login is kept, so {@link tokenFor} works from then on; the token's `details` have `user` and `teams`.
   *
   * Throws `KEYFERRY_E_NOT_CONFIGURED` if one is neither given nor configured;
   * `KEYFERRY_E_BAD_CREDENTIALS` for a wrong password, and for accounts with MFA or SSO, which need
   * an API key. Source: MASV API, `POST /v1/auth`.
   */
  masvLogin(email?: string, password?: Secret): Promise<Token>;
  /** As {@link masvLogin}, but waits. */
  masvLoginSync(email?: string, password?: Secret): Token;

  /**
   * Who is signed in to the MASV Agent on this machine: `user` and `teams`, as the agent sent them. Throws `KEYFERRY_E_LOGIN_REQUIRED` if
   * nobody is, `KEYFERRY_E_UNREACHABLE` if no agent runs. Source: MASV Agent, `GET /api/v1/login`.
   */
  masvAgentSession(): Promise<Json>;
  /** As {@link masvAgentSession}, but waits. */
  masvAgentSessionSync(): Json;

  /**
   * Signs in to the MASV Agent, which then acts as this user for all programs of the machine. What
   * is not given is taken from `masv.email` and `masv.password`. Throws
   * `KEYFERRY_E_BAD_CREDENTIALS` if they are wrong, `KEYFERRY_E_UNSUPPORTED` if this agent takes an
   * API key only.
   * Source: MASV Agent, `POST /api/v1/login`.
   */
  masvAgentSignIn(email?: string, password?: Secret): Promise<Json>;
  /** As {@link masvAgentSignIn}, but waits. */
  masvAgentSignInSync(email?: string, password?: Secret): Json;

  /**
   * Makes a MASV account through an old MASV Transfer Agent and signs in with it. Never called by keyferry itself. Throws
   * `KEYFERRY_E_UNSUPPORTED` if the agent is a new one. Source: MASV Transfer Agent (legacy), `POST /api/v1/signup`.
   */
  masvAgentSignUp(email: string, password: Secret, name: string): Promise<Json>;
  /** As {@link masvAgentSignUp}, but waits. */
  masvAgentSignUpSync(email: string, password: Secret, name: string): Json;

  /**
   * The `Authorization: Bearer` header of FileVerbs, renewed when it is due. Throws `KEYFERRY_E_NOT_CONFIGURED` without
   * `fileverbs.secret_key` and `fileverbs.api_key`. Source: FileVerbs API, `POST /accounts/access-token`.
   */
  fileverbsBearer(): Promise<Token>;
  /** As {@link fileverbsBearer}, but waits. */
  fileverbsBearerSync(): Token;

  /**
   * The `SecretKey` header of FileVerbs for machine-to-machine calls: the configured one, in the shape of a token. Source: FileVerbs API,
   * SecretKey (Integration, API Secret).
   */
  fileverbsSecretKey(): Promise<Token>;
  /** As {@link fileverbsSecretKey}, but waits. */
  fileverbsSecretKeySync(): Token;

  /**
   * Closes the session: ends the waits for tokens with `KEYFERRY_E_CANCELLED`, cancels refreshes, ends its threads within a second. The
   * promise tells when all of it is done. Tokens live on. Does nothing to the default session. A session that is dropped closes itself.
   */
  close(): Promise<void>;
  /** {@link close}, without telling when it is done. */
  [Symbol.dispose](): void;
  /** {@link close}. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A `fetch` that puts the right headers on each request by its URL, for the origins of the configured services only. Other requests go as
 * they are. A redirect takes no header to a place that it is not for.
 *
 * On a 401 the token is rejected, and the request is sent once more with a new one, unless its body is a stream, or one in a `Request`
 * that is larger than 1 MiB; where there is no new one, the 401 is the answer. Such a body does not follow a redirect that wants it again
 * (307, 308). After a redirect the `dispatcher` of `init` is used, one inside a `Request` is not. Getting a token throws as
 * {@link Session.tokenFor} does. Source: RFC 9110, 15.5.2; Fetch Standard.
 *
 * @param session the session to ask; without it {@link Session.default}
 * @param fetch   what sends the requests; without it the global `fetch`
 */
export function createFetch(session?: Session, fetch?: typeof globalThis.fetch): typeof globalThis.fetch;

/** The version of the library, such as `1.2.3`. */
export const version: string;
