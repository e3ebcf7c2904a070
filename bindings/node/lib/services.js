/**
 * What a session does beyond handing tokens out: per call its function, its arguments and what it gives.
 *
 * `Session` makes two methods of each, one that returns a promise and one that waits.
 */
import { KEYFERRY_NO_EXPIRY } from './abi.js';
import { bind, invalidValue, optionalText, takeText, text } from './call.js';
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

function unixS(moment) {
  if (moment === undefined || moment === null) return KEYFERRY_NO_EXPIRY;
  const seconds = Math.floor(moment.getTime() / 1000);
  if (!Number.isSafeInteger(seconds)) throw invalidValue('expiresAt is no moment');
  return seconds;
}

/** By the method's name: makes a plan of a call from the secrets to be wiped and the method's arguments. */
export const plans = {
  reject(_secrets, token) {
    const { resource, address } = identityOf(token);
    // The token is what the arguments point to: it must live as long as they do.
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
  masvLogin: (secrets, email, password) => ({
    call: masvLogin,
    args: [optionalText(email), secrets.take(password)],
    convert: tokenFrom(undefined),
  }),
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
  fileverbsBearer: () => ({ call: fileverbsBearer, args: [], convert: tokenFrom('fileverbs:bearer') }),
  fileverbsSecretKey: () => ({ call: fileverbsSecretKey, args: [], convert: tokenFrom('fileverbs:secret-key') }),
};
