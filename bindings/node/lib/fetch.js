/** A `fetch` that wears the right headers: by origin, anew at each redirect, and once more after a 401. */
import * as abi from './abi.js';
import { Session } from './session.js';

/** A URL that keyferry has nothing for is fetched as it is. */
const FOREIGN = [abi.KEYFERRY_E_NOT_MINE, abi.KEYFERRY_E_NO_HEADER, abi.KEYFERRY_E_RESOURCE];
/** Where there is nothing new after a 401, that is the answer. */
const NOTHING_NEW = [
  abi.KEYFERRY_E_LOGIN_REQUIRED,
  abi.KEYFERRY_E_NOT_CONFIGURED,
  abi.KEYFERRY_E_REFUSED,
  abi.KEYFERRY_E_NOT_FOUND,
  abi.KEYFERRY_E_ACCESS,
];

const REDIRECTS = [301, 302, 303, 307, 308];
const MOST_REDIRECTS = 20;
/** What a request leaves behind on its way to another origin. Source: Fetch Standard, HTTP-redirect fetch. */
const OF_ORIGIN = ['authorization', 'proxy-authorization', 'cookie', 'host'];
const OF_BODY = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length'];
const OF_REQUEST = ['method', 'body', 'signal', 'redirect', 'integrity', 'keepalive'];

/** Whether a body can be sent twice: a stream is gone once it was read. */
function isReplayable(body) {
  const kinds = [ArrayBuffer, URLSearchParams, FormData, Blob];
  return body == null || typeof body === 'string' || ArrayBuffer.isView(body) || kinds.some((kind) => body instanceof kind);
}

/** Where a request goes and what it takes along, from what `fetch` is given. The headers are those of the caller alone. */
function departure(input, init) {
  const given = input instanceof Request ? input : undefined;
  const url = new URL(given?.url ?? input);
  const options = { ...init };
  for (const name of given ? OF_REQUEST : []) options[name] ??= given[name];
  return { url, options, headers: new Headers(init?.headers ?? given?.headers) };
}

/** What a redirect makes of a request. Source: Fetch Standard, HTTP-redirect fetch. */
function redirected({ url, options, headers }, status, location) {
  const next = new URL(location, url);
  if (!['http:', 'https:'].includes(next.protocol)) throw new TypeError(`fetch failed: a redirect leads to ${next.protocol}`);
  const method = (options.method ?? 'GET').toUpperCase();
  const asks = status === 303 ? !['GET', 'HEAD'].includes(method) : status < 303 && method === 'POST';
  if (!asks && !isReplayable(options.body)) throw new TypeError('fetch failed: a redirect wants a body again that was a stream');
  const left = [...(asks ? OF_BODY : []), ...(next.origin === url.origin ? [] : OF_ORIGIN)];
  for (const name of left) headers.delete(name);
  return { url: next, headers, options: asks ? { ...options, method: 'GET', body: undefined } : options };
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

  function send({ url, options, headers }, worn, redirect) {
    // A caller may have got the same header and put it on: it is ours all the same, and goes no further than this.
    for (const name of Object.keys(worn)) headers.delete(name);
    const all = new Headers(headers);
    for (const [name, value] of Object.entries(worn)) all.set(name, value);
    const duplex = isReplayable(options.body) ? {} : { duplex: 'half' };
    return fetch(url, { ...options, ...duplex, headers: all, redirect });
  }

  return async function keyferryFetch(input, init) {
    let request = departure(input, init);
    const { signal, redirect = 'follow' } = request.options;
    const follows = redirect === 'follow';
    let worn = await headersFor(request.url, signal);
    for (let hops = 0, tried = false; ; ) {
      const response = await send(request, worn, follows ? 'manual' : redirect);
      if (response.status === 401 && !tried && Object.keys(worn).length > 0 && isReplayable(request.options.body)) {
        tried = true;
        const fresh = await renewed(request.url, worn, signal);
        if (fresh === undefined) return response;
        worn = fresh;
        await response.body?.cancel();
        continue;
      }
      const location = follows && REDIRECTS.includes(response.status) ? response.headers.get('location') : null;
      if (location === null) return hops === 0 ? response : Object.defineProperty(response, 'redirected', { value: true });
      hops += 1;
      if (hops > MOST_REDIRECTS) throw new TypeError('fetch failed: too many redirects');
      await response.body?.cancel();
      request = redirected(request, response.status, location);
      worn = await headersFor(request.url, signal);
    }
  };
}
