/**
 * A `fetch` that adds the headers that match each URL, including redirects, and retries once after
 * a 401.
 */
import { types } from 'node:util';

import * as abi from './abi.js';
import { Session } from './session.js';

/** Errors after which a URL is fetched without headers of keyferry. */
const NOT_OURS = [abi.KEYFERRY_E_UNKNOWN_SERVICE, abi.KEYFERRY_E_NO_HEADER, abi.KEYFERRY_E_INVALID_RESOURCE];
/**
 * Errors that mean that there is no other token.
 *
 * After a 401, the caller then gets the 401 response.
 */
const NO_OTHER_TOKEN = [
  abi.KEYFERRY_E_LOGIN_REQUIRED,
  abi.KEYFERRY_E_NOT_CONFIGURED,
  abi.KEYFERRY_E_BAD_CREDENTIALS,
  abi.KEYFERRY_E_NOT_FOUND,
  abi.KEYFERRY_E_INSUFFICIENT_ACCESS,
];

const REDIRECTS = [301, 302, 303, 307, 308];
const MAX_REDIRECTS = 20;
/**
 * Headers that are removed on a redirect to another origin.
 *
 * Source: Fetch Standard, HTTP-redirect fetch.
 */
const ORIGIN_HEADERS = ['authorization', 'proxy-authorization', 'cookie', 'host'];
const BODY_HEADERS = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length'];
/** Attributes of a `Request` that are lost when it is passed to `fetch` with any options. */
const LOST_ATTRIBUTES = ['referrer', 'referrerPolicy'];
/** Other attributes of a `Request` that are also options of `fetch`. */
const KEPT_ATTRIBUTES = ['method', 'credentials', 'cache', 'mode', 'keepalive'];
/** The largest body of a `Request` that is kept to be sent again. */
const MAX_KEPT_BYTES = 2 ** 20;
/** How long a response may wait for the end of that copy. */
const MAX_COPY_MS = 1_000;

/** Whether a body is a stream, which can be read only once. All other bodies can be sent again. */
const isStream = (body) => typeof body?.[Symbol.asyncIterator] === 'function';

/** Returns the name of a value's interface in any realm and any implementation, such as `Request`. */
const interfaceOf = (value) => Object.prototype.toString.call(value).slice('[object '.length, -1);

/** Reads a stream, and calls `done` with its bytes, or with undefined if there are more than `MAX_KEPT_BYTES`. */
async function readBytes(stream, done) {
  const chunks = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    // Leaving the loop cancels this stream, and waits until the other reader of the body has
    // finished.
    if (size > MAX_KEPT_BYTES) return done(undefined);
    chunks.push(chunk);
  }
  done(Buffer.concat(chunks));
}

/**
 * Copies the body of a `Request` while it is sent, because a `Request` doesn't reveal what its body
 * was created from.
 *
 * `source` is set once the whole body was read. `copied` resolves at the end of the copy.
 */
function keepBody(request) {
  if (!request.body) return { source: undefined };
  const keptBody = { source: undefined, copied: undefined };
  // If the body fails, sending it fails too and reports the error.
  keptBody.copied = new Promise((done) => readBytes(request.clone().body, done).catch(done)).then((bytes) => {
    if (Buffer.isBuffer(bytes)) keptBody.source = bytes;
  });
  return keptBody;
}

/**
 * Waits until the body was copied, but not long: the rest of a stream may come much later than the response.
 *
 * Rationale: Node 18 passes the copy through a message port. The response to a small form came before the end of the copy,
 * and the form was not sent again.
 */
async function copyEnds({ copied }) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, MAX_COPY_MS)));
  await Promise.race([copied, late]);
  clearTimeout(timer);
}

/** Interfaces of bodies that `fetch` doesn't convert to a string, besides buffers and streams. */
const BODY_INTERFACES = ['Blob', 'File', 'FormData', 'URLSearchParams'];

const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

/** Returns a copy of a buffer, or the buffer itself if `fetch` refuses it. */
function copyOfBytes(body, isPlatformFetch) {
  try {
    const buffer = ArrayBuffer.isView(body) ? body.buffer : body;
    if (!types.isArrayBuffer(buffer) || buffer.resizable) return body;
    const bytes = new Uint8Array(buffer, body.byteOffset, body.byteLength);
    // The platform's `fetch` sends a `Blob` without another copy. Other implementations may not.
    return isPlatformFetch ? new Blob([bytes]) : Buffer.from(bytes);
  } catch {
    return body;
  }
}

function copyOfForm(body) {
  const form = new FormData();
  for (const [name, value] of body) form.append(name, value);
  return form;
}

/**
 * Returns a copy of a body that the caller may change after the call of `fetch`, and any other body
 * itself.
 *
 * If the body is sent again, it is this copy.
 */
function unchangingBody(body, isPlatformFetch) {
  if (!isObject(body) || isStream(body)) return body;
  if (ArrayBuffer.isView(body) || types.isAnyArrayBuffer(body)) return copyOfBytes(body, isPlatformFetch);
  const prototype = Object.getPrototypeOf(body);
  if (prototype === URLSearchParams.prototype) return new URLSearchParams(body);
  if (prototype === FormData.prototype) return copyOfForm(body);
  return isPlatformFetch && !BODY_INTERFACES.includes(interfaceOf(body)) ? String(body) : body;
}

/**
 * Reads the arguments of `fetch` as `fetch` does: the constructor of `Request` reads each option
 * once, and throws the errors of `fetch`.
 *
 * Returns the `Request` and the options that were read.
 *
 * A function that isn't the platform's `fetch` gets the body of the options from the caller, because
 * it may accept other bodies. The `Request` then has neither this body nor its `Content-Type`.
 */
function readArguments(RequestClass, input, init, isPlatformFetch) {
  if (!isObject(init)) return { given: {}, request: new RequestClass(input, init) };
  const given = {};
  const get = (_target, name) => {
    given[name] = name === 'body' ? unchangingBody(init.body, isPlatformFetch) : init[name];
    return name === 'body' && !isPlatformFetch ? undefined : given[name];
  };
  const request = new RequestClass(input, new Proxy({}, { get }));
  // In Node 18, `fetch` reads this option itself.
  if (!('dispatcher' in given)) given.dispatcher = init.dispatcher;
  return { given, request };
}

const pick = (object, names) => Object.fromEntries(names.map((name) => [name, object[name]]));

/**
 * Returns the options with which a `Request` is sent.
 *
 * `signal` is the caller's own. The signal of our `Request` no longer follows it when the `Request`
 * is garbage collected, and the body of the response may be read after that.
 */
function optionsFor(input, request, { signal = input.signal, dispatcher }) {
  return { signal, dispatcher: dispatcher ?? undefined, ...pick(request, LOST_ATTRIBUTES) };
}

/** Returns the options for a function that isn't the platform's `fetch`: all those of the caller. */
function allOptions(request, given, init) {
  const options = { ...given };
  for (const name of Object.keys(init ?? {})) if (!(name in given)) options[name] = init[name];
  return options;
}

/**
 * Returns the request that the arguments of `fetch` describe.
 *
 * `target` and `options` are the arguments for the function that sends it. `headers` are only those
 * of the caller, without the headers from keyferry.
 */
function outgoingRequest(input, init, isPlatformFetch) {
  // The global `Request` can't read the `Request` of another implementation; its own class can.
  const isOtherRequest = !isPlatformFetch && !(input instanceof Request) && interfaceOf(input) === 'Request';
  const RequestClass = isOtherRequest ? input.constructor : Request;
  const { given, request } = readArguments(RequestClass, input, init, isPlatformFetch);
  const isRequest = input instanceof RequestClass;
  const hasOwnBody = given.body !== undefined && given.body !== null;
  const url = new URL(request.url);
  const options = isPlatformFetch || isRequest ? optionsFor(isRequest ? input : {}, request, given) : allOptions(request, given, init);
  // `fetch` pipes the body inside a `Request` through another stream. This is for bodies that can be
  // passed once more as they are.
  if (hasOwnBody && (!isPlatformFetch || !isObject(given.body) || given.body instanceof Blob)) options.body = given.body;
  if (isStream(options.body)) options.duplex = 'half';
  return {
    url,
    target: isPlatformFetch || isRequest ? request : url,
    options,
    headers: request.headers,
    hasBody: hasOwnBody || Boolean(request.body),
    isStream: isStream(given.body),
    isStreamOfRequest: isPlatformFetch && hasOwnBody && init instanceof Request,
    keptBody: hasOwnBody ? { source: isStream(given.body) ? undefined : given.body } : keepBody(request),
    attributes: pick(request, KEPT_ATTRIBUTES),
    follow: { signal: request.signal, redirect: request.redirect, integrity: request.integrity },
  };
}

/** Returns whether a request can be sent again. */
const isReplayable = ({ hasBody, keptBody }) => !hasBody || keptBody.source !== undefined;

/** Returns the same request, to be sent again with the body that was kept. */
function again(request) {
  if (!request.hasBody) return request;
  // `fetch` writes a form with a new boundary each time, and names it in this header if it is missing.
  const isForm = interfaceOf(request.keptBody.source) === 'FormData';
  if (isForm && request.headers.get('content-type')?.startsWith('multipart/form-data; boundary=')) request.headers.delete('content-type');
  return { ...request, options: { ...request.options, body: request.keptBody.source } };
}

/** Ends the stream of a body that isn't sent, as `fetch` does when it is aborted. */
function cancelBody({ target }, reason) {
  if (target instanceof Request) target.body?.cancel(reason).catch(() => {});
}

/** Returns the URL of a redirect. Some servers send it in UTF-8, which HTTP headers don't have. */
function redirectUrl(location, url) {
  const text = /^[ -~]*$/.test(location) ? location : Buffer.from(location, 'latin1').toString();
  if (!URL.canParse(text, url)) throw new TypeError('fetch failed: the redirect has an invalid URL');
  const next = new URL(text, url);
  if (!['http:', 'https:'].includes(next.protocol)) throw new TypeError(`fetch failed: redirect to unsupported protocol ${next.protocol}`);
  return next;
}

/** Returns the request that follows a redirect. Source: Fetch Standard, HTTP-redirect fetch. */
function redirected(request, status, location) {
  const { url, headers, attributes } = request;
  const next = redirectUrl(location, url);
  const becomesGet = status === 303 ? !['GET', 'HEAD'].includes(attributes.method) : status < 303 && attributes.method === 'POST';
  const needsBody = !becomesGet || (request.isStream && status !== 303);
  if (needsBody && !isReplayable(request)) {
    throw new TypeError('fetch failed: the redirect requires the body again, but the body was a stream or larger than 1 MiB');
  }
  const isCrossOrigin = next.origin !== url.origin;
  if (next.username || next.password) {
    if (attributes.mode === 'cors') throw new TypeError('fetch failed: the redirect has credentials in its URL');
    next.username = next.password = '';
  }
  if (isCrossOrigin && attributes.mode === 'same-origin') throw new TypeError('fetch failed: the redirect leaves the origin, which the mode forbids');
  for (const name of [...(becomesGet ? BODY_HEADERS : []), ...(isCrossOrigin ? ORIGIN_HEADERS : [])]) headers.delete(name);
  const options = { ...attributes, ...request.options };
  const moved = { ...request, url: next, target: next, type: isCrossOrigin ? 'cors' : request.type, options };
  if (!becomesGet) return again(moved);
  const asGet = { method: 'GET', body: undefined };
  return { ...moved, hasBody: false, isStream: false, attributes: { ...attributes, ...asGet }, options: { ...options, ...asGet } };
}

/**
 * Ends a response that the caller doesn't get.
 *
 * The body of a response of node-fetch is a stream of Node, which is read to its end.
 */
async function discard({ body }) {
  if (body?.cancel) await body.cancel();
  else body?.resume?.();
}

/** Marks a response and its clones as redirected, with the type that the platform gives them. */
function asRedirected(response, type) {
  const clone = () => asRedirected(Object.getPrototypeOf(response).clone.call(response), type);
  return Object.defineProperties(response, { redirected: { value: true }, type: { value: type ?? response.type }, clone: { value: clone } });
}

/**
 * Fails as `fetch` does if the body doesn't match the caller's `integrity`.
 *
 * The option isn't passed to `fetch`, which would also apply it to redirects and 401 responses.
 */
async function checkIntegrity(response, integrity) {
  if (response.body === null) throw new TypeError('fetch failed: the response has no body, so it cannot match `integrity`');
  const url = URL.createObjectURL(await response.clone().blob());
  try {
    await globalThis.fetch(url, { integrity });
  } finally {
    URL.revokeObjectURL(url);
  }
}

export function createFetch(session = Session.default, fetch = globalThis.fetch) {
  const isPlatformFetch = fetch === globalThis.fetch;

  /**
   * Returns the headers for a URL.
   *
   * They are empty if keyferry has none for it, and undefined if it fails with one of
   * `excusedStatuses`.
   */
  async function headersFor(url, signal, excusedStatuses = []) {
    // Other URLs can look like short forms of a resource, such as `masv:/v1/teams`.
    if (!['http:', 'https:'].includes(url.protocol)) return {};
    try {
      return await session.headersFor(url.href, { signal });
    } catch (error) {
      signal?.throwIfAborted();
      if (NOT_OURS.includes(error.status)) return {};
      if (excusedStatuses.includes(error.status)) return undefined;
      throw error;
    }
  }

  /**
   * Rejects the headers that got a 401.
   *
   * This happens after every 401, also if the request can't be sent again. Otherwise a program that
   * only sends streams would use a revoked token until it expires.
   */
  async function rejectHeaders(url, authHeaders) {
    for (const value of Object.values(authHeaders)) await session.rejectValue(url.href, value);
  }

  /** Returns new headers in place of rejected ones, or undefined if there are none. */
  async function headersAfter401(url, authHeaders, signal) {
    const newHeaders = await headersFor(url, signal, NO_OTHER_TOKEN);
    const isNew = newHeaders && Object.entries(newHeaders).some(([name, value]) => authHeaders[name] !== value);
    return isNew ? newHeaders : undefined;
  }

  function send({ target, options, headers, isStream: sendsStream }, authHeaders, redirect) {
    const sendOptions = { ...options, redirect, integrity: '' };
    // As part of the `Request`, the stream would be read ahead.
    if (isPlatformFetch && sendsStream && options.body === undefined) Object.assign(sendOptions, { body: target.body, duplex: 'half' });
    // The caller may have set the same header from keyferry. Remove it, so that it isn't sent along
    // a redirect.
    for (const name of Object.keys(authHeaders)) headers.delete(name);
    // Headers that are passed as an option are normalized. Those of a `Request` are sent as they are.
    const isOwnRequest = isPlatformFetch && target instanceof Request;
    const allHeaders = isOwnRequest ? headers : (sendOptions.headers = new Headers(headers));
    for (const [name, value] of Object.entries(authHeaders)) allHeaders.set(name, value);
    // `fetch` has copied the headers when it returns its promise.
    const sending = fetch(target, sendOptions);
    for (const name of Object.keys(authHeaders)) headers.delete(name);
    return sending;
  }

  return async function keyferryFetch(input, init) {
    let request = outgoingRequest(input, init, isPlatformFetch);
    const { signal, redirect, integrity } = request.follow;
    const follows = redirect === 'follow';
    let authHeaders = await headersFor(request.url, signal).catch((error) => {
      cancelBody(request, error);
      throw error;
    });
    // For `fetch`, the body of a `Request` that is passed as options is a stream like any other. It is
    // copied only where a 401 may require it again.
    if (request.isStreamOfRequest && Object.keys(authHeaders).length > 0) request.keptBody = keepBody(request.target);
    for (let redirectCount = 0, hasRetried = false; ; ) {
      const response = await send(request, authHeaders, follows ? 'manual' : redirect);
      if (response.status === 401 || REDIRECTS.includes(response.status)) await copyEnds(request.keptBody);
      const wasRejected = response.status === 401 && Object.keys(authHeaders).length > 0;
      if (wasRejected) await rejectHeaders(request.url, authHeaders);
      const mayRetry = wasRejected && !hasRetried && isReplayable(request);
      const newHeaders = mayRetry ? await headersAfter401(request.url, authHeaders, signal) : undefined;
      const location = follows && REDIRECTS.includes(response.status) ? response.headers.get('location') : null;
      if (newHeaders === undefined && location === null) {
        if (integrity) await checkIntegrity(response, integrity);
        return redirectCount === 0 ? response : asRedirected(response, request.type);
      }
      await discard(response);
      hasRetried ||= mayRetry;
      if (newHeaders !== undefined) {
        request = again(request);
        authHeaders = newHeaders;
        continue;
      }
      redirectCount += 1;
      if (redirectCount > MAX_REDIRECTS) throw new TypeError('fetch failed: too many redirects');
      request = redirected(request, response.status, location);
      authHeaders = await headersFor(request.url, signal);
    }
  };
}
