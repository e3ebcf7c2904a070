/** Requests: a resource and what the caller needs of its token; and the waits with them. */
import { Secrets, now, optional, text } from './call.js';
import { aborted, invalid } from './error.js';
import { bind } from './library.js';
import { accesses } from './token.js';

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
  const secrets = new Secrets();
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
