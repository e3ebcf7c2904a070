/** A `fetch` that adds the right headers: by origin, anew at each redirect, and once more after a 401. */
import * as abi from './abi.js';
import { Session } from './session.js';

/** A URL that keyferry has nothing for is fetched as it is. */
const NOT_OURS = [abi.KEYFERRY_E_UNKNOWN_SERVICE, abi.KEYFERRY_E_NO_HEADER, abi.KEYFERRY_E_INVALID_RESOURCE];
/** Where there is nothing new after a 401, that is the answer. */
const NO_OTHER_TOKEN = [
  abi.KEYFERRY_E_LOGIN_REQUIRED,
  abi.KEYFERRY_E_NOT_CONFIGURED,
  abi.KEYFERRY_E_BAD_CREDENTIALS,
  abi.KEYFERRY_E_NOT_FOUND,
  abi.KEYFERRY_E_INSUFFICIENT_ACCESS,
];

const REDIRECTS = [301, 302, 303, 307, 308];
const MAX_REDIRECTS = 20;
/** What a request leaves behind on its way to another origin. Source: Fetch Standard, HTTP-redirect fetch. */
const ORIGIN_HEADERS = ['authorization', 'proxy-authorization', 'cookie', 'host'];
const BODY_HEADERS = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length'];
const REQUEST_OPTIONS = ['method', 'signal', 'credentials', 'cache', 'mode', 'referrer', 'referrerPolicy', 'keepalive'];
/** So much of a body in a `Request` is kept to be sent again. */
const MAX_KEPT_BYTES = 2 ** 20;

/** A stream is gone once it was read; all else can be sent twice. */
const isStream = (body) => typeof body?.[Symbol.asyncIterator] === 'function';

/** The bytes of a stream, if they are no more than can be kept. */
async function bytesOf(stream) {
  const reader = stream.getReader();
  const chunks = [];
  for (let size = 0; size <= MAX_KEPT_BYTES; ) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(chunks);
    chunks.push(value);
    size += value.length;
  }
  // It ends when the other reader has, who is not waited for.
  reader.cancel().catch(() => {});
  return undefined;
}

/** Keeps the body of a `Request` while it is sent, for it does not tell what it was made of. `bytes` are there when all of it was read. */
function keepBody(request) {
  const keptBody = { bytes: undefined };
  // A body that fails does so where it is sent.
  if (request.body) bytesOf(request.clone().body).then((bytes) => (keptBody.bytes = bytes), () => {});
  return keptBody;
}

/** Where a request goes and what it takes along, from what `fetch` is given. The headers are those of the caller alone. */
function outgoingRequest(input, init) {
  if (!(input instanceof Request)) return { url: new URL(input), options: init ?? {}, headers: new Headers(init?.headers) };
  const requestObject = new Request(input, init);
  const options = init?.dispatcher ? { dispatcher: init.dispatcher } : {};
  const headers = new Headers(requestObject.headers);
  return { url: new URL(requestObject.url), requestObject, keptBody: keepBody(requestObject), options, headers };
}

/** Whether a request can be sent twice. */
function isReplayable({ requestObject, keptBody, options }) {
  return requestObject ? requestObject.body === null || keptBody.bytes !== undefined : !isStream(options.body);
}

/** What a redirect makes of a request. Source: Fetch Standard, HTTP-redirect fetch. */
function redirected(request, status, location) {
  const { url, requestObject, keptBody, headers } = request;
  const next = new URL(location, url);
  if (!['http:', 'https:'].includes(next.protocol)) throw new TypeError(`fetch failed: a redirect leads to ${next.protocol}`);
  const options = { ...request.options };
  for (const name of requestObject ? REQUEST_OPTIONS : []) options[name] = requestObject[name];
  if (requestObject && keptBody.bytes !== undefined) options.body = keptBody.bytes;
  const method = (options.method ?? 'GET').toUpperCase();
  const becomesGet = status === 303 ? !['GET', 'HEAD'].includes(method) : status < 303 && method === 'POST';
  if (!becomesGet && !isReplayable(request)) throw new TypeError('fetch failed: a redirect wants a body again that was a stream');
  const droppedHeaders = [...(becomesGet ? BODY_HEADERS : []), ...(next.origin === url.origin ? [] : ORIGIN_HEADERS)];
  for (const name of droppedHeaders) headers.delete(name);
  return { url: next, headers, options: becomesGet ? { ...options, method: 'GET', body: undefined } : options };
}

/** A response behind redirects, and its clones. */
function asRedirected(response) {
  const clone = response.clone;
  return Object.defineProperties(response, { redirected: { value: true }, clone: { value: () => asRedirected(clone.call(response)) } });
}

/** Fails as `fetch` does where a body is another than was meant. `fetch` itself would measure redirects and refusals by it too. */
async function checkIntegrity(response, integrity) {
  const url = URL.createObjectURL(await response.clone().blob());
  try {
    await globalThis.fetch(url, { integrity });
  } finally {
    URL.revokeObjectURL(url);
  }
}

export function createFetch(session = Session.default, fetch = globalThis.fetch) {
  /** The headers for a URL: none where it is nothing of ours, undefined where what was said is the case. */
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

  /** Rejects what a 401 came for. What there is instead, if there is something else. */
  async function headersAfter401(url, authHeaders, signal) {
    for (const value of Object.values(authHeaders)) await session.rejectValue(url.href, value);
    const newHeaders = await headersFor(url, signal, NO_OTHER_TOKEN);
    const isNew = newHeaders && Object.entries(newHeaders).some(([name, value]) => authHeaders[name] !== value);
    return isNew ? newHeaders : undefined;
  }

  function send({ url, requestObject, keptBody, options, headers }, authHeaders, redirect) {
    // A caller may have got the same header and put it on: it is ours all the same, and goes no further than this.
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
      const mayRetry = response.status === 401 && !hasRetried && Object.keys(authHeaders).length > 0 && isReplayable(request);
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
