/** A `fetch` that wears the right headers: by origin, anew at each redirect, and once more after a 401. */
import * as abi from './abi.js';
import { Session } from './session.js';

/** A URL that keyferry has nothing for is fetched as it is. */
const FOREIGN = [abi.KEYFERRY_E_UNKNOWN_SERVICE, abi.KEYFERRY_E_NO_HEADER, abi.KEYFERRY_E_INVALID_RESOURCE];
/** Where there is nothing new after a 401, that is the answer. */
const NOTHING_NEW = [
  abi.KEYFERRY_E_LOGIN_REQUIRED,
  abi.KEYFERRY_E_NOT_CONFIGURED,
  abi.KEYFERRY_E_BAD_CREDENTIALS,
  abi.KEYFERRY_E_NOT_FOUND,
  abi.KEYFERRY_E_INSUFFICIENT_ACCESS,
];

const REDIRECTS = [301, 302, 303, 307, 308];
const MOST_REDIRECTS = 20;
/** What a request leaves behind on its way to another origin. Source: Fetch Standard, HTTP-redirect fetch. */
const OF_ORIGIN = ['authorization', 'proxy-authorization', 'cookie', 'host'];
const OF_BODY = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length'];
const OF_REQUEST = ['method', 'signal', 'credentials', 'cache', 'mode', 'referrer', 'referrerPolicy', 'keepalive'];
/** So much of a body in a `Request` is kept to be sent again. */
const MOST_KEPT = 2 ** 20;

/** A stream is gone once it was read; all else can be sent twice. */
const isStream = (body) => typeof body?.[Symbol.asyncIterator] === 'function';

/** The bytes of a stream, if they are no more than can be kept. */
async function bytesOf(stream) {
  const reader = stream.getReader();
  const chunks = [];
  for (let size = 0; size <= MOST_KEPT; ) {
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
function keep(request) {
  const kept = { bytes: undefined };
  // A body that fails does so where it is sent.
  if (request.body) bytesOf(request.clone().body).then((bytes) => (kept.bytes = bytes), () => {});
  return kept;
}

/** Where a request goes and what it takes along, from what `fetch` is given. The headers are those of the caller alone. */
function departure(input, init) {
  if (!(input instanceof Request)) return { url: new URL(input), options: init ?? {}, headers: new Headers(init?.headers) };
  const given = new Request(input, init);
  const options = init?.dispatcher ? { dispatcher: init.dispatcher } : {};
  return { url: new URL(given.url), given, kept: keep(given), options, headers: new Headers(given.headers) };
}

/** Whether a request can be sent twice. */
function isReplayable({ given, kept, options }) {
  return given ? given.body === null || kept.bytes !== undefined : !isStream(options.body);
}

/** What a redirect makes of a request. Source: Fetch Standard, HTTP-redirect fetch. */
function redirected(request, status, location) {
  const { url, given, kept, headers } = request;
  const next = new URL(location, url);
  if (!['http:', 'https:'].includes(next.protocol)) throw new TypeError(`fetch failed: a redirect leads to ${next.protocol}`);
  const options = { ...request.options };
  for (const name of given ? OF_REQUEST : []) options[name] = given[name];
  if (given && kept.bytes !== undefined) options.body = kept.bytes;
  const method = (options.method ?? 'GET').toUpperCase();
  const asks = status === 303 ? !['GET', 'HEAD'].includes(method) : status < 303 && method === 'POST';
  if (!asks && !isReplayable(request)) throw new TypeError('fetch failed: a redirect wants a body again that was a stream');
  const left = [...(asks ? OF_BODY : []), ...(next.origin === url.origin ? [] : OF_ORIGIN)];
  for (const name of left) headers.delete(name);
  return { url: next, headers, options: asks ? { ...options, method: 'GET', body: undefined } : options };
}

/** A response behind redirects, and its clones. */
function behind(response) {
  const clone = response.clone;
  return Object.defineProperties(response, { redirected: { value: true }, clone: { value: () => behind(clone.call(response)) } });
}

/** Fails as `fetch` does where a body is another than was meant. `fetch` itself would measure redirects and refusals by it too. */
async function check(response, integrity) {
  const url = URL.createObjectURL(await response.clone().blob());
  try {
    await globalThis.fetch(url, { integrity });
  } finally {
    URL.revokeObjectURL(url);
  }
}

export function createFetch(session = Session.default, fetch = globalThis.fetch) {
  /** The headers for a URL: none where it is nothing of ours, undefined where what was said is the case. */
  async function headersFor(url, signal, excused = []) {
    try {
      return await session.headersFor(url.href, { signal });
    } catch (error) {
      signal?.throwIfAborted();
      if (FOREIGN.includes(error.status)) return {};
      if (excused.includes(error.status)) return undefined;
      throw error;
    }
  }

  /** Rejects what a 401 came for. What there is instead, if there is something else. */
  async function renewed(url, worn, signal) {
    for (const value of Object.values(worn)) await session.rejectValue(url.href, value);
    const fresh = await headersFor(url, signal, NOTHING_NEW);
    const isNew = fresh && Object.entries(fresh).some(([name, value]) => worn[name] !== value);
    return isNew ? fresh : undefined;
  }

  function send({ url, given, kept, options, headers }, worn, redirect) {
    // A caller may have got the same header and put it on: it is ours all the same, and goes no further than this.
    for (const name of Object.keys(worn)) headers.delete(name);
    const all = new Headers(headers);
    for (const [name, value] of Object.entries(worn)) all.set(name, value);
    const set = { ...options, headers: all, redirect, integrity: '' };
    if (given?.bodyUsed) set.body = kept.bytes;
    if (isStream(set.body)) set.duplex = 'half';
    return fetch(given ?? url, set);
  }

  return async function keyferryFetch(input, init) {
    let request = departure(input, init);
    const { signal, redirect = 'follow', integrity } = request.given ?? request.options;
    const follows = redirect === 'follow';
    let worn = await headersFor(request.url, signal);
    for (let hops = 0, tried = false; ; ) {
      const response = await send(request, worn, follows ? 'manual' : redirect);
      const refused = response.status === 401 && !tried && Object.keys(worn).length > 0 && isReplayable(request);
      const fresh = refused ? await renewed(request.url, worn, signal) : undefined;
      const location = follows && REDIRECTS.includes(response.status) ? response.headers.get('location') : null;
      if (fresh === undefined && location === null) {
        if (integrity) await check(response, integrity);
        return hops === 0 ? response : behind(response);
      }
      await response.body?.cancel();
      tried ||= refused;
      if (fresh !== undefined) {
        worn = fresh;
        continue;
      }
      hops += 1;
      if (hops > MOST_REDIRECTS) throw new TypeError('fetch failed: too many redirects');
      request = redirected(request, response.status, location);
      worn = await headersFor(request.url, signal);
    }
  };
}
