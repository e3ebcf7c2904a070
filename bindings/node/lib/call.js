/**
 * Declares the functions of the shared library and calls them: converts arguments, returns results,
 * throws errors.
 *
 * Only built-in types of koffi are used: a type of our own would be registered twice when a worker
 * thread evaluates this module again.
 */
import koffi from 'koffi';

import * as abi from './abi.js';
import { library, path } from './library.js';
import { Queue } from './queue.js';

/**
 * Returns a function of the C ABI by its C name.
 *
 * Addresses are numbers. The function's `async` property runs it on libuv's thread pool.
 */
export function bind(name) {
  const [result, parameters] = abi.FUNCTIONS[name];
  return library.func(name, result, parameters);
}

/**
 * Allocates memory at a fixed address that the library may write to.
 *
 * The memory is freed with the last reference to the array.
 */
export function allocate(bytes) {
  const array = new Uint8Array(new ArrayBuffer(bytes));
  return { array, address: Number(koffi.address(array)) };
}

/** Maps the numbers of a group of C constants to the ends of their names, in lower case. */
export function wordsByNumber(prefix) {
  const constants = Object.entries(abi).filter(([name]) => name.startsWith(prefix));
  return new Map(constants.map(([name, number]) => [number, name.slice(prefix.length).toLowerCase()]));
}

if (bind('keyferry_abi_version')() !== abi.KEYFERRY_ABI_VERSION) {
  throw new Error(`cannot use ${path}: its ABI differs from this package's; reinstall the package`);
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
    // A status text is `reason; remedy` or `reason: remedy`.
    const separator = messageText.includes('; ') ? '; ' : ': ';
    return messageText.slice(messageText.indexOf(separator) + 1).trim();
  }
}

Object.defineProperty(KeyferryError.prototype, 'name', { value: 'KeyferryError', configurable: true, writable: true });

/**
 * Returns the exception for a failed call and frees the error object of the C ABI.
 *
 * Without an error object, the message is the status text.
 */
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

/**
 * Returns the exception for a call whose signal was aborted.
 *
 * It has the name that Node gives such errors.
 */
export function abortError(signal) {
  const messageText = 'the signal was aborted';
  return new KeyferryError(abi.KEYFERRY_E_CANCELLED, messageText, { name: 'AbortError', cause: signal.reason });
}

/** Returns the exception for an argument that C can't read correctly. */
export function invalidValue(messageText) {
  return new KeyferryError(abi.KEYFERRY_E_INVALID_VALUE, messageText);
}

const textFree = bind('keyferry_text_free');

/**
 * Out-parameters of one call: memory for the address or number that it returns, and for its error.
 */
export class OutParams {
  #memory = allocate(16);
  #words = new Uint32Array(this.#memory.array.buffer);
  out = this.#memory.address;
  error = this.out + 8;

  // Reading two halves is faster than reading a BigInt, and an address fits into a number. All
  // platforms of the package are little-endian, so the lower half comes first.
  get result() {
    return this.#words[0] + this.#words[1] * 2 ** 32;
  }

  get errorAddress() {
    return this.#words[2] + this.#words[3] * 2 ** 32;
  }
}

/**
 * Out-parameters for synchronous calls.
 *
 * Only one such call runs at a time in a thread, so all of them share these.
 */
export const outParams = new OutParams();

/** Checks a string for C. Refuses a NUL, because C would read only the part before it. */
export function text(value) {
  if (typeof value !== 'string') {
    if (value instanceof URL) return value.href;
    throw new TypeError(`expected a string, not ${value === null ? 'null' : typeof value}; pass a string or a URL`);
  }
  if (value.includes('\0')) throw invalidValue('the string contains a NUL; copy it again');
  return value;
}

/** Checks a string for C; undefined and null become NULL. */
export function optionalText(value) {
  return value === undefined || value === null ? null : text(value);
}

/**
 * Copies of secrets for one call, in memory that is wiped afterwards.
 *
 * A secret that is a `Uint8Array` is wiped too; a string can't be.
 *
 * The constructor takes all secrets of the caller, because the call may fail before `take` is
 * called for each of them.
 */
export class Secrets {
  #wiped;

  constructor(given) {
    this.#wiped = given.filter((value) => value instanceof Uint8Array);
  }

  /** Returns a copy of the secret that C can read, or null for NULL. */
  take(secret) {
    if (secret === undefined || secret === null) return null;
    // Encoding would replace a lone surrogate and so change the secret.
    if (typeof secret === 'string' && /\p{Surrogate}/u.test(secret)) {
      throw invalidValue('the secret contains a lone surrogate; copy it again');
    }
    const given = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret;
    if (!(given instanceof Uint8Array)) {
      throw new TypeError(`expected a secret, not ${typeof secret}; pass a string, a Buffer or a Uint8Array`);
    }
    const copy = allocate(given.length + 1).array;
    this.#wiped.push(copy, given);
    copy.set(given);
    if (given.includes(0)) throw invalidValue('the secret contains a NUL; copy it again');
    return copy;
  }

  wipe() {
    for (const bytes of this.#wiped) bytes.fill(0);
    this.#wiped = [];
  }
}

/** Returns the string at an address that a call returned, and frees it. */
export function takeText(address) {
  try {
    return koffi.decode.string(address);
  } finally {
    textFree(address);
  }
}

/**
 * Appends the out-parameters to the arguments: one for the result if there is a `convert`, and one
 * for the error.
 */
function withOutParams(args, convert, outs) {
  return convert ? [...args, outs.out, outs.error] : [...args, outs.error];
}

function finish(status, convert, outs) {
  if (status !== 0) throw errorFrom(status, outs.errorAddress);
  return convert?.(outs.result);
}

/**
 * Calls a function and blocks until it returns.
 *
 * `convert` makes the result from the address or number that the function returned.
 */
export function callSync(call, args, convert, outs = outParams) {
  return finish(call(...withOutParams(args, convert, outs)), convert, outs);
}

/** Calls a function that returns a file descriptor. */
export function callDescriptor(call, args) {
  // The function writes only half of the memory for the result, so the other half must be 0.
  return callSync(call, args, (descriptor) => descriptor, new OutParams());
}

/**
 * The number of threads in libuv's pool.
 *
 * File access, DNS lookups and all other native code of the process share them. So only calls that read or write the
 * store or talk to the MASV Agent run there, and those of this JavaScript thread use at most half of the pool. A call
 * that waits for a token uses no thread of the pool: see `started.js`.
 */
const threads = Number.parseInt(process.env.UV_THREADPOOL_SIZE ?? '', 10) || 4;
const pool = new Queue(Math.max(1, Math.floor(threads / 2)));

/**
 * Calls a function on a thread of the pool and returns a promise of its result.
 *
 * The caller must keep the arguments alive until the promise settles.
 */
export async function callAsync(call, args, convert) {
  const outs = new OutParams();
  const run = (resolve, reject) => {
    call.async(...withOutParams(args, convert, outs), (error, status) => (error ? reject(error) : resolve(status)));
  };
  return finish(await pool.run(() => new Promise(run)), convert, outs);
}
