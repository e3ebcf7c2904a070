/** Sessions: where tokens come from. */
import * as abi from './abi.js';
import { Secrets, aborted, bind, later, now, raised, room, said, text } from './call.js';
import * as parts from './parts.js';
import { calls } from './services.js';
import { LINE_BYTES, byName, free, generationOf, header, lineAddress, taken } from './token.js';

const peek = bind('keyferry_session_peek');
const cachedToken = bind('keyferry_session_cached');
const tokenFor = bind('keyferry_session_token_for');
const stats = bind('keyferry_session_stats');

const dispose = Symbol.dispose ?? Symbol.for('nodejs.dispose');
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose');

const dropped = new FinalizationRegistry((native) => native.close());

/** Stands for the native side of a closed session. */
const closed = {
  get address() {
    throw Object.assign(new Error('the session is closed'), { code: 'ERR_INVALID_STATE' });
  },
};

const key = Symbol('default');

export class Session {
  static #default;

  #native;
  /** Calls on the pool that have not ended. */
  #calls = new Map();
  /** Waits that several callers share, by what they ask for. */
  #flights = new Map();
  /** Resources of which `header` had nothing, until somebody asks for them. */
  #told = new Set();

  constructor(options = {}) {
    this.#native = new parts.Native(options === key ? undefined : options);
    if (options !== key) dropped.register(this, this.#native, this);
  }

  static get default() {
    Session.#default ??= new Session(key);
    return Session.#default;
  }

  header(resource) {
    const line = this.#line(resource, header);
    if (line === undefined) this.#tell(text(resource));
    return line;
  }

  /** The line in memory as `as` reads it, if a fresh one is there. */
  #line(resource, as) {
    const status = peek(this.#native.address, text(resource), lineAddress, LINE_BYTES, room.out);
    if (status === abi.KEYFERRY_OK) return as(room.made);
    if (status === abi.KEYFERRY_E_NOT_CACHED) return undefined;
    throw raised(status);
  }

  /** When a refresh is advisable, a peek says so once. Who asks next for what it said this of is to go to the library. */
  #tell(resource) {
    if (this.#told.size >= parts.MOST) this.#told.delete(this.#told.values().next().value);
    this.#told.add(resource);
  }

  /** Whether the answer may come from memory: nothing more is asked than the resource, and nothing sends the caller to the library. */
  #isQuick(resource, options) {
    if (options?.signal?.aborted) return false;
    return parts.isPlain(options) && !(this.#told.size > 0 && this.#told.delete(text(resource)));
  }

  async headersFor(resource, options) {
    return this.#headers(resource, options) ?? (await this.#shared(resource, options)).headers;
  }

  headersForSync(resource, options) {
    return this.#headers(resource, options) ?? this.#asked(tokenFor, resource, options).headers;
  }

  #headers(resource, options) {
    if (!this.#isQuick(resource, options)) return undefined;
    try {
      return this.#line(resource, byName);
    } catch (error) {
      if (error.status === abi.KEYFERRY_E_MULTIPLE_HEADERS) return this.#held(text(resource), true)?.headers;
      throw error;
    }
  }

  async tokenFor(resource, options) {
    return this.#fresh(resource, options) ?? this.#shared(resource, options);
  }

  tokenForSync(resource, options) {
    return this.#fresh(resource, options) ?? this.#asked(tokenFor, resource, options);
  }

  cached(resource, options) {
    try {
      return parts.isPlain(options) ? this.#held(text(resource)) : this.#asked(cachedToken, resource, options);
    } catch (error) {
      if (error.status === abi.KEYFERRY_E_NOT_CACHED) return undefined;
      throw error;
    }
  }

  /** The token in memory, if it needs no refresh. Any failure is told by the call that comes after this one. */
  #fresh(resource, options) {
    if (!this.#isQuick(resource, options)) return undefined;
    // There is no room for its line: so says the number, if there is one.
    const known = text(resource);
    const status = peek(this.#native.address, known, 0, 0, 0);
    const there = status === abi.KEYFERRY_E_BUFFER_TOO_SMALL || status === abi.KEYFERRY_E_MULTIPLE_HEADERS;
    return there ? this.#held(known, true) : undefined;
  }

  /** The token in memory. One of the same generation is the same, and is made once. */
  #held(resource, quiet = false) {
    const native = this.#native;
    const asked = native.asked(resource);
    const status = cachedToken(native.address, asked.request, room.out, room.error);
    if (status !== abi.KEYFERRY_OK) {
      const error = raised(status, room.failure);
      if (quiet) return undefined;
      throw error;
    }
    const address = room.made;
    if (asked.token !== undefined && asked.token.generation === Number(generationOf(address))) {
      free(address);
    } else {
      asked.token = taken(address, resource);
    }
    return asked.token;
  }

  /** Calls with a request of its own, and waits. */
  #asked(call, resource, options) {
    const secrets = new Secrets([options?.linkPassword]);
    let request = 0;
    try {
      const address = this.#native.address;
      request = parts.request(resource, options);
      return now(call, [address, request], this.#taking(resource, options));
    } finally {
      parts.free(request);
      secrets.wipe();
    }
  }

  #taking(resource, options) {
    const known = parts.isPlain(options) ? text(resource) : undefined;
    return (address) => taken(address, known);
  }

  /** Waits together with all who ask for the same. */
  async #shared(resource, options) {
    const signal = options?.signal;
    const secrets = new Secrets([options?.linkPassword]);
    try {
      if (signal?.aborted) throw aborted(signal);
      const same = parts.sameness(resource, options);
      return (this.#flights.get(same) ?? this.#depart(same, resource, options)).join(signal);
    } finally {
      // The request has its own copy by now; nothing is waited for here.
      secrets.wipe();
    }
  }

  #depart(same, resource, options) {
    const address = this.#native.address;
    const start = (request) => this.#later(tokenFor, [address, request], this.#taking(resource, options));
    const left = (gone) => {
      if (this.#flights.get(same) === gone) this.#flights.delete(same);
    };
    const flight = new parts.Flight(parts.request(resource, options), start, left);
    this.#flights.set(same, flight);
    return flight;
  }

  /** A call on the pool; what it needs lives until it has ended. */
  #later(call, args, give, keep) {
    const running = later(call, args, give).finally(() => this.#calls.delete(running));
    this.#calls.set(running, [args, keep]);
    return running;
  }

  stats() {
    return now(stats, [this.#native.address], (address) => JSON.parse(said(address)));
  }

  close() {
    const native = this.#native;
    if (native === closed || this === Session.#default) return Promise.resolve();
    this.#native = closed;
    dropped.unregister(this);
    for (const flight of this.#flights.values()) flight.cancel();
    return Promise.allSettled(this.#calls.keys()).then(() => new Promise((done) => native.close(() => done())));
  }

  [dispose]() {
    this.close();
  }

  [asyncDispose]() {
    return this.close();
  }

  static {
    for (const [name, plan] of Object.entries(calls)) {
      const twins = {
        async [name](...given) {
          const native = this.#native;
          const secrets = new Secrets(given);
          try {
            const { call, args, give, keep } = plan(secrets, ...given);
            return await this.#later(call, [native.address, ...args], give, keep);
          } finally {
            secrets.wipe();
            native.clear?.();
          }
        },
        [`${name}Sync`](...given) {
          const native = this.#native;
          const secrets = new Secrets(given);
          try {
            const { call, args, give } = plan(secrets, ...given);
            return now(call, [native.address, ...args], give);
          } finally {
            secrets.wipe();
            native.clear?.();
          }
        },
      };
      for (const [twin, value] of Object.entries(twins)) {
        Object.defineProperty(this.prototype, twin, { value, configurable: true, writable: true });
      }
    }
  }
}
