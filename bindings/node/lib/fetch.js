/**
 * A `fetch` that adds the headers that match each URL, including redirects, and retries once after
 * a 401.
 */
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
const REQUEST_OPTIONS = ['method', 'signal', 'credentials', 'cache', 'mode', 'referrer', 'referrerPolicy', 'keepalive'];
/** The largest body of a `Request` that is kept to be sent again. */
const MAX_KEPT_BYTES = 2 ** 20;

/** Whether a body is a stream, which can be read only once. All other bodies can be sent again. */
const isStream = (body) => typeof body?.[Symbol.asyncIterator] === 'function';

/** Returns the bytes of a stream, or undefined if there are more than `MAX_KEPT_BYTES`. */
async function bytesOf(stream) {
  const reader = stream.getReader();
  const chunks = [];
  for (let size = 0; size <= MAX_KEPT_BYTES; ) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(chunks);
    chunks.push(value);
    size += value.length;
  }
  // The cancellation completes only when the other reader of the body has finished. Don't wait for
  // that.
  reader.cancel().catch(() => {});
  return undefined;
}

/**
 * Copies the body of a `Request` while it is sent, because a `Request` doesn't reveal what its body
 * was created from.
 *
 * `bytes` is set once the whole body was read.
 */
function keepBody(request) {
  const keptBody = { bytes: undefined };
  // If the body fails, sending it fails too and reports the error.
  if (request.body) bytesOf(request.clone().body).then((bytes) => (keptBody.bytes = bytes), () => {});
  return keptBody;
}

/**
 * Returns the URL, options and headers of a request, from the arguments of `fetch`.
 *
 * The headers are only those of the caller, without the headers from keyferry.
 */
function outgoingRequest(input, init) {
  if (!(input instanceof Request)) return { url: new URL(input), options: init ?? {}, headers: new Headers(init?.headers) };
  const requestObject = new Request(input, init);
  const options = init?.dispatcher ? { dispatcher: init.dispatcher } : {};
  const headers = new Headers(requestObject.headers);
  return { url: new URL(requestObject.url), requestObject, keptBody: keepBody(requestObject), options, headers };
}

/** Returns whether a request can be sent again. */
function isReplayable({ requestObject, keptBody, options }) {
  return requestObject ? requestObject.body === null || keptBody.bytes !== undefined : !isStream(options.body);
}

/** Returns the request that follows a redirect. Source: Fetch Standard, HTTP-redirect fetch. */
function redirected(request, status, location) {
  const { url, requestObject, keptBody, headers } = request;
  const next = new URL(location, url);
  if (!['http:', 'https:'].includes(next.protocol)) throw new TypeError(`fetch failed: redirect to unsupported protocol ${next.protocol}`);
  const options = { ...request.options };
  for (const name of requestObject ? REQUEST_OPTIONS : []) options[name] = requestObject[name];
  if (requestObject && keptBody.bytes !== undefined) options.body = keptBody.bytes;
  const method = (options.method ?? 'GET').toUpperCase();
  const becomesGet = status === 303 ? !['GET', 'HEAD'].includes(method) : status < 303 && method === 'POST';
  if (!becomesGet && !isReplayable(request)) {
    throw new TypeError('fetch failed: the redirect requires the body again, but the body was a stream or larger than 1 MiB');
  }
  const droppedHeaders = [...(becomesGet ? BODY_HEADERS : []), ...(next.origin === url.origin ? [] : ORIGIN_HEADERS)];
  for (const name of droppedHeaders) headers.delete(name);
  return { url: next, headers, options: becomesGet ? { ...options, method: 'GET', body: undefined } : options };
}

/** Marks a response and its clones as redirected. */
function asRedirected(response) {
  const clone = response.clone;
  return Object.defineProperties(response, { redirected: { value: true }, clone: { value: () => asRedirected(clone.call(response)) } });
}

/**
 * Fails as `fetch` does if the body doesn't match the caller's `integrity`.
 *
 * The option isn't passed to `fetch`, which would also apply it to redirects and 401 responses.
 */
async function checkIntegrity(response, integrity) {
  const url = URL.createObjectURL(await response.clone().blob());
  try {
    await globalThis.fetch(url, { integrity });
  } finally {
    URL.revokeObjectURL(url);
  }
}

export function createFetch(session = Session.default, fetch = globalThis.fetch) {
  /**
   * Returns the headers for a URL.
   *
   * They are empty if keyferry has none for it, and undefined if it fails with one of
   * `excusedStatuses`.
   */
  async function headersFor(url, signal, excusedStatuses = []) {
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

  function send({ url, requestObject, keptBody, options, headers }, authHeaders, redirect) {
    // The caller may have set the same header from keyferry. Remove it, so that it isn't sent along
    // a redirect.
    for (const name of Object.keys(authHeaders)) headers.delete(name);
    const allHeaders = new Headers(headers);
    for (const [name, value] of Object.entries(authHeaders)) allHeaders.set(name, value);
    const sendOptions = { ...options, headers: allHeaders, redirect, integrity: '' };
    if (requestObject?.bodyUsed) sendOptions.body = keptBody.bytes;
    if (isStream(sendOptions.body)) sendOptions.duplex = 'half';
    return fetch(requestObject ?? url, sendOptions);
  }

  return async function keyferryFetch(input, init) {
    let request = outgoingRequest(input, init);
    const { signal, redirect = 'follow', integrity } = request.requestObject ?? request.options;
    const follows = redirect === 'follow';
    let authHeaders = await headersFor(request.url, signal);
    for (let redirectCount = 0, hasRetried = false; ; ) {
      const response = await send(request, authHeaders, follows ? 'manual' : redirect);
      const wasRejected = response.status === 401 && Object.keys(authHeaders).length > 0;
      if (wasRejected) await rejectHeaders(request.url, authHeaders);
      const mayRetry = wasRejected && !hasRetried && isReplayable(request);
      const newHeaders = mayRetry ? await headersAfter401(request.url, authHeaders, signal) : undefined;
      const location = follows && REDIRECTS.includes(response.status) ? response.headers.get('location') : null;
      if (newHeaders === undefined && location === null) {
        if (integrity) await checkIntegrity(response, integrity);
        return redirectCount === 0 ? response : asRedirected(response);
      }
      await response.body?.cancel();
      hasRetried ||= mayRetry;
      if (newHeaders !== undefined) {
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
