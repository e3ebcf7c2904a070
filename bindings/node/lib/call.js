/**
 * The shared library, loaded and declared, and how its functions are called: texts go in, a result comes out, or an error is raised.
 *
 * It is the library that the package carries and no other: neither the working directory nor a variable leads to another place. Only
 * built-in types of koffi are used, so nothing is registered twice when worker threads evaluate this module again.
 */
import { fileURLToPath } from 'node:url';

import koffi from 'koffi';

import * as abi from './abi.js';

const path = fileURLToPath(new URL(`../native/${process.platform}-${process.arch}/libkeyferry.so`, import.meta.url));

function load() {
  try {
    return koffi.load(path);
  } catch (cause) {
    throw new Error(`the keyferry library can't be loaded from ${path}: install a package of keyferry that was made for this platform`, {
      cause,
    });
  }
}

const library = load();

/** A function of the C ABI by its name there. Addresses are numbers; its `async` runs it on a thread of the pool. */
export function bind(name) {
  const [result, parameters] = abi.FUNCTIONS[name];
  return library.func(name, result, parameters);
}

/** Memory that the library may write to, at a place where it stays. Whoever holds the array keeps it. */
export function allocate(bytes) {
  const array = new Uint8Array(new ArrayBuffer(bytes));
  return { array, address: Number(koffi.address(array)) };
}

if (bind('keyferry_abi_version')() !== abi.KEYFERRY_ABI_VERSION) {
  throw new Error(`${path} has another ABI than this package: install the package anew`);
}

/** The version of the library. */
export const version = bind('keyferry_version')();

const statusText = bind('keyferry_status_text');
const message = bind('keyferry_error_message');
const httpStatus = bind('keyferry_error_http_status');
const serviceCode = bind('keyferry_error_service_code');
const retryAfterMs = bind('keyferry_error_retry_after_ms');
const freeError = bind('keyferry_error_free');

const names = Object.entries(abi).filter(([name]) => name.startsWith('KEYFERRY_E_'));
const codes = new Map(names.map(([name, status]) => [status, name]));

export class KeyferryError extends Error {
  constructor(status, messageText, { cause, ...details } = {}) {
    super(messageText, cause === undefined ? undefined : { cause });
    this.status = status;
    this.code = codes.get(status) ?? `KEYFERRY_E_${status}`;
    for (const [name, value] of Object.entries(details)) if (value !== undefined) this[name] = value;
  }

  get remedy() {
    const messageText = statusText(this.status);
    return messageText.slice(messageText.indexOf(': ') + 1).trim();
  }
}

Object.defineProperty(KeyferryError.prototype, 'name', { value: 'KeyferryError', configurable: true, writable: true });

/** The exception for a failed call; frees the error object of the C ABI. Without an object the status alone speaks. */
export function errorFrom(status, address = 0) {
  const details = {
    httpStatus: httpStatus(address) || undefined,
    serviceCode: serviceCode(address) || undefined,
    retryAfter: retryAfterMs(address) || undefined,
  };
  const error = new KeyferryError(status, message(address) ?? statusText(status), details);
  freeError(address);
  return error;
}

/** The exception of a caller whose signal was aborted, by the name that Node gives such errors. */
export function abortError(signal) {
  const messageText = 'the signal was aborted';
  return new KeyferryError(abi.KEYFERRY_E_CANCELLED, messageText, { name: 'AbortError', cause: signal.reason });
}

/** The exception for an argument that C could not read as it was meant. */
export function invalidValue(messageText) {
  return new KeyferryError(abi.KEYFERRY_E_INVALID_VALUE, messageText);
}

const textFree = bind('keyferry_text_free');

/** Out-parameters of one call: memory for the address or the number that it writes, and for its error. */
export class OutParams {
  #memory = allocate(16);
  #words = new Uint32Array(this.#memory.array.buffer);
  out = this.#memory.address;
  error = this.out + 8;

  // Two halves are read faster than a BigInt, and an address fits into a number. All platforms of the package have the lower half first.
  get result() {
    return this.#words[0] + this.#words[1] * 2 ** 32;
  }

  get errorAddress() {
    return this.#words[2] + this.#words[3] * 2 ** 32;
  }
}

/** For calls that are over when they return: no two of them are under way in one thread. */
export const outParams = new OutParams();

/** A text as C reads it. C would cut it at a NUL, and ask for something else. */
export function text(value) {
  if (typeof value !== 'string') {
    if (value instanceof URL) return value.href;
    throw new TypeError(`a string is needed, not ${value === null ? 'null' : typeof value}`);
  }
  if (value.includes('\0')) throw invalidValue('a text holds NUL: copy it again');
  return value;
}

/** The same, or NULL. */
export function optionalText(value) {
  return value === undefined || value === null ? null : text(value);
}

/**
 * Secrets for one call, in memory that is wiped behind it. A `Uint8Array` is wiped with it; strings can't be. What the caller gave is named
 * at the start: the call may fail before it comes to a secret.
 */
export class Secrets {
  #wiped;

  constructor(given) {
    this.#wiped = given.filter((value) => value instanceof Uint8Array);
  }

  /** The secret as C reads it, or NULL. */
  take(secret) {
    if (secret === undefined || secret === null) return null;
    // Else it would be encoded as another secret.
    if (typeof secret === 'string' && /\p{Surrogate}/u.test(secret)) throw invalidValue('a secret holds half a character: copy it again');
    const given = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret;
    if (!(given instanceof Uint8Array)) throw new TypeError('a secret is a string, a Buffer or a Uint8Array');
    const copy = allocate(given.length + 1).array;
    this.#wiped.push(copy, given);
    copy.set(given);
    if (given.includes(0)) throw invalidValue('a secret holds NUL: copy it again');
    return copy;
  }

  wipe() {
    for (const bytes of this.#wiped) bytes.fill(0);
    this.#wiped = [];
  }
}

/** The text at an address that a call wrote; frees it. */
export function takeText(address) {
  try {
    return koffi.decode.string(address);
  } finally {
    textFree(address);
  }
}

/** The arguments of a call with the places that it writes to: its result, if `convert` wants one, and its error. */
function withOutParams(args, convert, outs) {
  return convert ? [...args, outs.out, outs.error] : [...args, outs.error];
}

function finish(status, convert, outs) {
  if (status !== 0) throw errorFrom(status, outs.errorAddress);
  return convert?.(outs.result);
}

/** Calls and waits. `convert` makes the result from the address that the call writes. */
export function callSync(call, args, convert) {
  return finish(call(...withOutParams(args, convert, outParams)), convert, outParams);
}

/**
 * The threads of libuv's pool are shared by files, name look-ups and all other native code of the process. Calls of keyferry may wait there
 * for seconds, so those of this JavaScript thread take at most half of it; the others wait here, in their order. Worker threads are not
 * counted together: one that is terminated while it waits would never give its share back.
 */
const threads = Number.parseInt(process.env.UV_THREADPOOL_SIZE ?? '', 10) || 4;
const maxRunning = Math.max(1, Math.floor(threads / 2));

let running = 0;
const queue = [];

function startQueued() {
  while (running < maxRunning && queue.length > 0) {
    running += 1;
    queue.shift()();
  }
}

/** Runs a function that takes Node's kind of callback, when there is a thread for it. */
function runOnPool(run) {
  return new Promise((resolve, reject) => {
    const settle = (error, result) => {
      running -= 1;
      startQueued();
      if (error) reject(error);
      else resolve(result);
    };
    queue.push(() => {
      try {
        run(settle);
      } catch (error) {
        settle(error);
      }
    });
    startQueued();
  });
}

/** Calls on a thread of the pool: a promise of the same. Whoever calls keeps the arguments until it is settled. */
export function callAsync(call, args, convert) {
  const outs = new OutParams();
  const run = (done) => call.async(...withOutParams(args, convert, outs), done);
  return runOnPool(run).then((status) => finish(status, convert, outs));
}
