/** Requests for tokens: a resource, and what the caller requires of its token. */
import { Secrets, bind, callSync, invalidValue, optionalText, text } from './call.js';
import { accessNames } from './token.js';

const newRequest = bind('keyferry_request_new');
const setMinValidS = bind('keyferry_request_set_min_valid_s');
const setAccess = bind('keyferry_request_set_access');
const setAccount = bind('keyferry_request_set_account');
const setLinkPassword = bind('keyferry_request_set_link_password');
const setLogin = bind('keyferry_request_set_login');
const setTimeoutMs = bind('keyferry_request_set_timeout_ms');
export const freeRequest = bind('keyferry_request_free');

const MAX_UINT32 = 2 ** 32 - 1;

/**
 * Rounds a number up for C.
 *
 * A number too large for C becomes the largest one, which the library refuses as too large.
 */
function roundUp(amount, name) {
  if (!(amount >= 0)) throw invalidValue(`${name} must be a number of at least 0`);
  return Math.min(Math.ceil(amount), MAX_UINT32);
}

function accessNumber(access) {
  for (const [number, name] of accessNames) if (name === access) return number;
  throw invalidValue(`unknown access; use one of ${[...accessNames.values()].join(', ')}`);
}

function setOptions(address, { minValid, access, account, linkPassword, timeout }) {
  if (minValid !== undefined) callSync(setMinValidS, [address, roundUp(minValid / 1000, 'minValid')]);
  if (access !== undefined) callSync(setAccess, [address, accessNumber(access)]);
  if (account !== undefined) callSync(setAccount, [address, optionalText(account)]);
  if (timeout !== undefined) callSync(setTimeoutMs, [address, Math.max(1, roundUp(timeout, 'timeout'))]);
  if (linkPassword === undefined) return;
  const secrets = new Secrets([linkPassword]);
  try {
    callSync(setLinkPassword, [address, secrets.take(linkPassword)]);
  } finally {
    secrets.wipe();
  }
}

/** Creates a request and returns its address. The caller frees it. */
export function openRequest(resource, options = {}) {
  const address = callSync(newRequest, [text(resource)], (made) => made);
  try {
    setOptions(address, options);
  } catch (error) {
    freeRequest(address);
    throw error;
  }
  return address;
}

/**
 * Creates a request that logs in to MASV, and returns its address. The caller frees it.
 *
 * `password` is the copy of a secret.
 */
export function openLogin(email, password) {
  const address = openRequest('user');
  try {
    callSync(setLogin, [address, email, password]);
  } catch (error) {
    freeRequest(address);
    throw error;
  }
  return address;
}

/** Returns whether the options require nothing beyond the resource itself. */
export function isPlain(options) {
  return options === undefined || Object.entries(options).every(([name, value]) => name === 'signal' || value === undefined);
}

/**
 * Returns the key under which calls share one wait. A request with a password gets a unique key.
 */
export function shareKey(resource, { minValid, access, account, linkPassword, timeout } = {}) {
  return linkPassword === undefined ? JSON.stringify([text(resource), minValid, access, account, timeout]) : Symbol('alone');
}
