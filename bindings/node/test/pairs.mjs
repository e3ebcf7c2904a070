/** Random arguments of `fetch`. The same seed gives the same arguments. */
import { File } from 'node:buffer';
import { Readable } from 'node:stream';
import { createContext, runInContext } from 'node:vm';

import * as nodeFetch from 'node-fetch';
import * as undici from 'undici';

/** Another realm, as a program under jest has. */
const realm = createContext({});
const inRealm = (code) => runInContext(`(${code})`, realm);

/** In Node 18, `fetch` fails if its options are null. */
export const IS_NODE_18 = process.versions.node.startsWith('18.');

/** Returns a generator of numbers from 0 to 1. Source: mulberry32. */
export function numbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Makes the arguments of one call of `fetch` for a server.
 *
 * `log` gets each access to an object of the caller that the caller can see.
 */
export function makePair(seed, { host, otherHost, dispatcher }) {
  const random = numbers(seed);
  const log = [];
  const chance = (share) => random() < share;
  const pick = (...choices) => choices[Math.floor(random() * choices.length)];
  /** One of several values, each made by a function so that only the chosen one is made. */
  const make = (...makers) => pick(...makers)();
  const bytes = (length) => new Uint8Array(length).fill(Math.floor(random() * 256), Math.floor(random() * length));
  const words = () => pick('', 'a', 'ä€😀', 'line\r\nline\n', '{"a":1}', 'lone \ud800 surrogate', 'x'.repeat(Math.floor(random() * 70_000)));
  const converts = (name, value) => make(
    () => ({ toString: () => (log.push(`${name}.toString`), value) }),
    () => ({ [Symbol.toPrimitive]: (hint) => (log.push(`${name} to ${hint}`), value) }),
    () => new String(value),
  );
  /** A string option: mostly itself, sometimes an object that converts to it. */
  const stringly = (name, value) => (chance(0.9) ? value : converts(name, value));

  const status = pick(200, 200, 200, 200, 200, 200, 301, 302, 303, 307, 308, 401, 404);
  // On a redirect, the platform can't send a buffer again, because it has transferred the buffer. Nor
  // can it send a stream again that is inside a `Request`. keyferry sends both. Of a `Request` with a
  // dispatcher, keyferry uses the dispatcher up to the first redirect. After a redirect, keyferry
  // removes blanks at the end of a header that was set several times.
  const isRedirect = status > 300 && status < 400;
  // keyferry reads a location in UTF-8, as Node does from version 20.
  const endInUtf8 = IS_NODE_18 ? `/end/${seed}` : `/end/${seed}/é€`;
  const ends = [`/end/${seed}`, `/end/${seed}`, `${host}/end/${seed}?x=1`, `${otherHost}/end/${seed}`, endInUtf8];
  const oddEnds = ['http://[', 'file:///etc/hostname', '', `//user:password@${host.slice(7)}/end/${seed}`, `//user@${otherHost.slice(7)}/end/${seed}`];
  const location = pick(...ends, pick(...oddEnds));
  const path = `/${seed}/${status}/${encodeURIComponent(location)}${pick('', '?q=ä b', '#fragment', "?a='&b=%41")}`;
  const url = () => pick(`${host}${path}`, `${host}/a/../${path.slice(1)}`, `  ${host.toUpperCase()}${path}\n`);

  function chunks() {
    const count = Math.floor(random() * 4);
    return Array.from({ length: count }, () => bytes(1 + Math.floor(random() * 3000)));
  }

  const streams = [
    () => new ReadableStream({ start(controller) { for (const chunk of chunks()) controller.enqueue(chunk); controller.close(); } }),
    () => { const rest = chunks(); return new ReadableStream({ pull: (c) => (rest.length > 0 ? c.enqueue(rest.shift()) : c.close()) }, { highWaterMark: 0 }); },
    () => { const part = bytes(100); return new ReadableStream({ type: 'bytes', start: (c) => (c.enqueue(part), c.close()) }); },
    () => { const parts = chunks(); return (async function* () { log.push('body started'); yield* parts; })(); },
    () => Readable.from(chunks().map((chunk) => Buffer.from(chunk))),
    () => new Blob([bytes(50)]).stream(),
    () => new nodeFetch.Response('of node-fetch').body,
    () => new undici.Response('of undici').body,
    () => new Response(words()).body,
    () => { const stream = new Blob(['locked']).stream(); stream.getReader(); return stream; },
  ];

  function form(FormDataClass = FormData) {
    const made = new FormDataClass();
    for (let count = Math.floor(random() * 4); count > 0; count -= 1) {
      const name = pick('a', 'b"\r\n', 'ä');
      make(
        () => made.append(name, words()),
        () => made.append(name, new Blob([bytes(20)], { type: pick('', 'text/plain') })),
        () => made.append(name, new File([bytes(20)], pick('a.txt', 'ä "x".bin')), ...pick([], ['other.name'])),
      );
    }
    return made;
  }

  const buffers = [
    () => Buffer.from(words()),
    () => bytes(Math.floor(random() * 2000)),
    () => bytes(40).subarray(3, pick(3, 20)),
    () => bytes(40).buffer,
    () => new DataView(bytes(40).buffer, 5, 10),
    () => new Float64Array([1, random()]),
    () => new (class extends Uint8Array {})(3),
    () => inRealm('new Uint8Array([1, 2, 3, 200])'),
    () => inRealm('new Uint16Array([1, 2, 300]).buffer'),
    () => inRealm('new DataView(new ArrayBuffer(5), 1)'),
  ];
  const refusedBodies = [
    () => Symbol('body'),
    () => new Uint8Array(new SharedArrayBuffer(4)),
    () => new SharedArrayBuffer(4),
    () => new Uint8Array(new ArrayBuffer(4, { maxByteLength: 8 })),
    () => { const taken = new ArrayBuffer(4); structuredClone(taken, { transfer: [taken] }); return taken; },
    () => { const taken = new Uint8Array(4); structuredClone(taken, { transfer: [taken.buffer] }); return taken; },
    () => Object.create(null),
    () => ({ toString: () => { throw new RangeError('of the caller'); } }),
  ];
  const text = [
    words,
    words,
    () => new URLSearchParams(pick('', 'a=1&b=ä&a=2', '?x= +%20')),
    () => new (class extends URLSearchParams { toString() { return 'own=1'; } })('a=1'),
    () => inRealm('({ toString: () => "of another realm" })'),
    () => converts('body', words()),
    () => pick(null, undefined, 0, 123, true, 10n, -0.5),
    () => pick([], [1, 'a'], {}, new Date(0), new Map(), /x/, () => 1, new Error('x')),
  ];
  const blobs = [
    () => new Blob([bytes(Math.floor(random() * 100_000))], { type: pick('', 'Image/PNG', 'text/plain;charset=x') }),
    () => new File([words()], 'name.txt', { type: pick('', 'text/csv') }),
    () => new nodeFetch.Blob(['of node-fetch'], { type: 'a/b' }),
  ];
  const forms = [form, form, () => form(undici.FormData), () => form(nodeFetch.FormData)];
  /** A body of one of the kinds, each as likely as the others. */
  const body = (mayStream = true) => {
    const kinds = [text, blobs, forms, ...(chance(0.1) ? [refusedBodies] : []), ...(isRedirect ? [] : [buffers]), ...(mayStream ? [streams, streams] : [])];
    return make(...pick(...kinds));
  };

  const headerPairs = () => Array.from({ length: Math.floor(random() * 5) }, () => [
    pick('X-Mine', 'x-mine', 'Accept', 'ACCEPT-Language', 'User-Agent', 'Content-Type', 'Authorization', 'X-API-KEY', 'X-User-Token', 'Cookie',
      'Cache-Control', 'If-None-Match', 'Range', 'Origin', 'Referer', 'Set-Cookie', 'Accept-Encoding', 'Sec-Fetch-Mode',
      ...(chance(0.05) ? ['Content-Length', 'bad name', '', 'Host', 'Connection', 'Expect', 'Transfer-Encoding'] : [])),
    pick('a', ' padded ', 'a, b', isRedirect ? 'b' : '', 'ÿ', 'application/json', ...(chance(0.05) ? [1, null, undefined, '€', 'a\nb', Symbol('value')] : [])),
  ]);
  const readLogged = (entries) => {
    const made = {};
    for (const [name, value] of entries) Object.defineProperty(made, name, { enumerable: true, configurable: true, get: () => (log.push(`header ${name}`), value) });
    return made;
  };
  const validHeaders = (HeadersClass) => {
    const made = new HeadersClass();
    for (const [name, value] of headerPairs()) try { made.append(name, value); } catch { /* an invalid pair */ }
    return made;
  };
  const headers = () => make(
    () => Object.fromEntries(headerPairs()),
    () => Object.fromEntries(headerPairs()),
    headerPairs,
    () => validHeaders(Headers),
    () => validHeaders(Headers),
    () => validHeaders(undici.Headers),
    () => validHeaders(nodeFetch.Headers),
    () => new Map(headerPairs()),
    () => readLogged(headerPairs()),
    () => Object.assign(Object.create(null), Object.fromEntries(headerPairs())),
    () => (function* () { log.push('headers started'); yield* headerPairs(); })(),
    () => inRealm('[["X-Realm", "array"], ["accept", "a/b"]]'),
    () => inRealm('({ "X-Realm": "object" })'),
    () => inRealm('new Map([["X-Realm", "map"]])'),
    () => new URLSearchParams('x-search=1&x-search=2'),
    () => (chance(0.3) ? pick(null, 5, 'text', [['one']], [['a', 'b', 'c']], [5], { a: Symbol('x') }) : {}),
  );

  function dictionary(hasBody, isPlain = true) {
    const made = {};
    const option = (share, name, value) => { if (chance(share)) made[name] = value(); };
    option(hasBody ? 0.93 : 0.5, 'method', () => stringly('method', hasBody && chance(0.95) ? pick('POST', 'post', 'PUT', 'PATCH', 'DELETE', 'Foo')
      : pick('GET', 'get', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'patch', ...(chance(0.1) ? ['TRACE', 'bad method', '', 5, null] : []))));
    option(0.6, 'headers', headers);
    if (hasBody) made.body = body(isPlain);
    option(hasBody ? 0.8 : 0.1, 'duplex', () => stringly('duplex', chance(0.97) ? 'half' : pick('full', undefined)));
    option(0.15, 'referrer', () => stringly('referrer', pick('', 'about:client', 'no-referrer', `${host}/from#x`, 'https://elsewhere.example/a?b', ...(chance(0.1) ? ['http://[', 5] : []))));
    option(0.15, 'referrerPolicy', () => stringly('referrerPolicy', pick('', 'no-referrer', 'origin', 'unsafe-url', 'strict-origin', 'same-origin', ...(chance(0.1) ? ['bad'] : []))));
    option(0.15, 'mode', () => stringly('mode', pick('cors', 'same-origin', isRedirect ? 'cors' : 'no-cors', ...(chance(0.1) ? ['navigate', 'bad'] : []))));
    option(0.15, 'credentials', () => stringly('credentials', pick('omit', 'include', 'same-origin', ...(chance(0.05) ? ['bad'] : []))));
    option(0.2, 'cache', () => stringly('cache', pick('default', 'no-store', 'reload', 'no-cache', 'force-cache', ...(chance(0.1) ? ['only-if-cached', 'bad'] : []))));
    option(0.3, 'redirect', () => stringly('redirect', pick('follow', 'manual', 'error', ...(chance(0.05) ? ['bad'] : []))));
    option(0.1, 'integrity', () => stringly('integrity', pick('', 'sha256-', 'sha256-AAAA', 'sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=', 'bad')));
    option(0.15, 'keepalive', () => pick(true, false, 1, null));
    option(0.15, 'signal', () => make(() => new AbortController().signal, () => null, () => undefined, () => AbortSignal.timeout(600_000),
      () => (chance(0.3) ? pick(AbortSignal.abort(), AbortSignal.abort(new RangeError('of the caller')), {}, 5) : null)));
    option(0.05, 'window', () => (chance(0.9) ? pick(null, undefined) : 5));
    option(isPlain ? 0.1 : 0, 'dispatcher', () => (chance(0.8) ? dispatcher : pick(null, undefined)));
    option(0.1, 'priority', () => pick('high', undefined));
    return made;
  }

  class Options {}
  /** The same options in an object of another kind. */
  function dressed(options) {
    const logged = (target) => {
      for (const name of [...Object.keys(options), 'unknown']) {
        Object.defineProperty(target, name, { enumerable: true, configurable: true, get() { log.push(`get ${name}`); return options[name]; } });
      }
      return target;
    };
    return make(
      () => options,
      () => options,
      () => logged({}),
      () => Object.create(logged({})),
      () => new (class extends Options { static { logged(this.prototype); } })(),
      () => Object.assign(Object.create(null), options),
      () => Object.freeze(options),
      () => Object.assign(() => {}, options),
      () => Object.assign(inRealm('{}'), options),
      () => new Proxy(options, { get: (target, name) => (log.push(`trap ${String(name)}`), target[name]) }),
    );
  }

  function request(RequestClass = Request, hasBody = chance(0.5)) {
    for (let attempts = 0; attempts < 5; attempts += 1) {
      try {
        return new RequestClass(url().trim(), dictionary(hasBody, !isRedirect));
      } catch { /* invalid options */ }
    }
    return new RequestClass(url().trim());
  }

  const input = make(
    url, url, url,
    () => new URL(url()), () => new URL(url()),
    () => request(), () => request(), () => request(), () => request(),
    () => converts('input', url()),
    () => new (class extends Request {})(url()),
    () => (chance(0.3) ? make(
      () => pick('', 'not a URL', undefined, null, 5, {}, 'data:text/plain,hello', 'about:blank', 'file:///etc/hostname', 'masv:/v1/teams', 'user'),
      () => Symbol('input'),
      () => `${host.replace('//', '//user:password@')}${path}`,
      () => ({ toString() { throw new RangeError('of the caller'); } }),
      () => request(nodeFetch.Request),
      () => request(undici.Request),
      () => { const used = request(Request, true); used.body?.getReader(); return used; },
      () => inRealm(`({ toString: () => ${JSON.stringify(url())} })`),
      () => Object.create(Request.prototype),
      () => new Proxy(request(), {}),
      () => `${host}/${'long/'.repeat(pick(2_000, 2_500))}`,
    ) : url()),
  );
  const init = make(
    () => undefined, () => undefined,
    () => dressed(dictionary(true)), () => dressed(dictionary(true)), () => dressed(dictionary(true)), () => dressed(dictionary(true)),
    () => dressed(dictionary(false)), () => dressed(dictionary(false)),
    // A `Request` as options has a stream as its body.
    () => request(Request, !isRedirect && chance(0.5)),
    () => request(Request, !isRedirect && chance(0.5)),
    () => (chance(0.3) ? make(() => (IS_NODE_18 ? undefined : null), () => pick(5, 'text', true, Symbol('init'), 1n), () => request(nodeFetch.Request, false), () => request(undici.Request, false),
      () => new nodeFetch.Response('x'), () => new undici.Response('x'), () => new Response(null)) : {}),
  );
  return { input, init, log };
}
