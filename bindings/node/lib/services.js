/**
 * What a session does beyond handing tokens out: per call its function, its arguments and what it gives.
 *
 * `Session` makes two methods of each, one that returns a promise and one that waits.
 */
import { KEYFERRY_NO_EXPIRY } from './abi.js';
import { bind, invalid, optional, said, text } from './call.js';
import { known, taken } from './token.js';

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

const document = (address) => JSON.parse(said(address));
const tokenOf = (resource) => (address) => taken(address, resource);

function unixS(moment) {
  if (moment === undefined || moment === null) return KEYFERRY_NO_EXPIRY;
  const seconds = Math.floor(moment.getTime() / 1000);
  if (!Number.isSafeInteger(seconds)) throw invalid('expiresAt is no moment');
  return seconds;
}

/** By the method's name: from secrets to be wiped and the method's arguments to a call. */
export const calls = {
  reject(_secrets, token) {
    const { resource, address } = known(token);
    // The token is what the arguments point to: it must live as long as they do.
    return resource === undefined ? { call: reject, args: [address], keep: token } : calls.rejectValue(_secrets, resource, token.value);
  },
  rejectValue: (secrets, resource, value) => ({ call: rejectValue, args: [text(resource), secrets.take(value)] }),
  adopt: (secrets, resource, value, { expiresAt } = {}) => ({
    call: adopt,
    args: [text(resource), secrets.take(value), unixS(expiresAt)],
  }),
  forget: (_secrets, resource) => ({ call: forget, args: [text(resource)] }),
  forgetAll: () => ({ call: forget, args: [null] }),
  explain: (_secrets, resource) => ({ call: explain, args: [text(resource)], give: document }),
  list: () => ({ call: list, args: [], give: document }),
  masvLogin: (secrets, email, password) => ({
    call: masvLogin,
    args: [optional(email), secrets.take(password)],
    give: tokenOf(undefined),
  }),
  masvAgentSession: () => ({ call: masvAgentSession, args: [], give: document }),
  masvAgentSignIn: (secrets, email, password) => ({
    call: masvAgentSignIn,
    args: [optional(email), secrets.take(password)],
    give: document,
  }),
  masvAgentSignUp: (secrets, email, password, name) => ({
    call: masvAgentSignUp,
    args: [text(email), secrets.take(password), text(name)],
    give: document,
  }),
  fileverbsBearer: () => ({ call: fileverbsBearer, args: [], give: tokenOf('fileverbs:bearer') }),
  fileverbsSecretKey: () => ({ call: fileverbsSecretKey, args: [], give: tokenOf('fileverbs:secret-key') }),
};
