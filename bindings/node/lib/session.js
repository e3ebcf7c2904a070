/** Sessions, which return tokens. */
import * as abi from './abi.js';
import { Secrets, abortError, bind, callAsync, callSync, errorFrom, outParams, takeText, text } from './call.js';
import { MAX_READY, NativeSession } from './native.js';
import { freeRequest, isPlain, openRequest, shareKey } from './request.js';
import { plans } from './services.js';
import { startToken, startedToken } from './started.js';
import { LINE_BYTES, freeToken, generationOf, lineAddress, lineHeader, lineHeaders, takeToken } from './token.js';
import { SharedWait } from './wait.js';

const peek = bind('keyferry_session_peek');
const cachedToken = bind('keyferry_session_cached');
const tokenFor = bind('keyferry_session_token_for');
const stats = bind('keyferry_session_stats');

const dispose = Symbol.dispose ?? Symbol.for('nodejs.dispose');
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose');

const finalizers = new FinalizationRegistry((native) => native.close());

/** Replaces the native session of a closed session. */
const closed = {
  get address() {
    throw Object.assign(new Error('the session is closed'), { code: 'ERR_INVALID_STATE' });
  },
};

const defaultKey = Symbol('default');

export class Session {
  static #default;

  #native;
  /** Other calls that have not ended. */
  #running = new Map();
  /** Logins that have not ended. */
  #logins = new Set();
  /** Waits that several callers share, by the key from `shareKey`. */
  #waits = new Map();
  /** Resources that `header` didn't find in the cache, until the next call for them. */
  #missed = new Set();

  constructor(options = {}) {
    this.#native = new NativeSession(options === defaultKey ? undefined : options);
    if (options !== defaultKey) finalizers.register(this, this.#native, this);
  }

  static get default() {
    Session.#default ??= new Session(defaultKey);
    return Session.#default;
  }

  header(resource) {
    const line = this.#line(resource, lineHeader);
    if (line === undefined) this.#noteMiss(text(resource));
    return line;
  }

  /**
   * Returns the cached header line, converted by `convert`, if a fresh one is cached.
   *
   * `peek` returns a status without a message, so another lookup in the cache throws the error.
   */
  #line(resource, convert) {
    const status = peek(this.#native.address, text(resource), lineAddress, LINE_BYTES, outParams.out);
    if (status === abi.KEYFERRY_OK) return convert(outParams.result);
    if (status === abi.KEYFERRY_E_NOT_CACHED) return undefined;
    if (status !== abi.KEYFERRY_E_MULTIPLE_HEADERS) this.#callWithRequest(cachedToken, resource);
    throw errorFrom(status);
  }

  /**
   * Records that `header` returned undefined.
   *
   * `peek` reports only once that a refresh is due, so the next call for this resource must call
   * the library instead of using the cache.
   */
  #noteMiss(resource) {
    if (this.#missed.size >= MAX_READY) this.#missed.delete(this.#missed.values().next().value);
    this.#missed.add(resource);
  }

  /**
   * Returns whether a call may use the cache: it has no options beyond the resource, and `header`
   * has recorded no miss.
   *
   * Clears the recorded miss.
   */
  #mayUseMemory(resource, options) {
    if (options?.signal?.aborted) return false;
    return isPlain(options) && !(this.#missed.size > 0 && this.#missed.delete(text(resource)));
  }

  async headersFor(resource, options) {
    return this.#headers(resource, options) ?? (await this.#sharedToken(resource, options)).headers;
  }

  headersForSync(resource, options) {
    return this.#headers(resource, options) ?? this.#callWithRequest(tokenFor, resource, options).headers;
  }

  #headers(resource, options) {
    if (!this.#mayUseMemory(resource, options)) return undefined;
    try {
      return this.#line(resource, lineHeaders);
    } catch (error) {
      if (error.status === abi.KEYFERRY_E_MULTIPLE_HEADERS) return this.#cachedToken(text(resource), true)?.headers;
      throw error;
    }
  }

  async tokenFor(resource, options) {
    return this.#fresh(resource, options) ?? this.#sharedToken(resource, options);
  }

  tokenForSync(resource, options) {
    return this.#fresh(resource, options) ?? this.#callWithRequest(tokenFor, resource, options);
  }

  cached(resource, options) {
    try {
      return isPlain(options) ? this.#cachedToken(text(resource)) : this.#callWithRequest(cachedToken, resource, options);
    } catch (error) {
      if (error.status === abi.KEYFERRY_E_NOT_CACHED) return undefined;
      throw error;
    }
  }

  /**
   * Returns the cached token if it needs no refresh.
   *
   * Errors are ignored here; the call that follows reports them.
   */
  #fresh(resource, options) {
    if (!this.#mayUseMemory(resource, options)) return undefined;
    // The buffer is empty, so the status says whether a line is cached.
    const resourceText = text(resource);
    const status = peek(this.#native.address, resourceText, 0, 0, 0);
    const isCached = status === abi.KEYFERRY_E_BUFFER_TOO_SMALL || status === abi.KEYFERRY_E_MULTIPLE_HEADERS;
    return isCached ? this.#cachedToken(resourceText, true) : undefined;
  }

  /**
   * Returns the cached token.
   *
   * A token of the same generation is the same token, so its object is created once.
   */
  #cachedToken(resource, quiet = false) {
    const native = this.#native;
    const entry = native.entryFor(resource);
    const status = cachedToken(native.address, entry.request, outParams.out, outParams.error);
    if (status !== abi.KEYFERRY_OK) {
      const error = errorFrom(status, outParams.errorAddress);
      if (quiet) return undefined;
      throw error;
    }
    const address = outParams.result;
    if (entry.token !== undefined && entry.token.generation === Number(generationOf(address))) {
      freeToken(address);
    } else {
      entry.token = takeToken(address, resource);
    }
    return entry.token;
  }

  /** Makes a blocking call with its own request. */
  #callWithRequest(call, resource, options) {
    const secrets = new Secrets([options?.linkPassword]);
    let request = 0;
    try {
      const address = this.#native.address;
      request = openRequest(resource, options);
      return callSync(call, [address, request], this.#tokenConverter(resource, options));
    } finally {
      freeRequest(request);
      secrets.wipe();
    }
  }

  #tokenConverter(resource, options) {
    const resourceText = isPlain(options) ? text(resource) : undefined;
    return (address) => takeToken(address, resourceText);
  }

  /** Waits for a token together with all callers that need the same one. */
  async #sharedToken(resource, options) {
    const signal = options?.signal;
    const secrets = new Secrets([options?.linkPassword]);
    try {
      if (signal?.aborted) throw abortError(signal);
      const key = shareKey(resource, options);
      return (this.#waits.get(key) ?? this.#startWait(key, resource, options)).join(signal);
    } finally {
      // The request has its own copy of the secrets by now, although the token is still awaited.
      secrets.wipe();
    }
  }

  #startWait(key, resource, options) {
    const address = this.#native.address;
    const start = (request) => this.#track(startedToken(address, request, this.#tokenConverter(resource, options)));
    const onClosed = (closedWait) => {
      if (this.#waits.get(key) === closedWait) this.#waits.delete(key);
    };
    const wait = new SharedWait(openRequest(resource, options), start, onClosed);
    this.#waits.set(key, wait);
    return wait;
  }

  /** Logs in with a request, and frees the request. `close` doesn't wait for this call: closing ends it. */
  #loggedIn(address, request, convert) {
    const promise = startToken(address, request, convert).finally(() => {
      freeRequest(request);
      this.#logins.delete(promise);
    });
    this.#logins.add(promise);
    return promise;
  }

  /** Records a call until it ends. Until then, `keepAlive` stays referenced. */
  #track(call, keepAlive) {
    const promise = call.finally(() => this.#running.delete(promise));
    this.#running.set(promise, keepAlive);
    return promise;
  }

  stats() {
    return callSync(stats, [this.#native.address], (address) => JSON.parse(takeText(address)));
  }

  close() {
    const native = this.#native;
    if (native === closed || this === Session.#default) return Promise.resolve();
    this.#native = closed;
    finalizers.unregister(this);
    for (const wait of this.#waits.values()) wait.cancel();
    return Promise.allSettled(this.#running.keys()).then(() => new Promise((done) => native.close(() => done())));
  }

  [dispose]() {
    this.close();
  }

  [asyncDispose]() {
    return this.close();
  }

  static {
    for (const [name, plan] of Object.entries(plans)) {
      const variants = {
        async [name](...parameters) {
          const native = this.#native;
          const secrets = new Secrets(parameters);
          try {
            const { call, args, convert, keepAlive, resource, open } = plan(secrets, ...parameters);
            if (resource !== undefined) return await this.#sharedToken(resource);
            if (open !== undefined) return await this.#loggedIn(native.address, open(), convert);
            const callArgs = [native.address, ...args];
            return await this.#track(callAsync(call, callArgs, convert), [callArgs, keepAlive]);
          } finally {
            secrets.wipe();
            native.clear?.();
          }
        },
        [`${name}Sync`](...parameters) {
          const native = this.#native;
          const secrets = new Secrets(parameters);
          try {
            const { call, args, convert } = plan(secrets, ...parameters);
            return callSync(call, [native.address, ...args], convert);
          } finally {
            secrets.wipe();
            native.clear?.();
          }
        },
      };
      for (const [variant, value] of Object.entries(variants)) {
        Object.defineProperty(this.prototype, variant, { value, configurable: true, writable: true });
      }
    }
  }
}
