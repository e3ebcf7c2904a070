/** What went wrong, as exceptions. The texts are the library's. */
import * as abi from './abi.js';
import { bind } from './library.js';

const statusText = bind('keyferry_status_text');
const message = bind('keyferry_error_message');
const httpStatus = bind('keyferry_error_http_status');
const serviceCode = bind('keyferry_error_service_code');
const retryAfterMs = bind('keyferry_error_retry_after_ms');
const free = bind('keyferry_error_free');

const names = Object.entries(abi).filter(([name]) => name.startsWith('KEYFERRY_E_'));
const codes = new Map(names.map(([name, status]) => [status, name]));

export class KeyferryError extends Error {
  constructor(status, words, { cause, ...details } = {}) {
    super(words, cause === undefined ? undefined : { cause });
    this.status = status;
    this.code = codes.get(status) ?? `KEYFERRY_E_${status}`;
    for (const [name, value] of Object.entries(details)) if (value !== undefined) this[name] = value;
  }

  get remedy() {
    const words = statusText(this.status);
    return words.slice(words.indexOf(': ') + 1).trim();
  }
}

Object.defineProperty(KeyferryError.prototype, 'name', { value: 'KeyferryError', configurable: true, writable: true });

/** The exception for a failed call; frees the error object of the C ABI. Without an object the status alone speaks. */
export function raised(status, address = 0) {
  const details = {
    httpStatus: httpStatus(address) || undefined,
    serviceCode: serviceCode(address) || undefined,
    retryAfter: retryAfterMs(address) || undefined,
  };
  const error = new KeyferryError(status, message(address) ?? statusText(status), details);
  free(address);
  return error;
}

/** The exception of a caller whose signal was aborted, by the name that Node gives such errors. */
export function aborted(signal) {
  const words = 'the signal was aborted';
  return new KeyferryError(abi.KEYFERRY_E_CANCELLED, words, { name: 'AbortError', cause: signal.reason });
}

/** The exception for an argument that C could not read as it was meant. */
export function invalid(words) {
  return new KeyferryError(abi.KEYFERRY_E_VALUE, words);
}
