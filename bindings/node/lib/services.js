/**
 * The methods of a session other than those that return tokens for resources.
 *
 * Each entry has the C function, its arguments and the conversion of its result.
 *
 * `Session` makes two methods of each entry: one that returns a promise, and one that blocks.
 */
import { KEYFERRY_NO_EXPIRY } from './abi.js';
import { bind, invalidValue, optionalText, takeText, text } from './call.js';
import { openLogin } from './request.js';
import { identityOf, takeToken } from './token.js';

const reject = bind('keyferry_session_reject');
const rejectValue = bind('keyferry_session_reject_value');
const adopt = bind('keyferry_session_adopt');
const forget = bind('keyferry_session_forget');
const explain = bind('keyferry_session_explain');
const list = bind('keyferry_session_list');
const masvLogin = bind('masv_login');
const masvAgentSession = bind('masv_agent_session');
const masvAgentSignIn = bind('masv_agent_sign_in');
const masvAgentSignUp = bind('masv_agent_sign_up');
const fileverbsBearer = bind('fileverbs_bearer');
const fileverbsSecretKey = bind('fileverbs_secret_key');

const parseJson = (address) => JSON.parse(takeText(address));
const tokenFrom = (resource) => (address) => takeToken(address, resource);

/** A call that gets the token of a resource. */
const tokenPlan = (call, resource) => ({ call, args: [], convert: tokenFrom(resource), resource });

function unixS(moment) {
  if (moment === undefined || moment === null) return KEYFERRY_NO_EXPIRY;
  const seconds = Math.floor(moment.getTime() / 1000);
  if (!Number.isSafeInteger(seconds)) throw invalidValue('expiresAt must be a valid Date');
  return seconds;
}

/**
 * By method name: a function that takes the `Secrets` of the call and the method's arguments, and
 * returns the C call to make.
 *
 * `resource` or `open` lets the method that returns a promise wait without a thread: for the token of the resource, or
 * for that of the request that `open` creates.
 */
export const plans = {
  reject(_secrets, token) {
    const { resource, address } = identityOf(token);
    // The argument is the address of the token's native object, so the token must stay alive until
    // the call ends.
    if (resource === undefined) return { call: reject, args: [address], keepAlive: token };
    return plans.rejectValue(_secrets, resource, token.value);
  },
  rejectValue: (secrets, resource, value) => ({ call: rejectValue, args: [text(resource), secrets.take(value)] }),
  adopt: (secrets, resource, value, { expiresAt } = {}) => ({
    call: adopt,
    args: [text(resource), secrets.take(value), unixS(expiresAt)],
  }),
  forget: (_secrets, resource) => ({ call: forget, args: [text(resource)] }),
  forgetAll: () => ({ call: forget, args: [null] }),
  explain: (_secrets, resource) => ({ call: explain, args: [text(resource)], convert: parseJson }),
  list: () => ({ call: list, args: [], convert: parseJson }),
  masvLogin(secrets, email, password) {
    const credentials = [optionalText(email), secrets.take(password)];
    return { call: masvLogin, args: credentials, convert: tokenFrom(undefined), open: () => openLogin(...credentials) };
  },
  masvAgentSession: () => ({ call: masvAgentSession, args: [], convert: parseJson }),
  masvAgentSignIn: (secrets, email, password) => ({
    call: masvAgentSignIn,
    args: [optionalText(email), secrets.take(password)],
    convert: parseJson,
  }),
  masvAgentSignUp: (secrets, email, password, name) => ({
    call: masvAgentSignUp,
    args: [text(email), secrets.take(password), text(name)],
    convert: parseJson,
  }),
  fileverbsBearer: () => tokenPlan(fileverbsBearer, 'fileverbs:bearer'),
  fileverbsSecretKey: () => tokenPlan(fileverbsSecretKey, 'fileverbs:secret-key'),
};
