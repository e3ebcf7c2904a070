/** What a session is made of: the one of the C ABI with its configuration, requests, and the waits with them. */
import { fileURLToPath } from 'node:url';

import { Secrets, aborted, bind, invalid, now, optional, text } from './call.js';
import { accesses, wipeLine } from './token.js';

const make = bind('keyferry_request_new');
const setMinValidS = bind('keyferry_request_set_min_valid_s');
const setAccess = bind('keyferry_request_set_access');
const setAccount = bind('keyferry_request_set_account');
const setLinkPassword = bind('keyferry_request_set_link_password');
const setTimeoutMs = bind('keyferry_request_set_timeout_ms');
const cancel = bind('keyferry_request_cancel');
export const free = bind('keyferry_request_free');

const LARGEST = 2 ** 32 - 1;

/** A number for C, rounded up; one that is too large for it is too large for keyferry too. */
function whole(amount, what) {
  if (!(amount >= 0)) throw invalid(`${what} is not a number from 0 on`);
  return Math.min(Math.ceil(amount), LARGEST);
}

function numberOf(access) {
  for (const [number, name] of accesses) if (name === access) return number;
  throw invalid(`access is none of ${[...accesses.values()].join(', ')}`);
}

function fill(request, { minValid, access, account, linkPassword, timeout }) {
  if (minValid !== undefined) now(setMinValidS, [request, whole(minValid / 1000, 'minValid')]);
  if (access !== undefined) now(setAccess, [request, numberOf(access)]);
  if (account !== undefined) now(setAccount, [request, optional(account)]);
  if (timeout !== undefined) now(setTimeoutMs, [request, Math.max(1, whole(timeout, 'timeout'))]);
  if (linkPassword === undefined) return;
  const secrets = new Secrets([linkPassword]);
  try {
    now(setLinkPassword, [request, secrets.take(linkPassword)]);
  } finally {
    secrets.wipe();
  }
}

/** The address of a new request, which whoever asked for it frees. */
export function request(resource, options = {}) {
  const address = now(make, [text(resource)], (made) => made);
  try {
    fill(address, options);
  } catch (error) {
    free(address);
    throw error;
  }
  return address;
}

/** Whether these options ask for no more than the resource does. */
export function isPlain(options) {
  return options === undefined || Object.entries(options).every(([name, value]) => name === 'signal' || value === undefined);
}

/** What two requests have in common that one answer serves; none for those that bring a password. */
export function sameness(resource, { minValid, access, account, linkPassword, timeout } = {}) {
  return linkPassword === undefined ? JSON.stringify([text(resource), minValid, access, account, timeout]) : Symbol('alone');
}

/** The promise, or the failure of a caller whose signal is aborted first. */
function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(aborted(signal));
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** One wait for a token that all who ask for the same thing share: it takes one thread of the pool, however many they are. */
export class Flight {
  #request;
  #token;
  #left;
  #waiters = 0;
  #over = false;

  /** `start` waits with the request, which is the flight's from now on. `left` hears when nobody can join any more. */
  constructor(request, start, left) {
    this.#request = request;
    this.#left = left;
    this.#token = start(request).finally(() => this.#end());
    // Whoever waits hears of a failure; if nobody does any more, it is nobody's.
    this.#token.catch(() => {});
  }

  /** The token. The last one to go without it ends the wait. */
  async join(signal) {
    this.#waiters += 1;
    try {
      return await (signal ? unlessAborted(this.#token, signal) : this.#token);
    } finally {
      this.#waiters -= 1;
      if (this.#waiters === 0) this.cancel();
    }
  }

  cancel() {
    this.#left(this);
    if (!this.#over) cancel(this.#request);
  }

  #end() {
    this.#over = true;
    this.#left(this);
    free(this.#request);
  }
}

const newConfig = bind('keyferry_config_new');
const loadConfig = bind('keyferry_config_load');
const setConfig = bind('keyferry_config_set');
const freeConfig = bind('keyferry_config_free');
const open = bind('keyferry_session_open');
const freeSession = bind('keyferry_session_free');

const asIs = (made) => made;

/** So many resources are kept ready to be asked for again. */
export const MOST = 64;

function begun(file) {
  if (file === false) return now(newConfig, [], asIs);
  const path = file instanceof URL ? fileURLToPath(file) : file;
  return now(loadConfig, [path === undefined ? null : text(path)], asIs);
}

/** The address of a new session; its configuration lives no longer than this takes. */
function opened({ file, settings = {} }) {
  const secrets = new Secrets(Object.values(settings));
  let config = 0;
  try {
    config = begun(file);
    for (const [key, value] of Object.entries(settings)) now(setConfig, [config, text(key), secrets.take(value)]);
    return now(open, [config], asIs);
  } finally {
    secrets.wipe();
    freeConfig(config);
  }
}

/** The session of the C ABI with what belongs to it. It knows nothing of the `Session` that holds it, so it can outlive that one. */
export class Native {
  address;
  /** By resource: the request, made once, and the token that came last. */
  ready = new Map();

  /** Without options the default session of the process. */
  constructor(options) {
    this.address = options === undefined ? 0 : opened(options);
  }

  /** The request for nothing but a resource, and what it gave last. */
  asked(resource) {
    let asked = this.ready.get(resource);
    if (asked === undefined) {
      if (this.ready.size >= MOST) this.#drop(this.ready.keys().next().value);
      asked = { request: request(resource), token: undefined };
      this.ready.set(resource, asked);
    }
    return asked;
  }

  #drop(resource) {
    free(this.ready.get(resource).request);
    this.ready.delete(resource);
  }

  /** Lets go of all that stands ready. */
  clear() {
    wipeLine();
    for (const resource of this.ready.keys()) this.#drop(resource);
  }

  /** Frees all of it; the session on a thread of the pool, for its own threads may take a second to end. */
  close(done = () => {}) {
    const address = this.address;
    this.address = 0;
    this.clear();
    freeSession.async(address, done);
  }
}
