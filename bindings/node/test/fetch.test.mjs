import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { Session, createFetch } from 'keyferry';
import * as nodeFetch from 'node-fetch';
import * as undici from 'undici';

import * as sandbox from './support.mjs';

const { count, fails, masv, pack } = sandbox;
const files = `${masv}/v1/${pack}/files`;

/** A server on this machine that belongs to no configured service; it records each request. */
const foreignHost = { requests: [] };
let server;
before(async () => {
  server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      foreignHost.requests.push({ method: request.method, headers: request.headers, body: Buffer.concat(chunks).toString() });
      if (request.url.startsWith('/back')) response.writeHead(307, { location: files }).end();
      else if (request.url.startsWith('/round')) response.writeHead(302, { location: '/round' }).end();
      else if (request.url.startsWith('/endless')) response.write('a part');
      else if (request.url.endsWith('/denied')) response.writeHead(401).end();
      else response.end('stranger');
    });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  foreignHost.url = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

let session;
let keyferryFetch;
beforeEach(async () => {
  await sandbox.reset();
  foreignHost.requests = [];
  session = new Session(sandbox.settings());
  keyferryFetch = createFetch(session);
});

/** Asserts that no credential of any kind reached the foreign host. */
function assertNoCredential() {
  const secretHeaders = session.listSync().flatMap(({ headers }) => headers.map((name) => name.toLowerCase()));
  assert.ok(secretHeaders.length > 0, 'there is something that could have leaked');
  for (const { headers } of foreignHost.requests) {
    const names = Object.keys(headers).filter((name) => secretHeaders.includes(name) || /^x-|token|key|authorization/.test(name));
    assert.deepEqual(names, []);
  }
}

test('each request wears the header of its URL', async () => {
  assert.equal((await keyferryFetch(files)).status, 200);
  assert.equal((await keyferryFetch(new URL(`${masv}/v1/teams`))).status, 200);
  assert.equal((await keyferryFetch(new Request(`${sandbox.fileverbs}/api/v1/fileuploads`))).status, 200);
  const response = await keyferryFetch(`${masv}/v1/${pack}/files`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ kind: 'file', name: 'a', path: '', size: 1 }),
  });
  assert.ok(response.ok, await response.text());
  assert.equal(await count('two_credentials'), 0);
});

test('where no header is needed, or the URL is not ours, the request goes as it is', async () => {
  const response = await keyferryFetch(`${foreignHost.url}/x`, { headers: { 'X-Mine': 'kept' } });
  assert.equal(await response.text(), 'stranger');
  assert.equal(foreignHost.requests[0].headers['x-mine'], 'kept');
  assert.equal((await keyferryFetch(`${masv}/v1/subdomains/portals/sandbox-portal`)).status, 200);
  assert.equal(await count('login'), 0);
});

test('a look-alike of an origin gets nothing', async () => {
  await session.tokenFor('user');
  const { port } = new URL(masv);
  const odd = [`http://127.0.0.1.example:${port}`, `http://127.0.0.1:${Number(port) + 1}`, `https://127.0.0.1:${port}`];
  for (const base of odd) {
    const sent = [];
    const spy = async (url, { headers }) => (sent.push([...headers.keys()]), new Response());
    await createFetch(session, spy)(`${base}/v1/teams`);
    assert.deepEqual(sent, [[]], base);
  }
});

for (const status of [301, 302, 303, 307, 308]) {
  test(`a redirect (${status}) to another origin carries no header`, async () => {
    await sandbox.fault({ path: `/v1/${pack}`, kind: 'redirect', status, to: `${foreignHost.url}/x` });
    const response = await keyferryFetch(files, { headers: { Authorization: 'mine', Cookie: 'mine=1', 'X-Mine': 'kept' } });
    assert.deepEqual([await response.text(), response.redirected, response.url], ['stranger', true, `${foreignHost.url}/x`]);
    assert.equal(foreignHost.requests[0].headers.authorization, undefined);
    assert.equal(foreignHost.requests[0].headers.cookie, undefined);
    assert.equal(foreignHost.requests[0].headers['x-mine'], 'kept');
    delete foreignHost.requests[0].headers['x-mine'];
    assertNoCredential();
  });

  test(`a redirect (${status}) of a POST is what the standard makes of it`, async () => {
    await sandbox.fault({ path: `/v1/${pack}`, kind: 'redirect', status, to: `${foreignHost.url}/x` });
    await keyferryFetch(files, { method: 'POST', body: '{"a":1}', headers: { 'Content-Type': 'application/json' } });
    const [{ method, body, headers }] = foreignHost.requests;
    const kept = status >= 307;
    assert.deepEqual([method, body, headers['content-type']], kept ? ['POST', '{"a":1}', 'application/json'] : ['GET', '', undefined]);
    assertNoCredential();
  });
}

test('a redirect to another origin does not carry what the caller got of us and put on itself', async () => {
  const headers = await session.headersFor(files);
  await sandbox.fault({ path: `/v1/${pack}`, kind: 'redirect', status: 302, to: `${foreignHost.url}/x` });
  assert.equal(await (await keyferryFetch(files, { headers })).text(), 'stranger');
  assertNoCredential();
});

test('a new header stands in the place of the old one that the caller put on itself', async () => {
  const headersOf = [{ 'X-User-Token': 'old' }, { 'X-API-KEY': 'new' }];
  const changing = { headersFor: async () => headersOf.shift(), rejectValue: async () => {} };
  const sent = [];
  const refusingFetch = async (_url, { headers }) => (sent.push([...headers.keys()]), new Response(null, { status: sent.length > 1 ? 200 : 401 }));
  assert.equal((await createFetch(changing, refusingFetch)(files, { headers: { 'x-user-token': 'old' } })).status, 200);
  assert.deepEqual(sent, [['x-user-token'], ['x-api-key']]);
});

test('a redirect to an origin of ours wears what belongs there', async () => {
  const response = await keyferryFetch(`${foreignHost.url}/back`);
  assert.deepEqual([response.status, response.redirected], [200, true]);
  assert.equal(foreignHost.requests[0].headers['x-package-token'], undefined);
});

test('redirects end, and only those that are followed', async () => {
  await assert.rejects(keyferryFetch(`${foreignHost.url}/round`), /too many redirects/);
  assert.equal((await keyferryFetch(`${foreignHost.url}/round`, { redirect: 'manual' })).status, 302);
  await assert.rejects(keyferryFetch(`${foreignHost.url}/round`, { redirect: 'error' }), TypeError);
  await sandbox.fault({ path: `/v1/${pack}`, kind: 'redirect', status: 302, to: 'file:///etc/passwd' });
  await assert.rejects(keyferryFetch(files), /redirect to unsupported protocol file:/);
});

test('after a 401 the token is rejected and the request sent once more', async () => {
  const token = await session.tokenFor(pack);
  await sandbox.refuse(token.value);
  const bodies = ['{}', Buffer.from('{}'), new Blob(['{}'])];
  for (const body of bodies) {
    const response = await keyferryFetch(`${masv}/v1/${pack}/finalize`, { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
    assert.ok(response.ok, `${response.status} ${await response.text()}`);
  }
  assert.ok((await session.tokenFor(pack)).generation > token.generation);
  assert.equal(await count('rejected_token'), 1);
  assert.equal(session.stats().rejected, 1);
});

test('a second 401 is the answer', async () => {
  await sandbox.fault({ path: `/v1/${pack}`, kind: 'status', status: 401, times: 'forever' });
  assert.equal((await keyferryFetch(files)).status, 401);
  assert.equal(await count('faults_hit'), 2);
});

test('a request is sent twice at the most, however many tokens there are', async () => {
  let tokens = 0;
  let sent = 0;
  const rich = { headersFor: async () => ({ 'X-User-Token': String((tokens += 1)) }), rejectValue: async () => {} };
  const refusingFetch = async () => ((sent += 1), new Response(null, { status: 401 }));
  assert.equal((await createFetch(rich, refusingFetch)(files)).status, 401);
  assert.deepEqual([tokens, sent], [2, 2]);
});

test('a 401 with nothing new to try is the answer', async () => {
  const token = await session.tokenFor(pack);
  const bare = new Session({ file: false, settings: { 'masv.url': masv } });
  await bare.adopt(pack, token.value);
  await sandbox.refuse(token.value);
  assert.equal((await createFetch(bare)(files)).status, 401);
  assert.equal(bare.header(files), undefined);
});

test('a 401 on a token that nobody else can get is the answer', async () => {
  const bare = new Session({ file: false, settings: { 'masv.url': foreignHost.url, 'masv.email': 'a@example.com', 'masv.password': 'x' } });
  await bare.adopt('transfers/denied', 'a'.repeat(40));
  assert.equal((await createFetch(bare)(`${foreignHost.url}/v1/transfers/denied`)).status, 401);
  assert.equal(foreignHost.requests[0].headers['x-transfer-token'], 'a'.repeat(40));
  assert.equal(bare.stats().rejected, 1);
});

const STATUS = { LOGIN_REQUIRED: 702, NOT_CONFIGURED: 202, REFUSED: 701, NOT_FOUND: 703, ACCESS: 704 };
for (const [code, status] of Object.entries(STATUS)) {
  test(`a 401 is the answer where the next token is ${code}`, async () => {
    const headersOf = [async () => ({ 'X-User-Token': 'old' }), async () => Promise.reject(Object.assign(new Error(code), { status }))];
    const poor = { headersFor: () => headersOf.shift()(), rejectValue: async () => {} };
    assert.equal((await createFetch(poor, async () => new Response(null, { status: 401 }))(files)).status, 401);
  });
}

test('a stream is sent once, and its 401 is the answer', async () => {
  const token = await session.tokenFor(pack);
  await sandbox.refuse(token.value);
  const post = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: new Blob(['{}']).stream(), duplex: 'half' };
  assert.equal((await keyferryFetch(`${masv}/v1/${pack}/finalize`, post)).status, 401);
  assert.equal(await count('login'), 1);
  assert.equal(session.stats().rejected, 1);
  // The next stream gets another token.
  const next = { ...post, body: new Blob(['{}']).stream() };
  assert.ok((await keyferryFetch(`${masv}/v1/${pack}/finalize`, next)).ok);
});

const bodies = { text: '{}', bytes: Buffer.from('{}'), blob: new Blob(['{}']), stream: () => new Blob(['{}']).stream() };
for (const [name, body] of Object.entries(bodies)) {
  const headers = { 'Content-Type': 'application/json' };
  const post = () => ({ method: 'POST', headers, body: body instanceof Function ? body() : body, duplex: 'half' });

  test(`a Request with ${name} in it is sent once more after a 401`, async () => {
    await sandbox.refuse((await session.tokenFor(pack)).value);
    const response = await keyferryFetch(new Request(`${masv}/v1/${pack}/finalize`, post()));
    assert.ok(response.ok, `${response.status} ${await response.text()}`);
    assert.equal(await count('rejected_token'), 1);
  });

  test(`a Request with ${name} in it follows a redirect`, async () => {
    await sandbox.fault({ path: `/v1/${pack}`, kind: 'redirect', status: 307, to: `${foreignHost.url}/x` });
    await keyferryFetch(new Request(files, post()));
    const [{ method, body, headers }] = foreignHost.requests;
    assert.deepEqual([method, body, headers['content-length'], headers['content-type']], ['POST', '{}', '2', 'application/json']);
    assertNoCredential();
  });
}

test('of a Request with a large body no more is kept than what is said, and it is sent once', async () => {
  const large = 'x'.repeat(3 * 2 ** 20);
  let tokens = 0;
  const rich = { headersFor: async () => ({ 'X-User-Token': String((tokens += 1)) }), rejectValue: async () => {} };
  const response = await createFetch(rich)(new Request(`${foreignHost.url}/denied`, { method: 'POST', body: large }));
  assert.deepEqual([response.status, tokens, foreignHost.requests.length], [401, 1, 1]);
  assert.equal(foreignHost.requests[0].headers['content-length'], String(large.length));
  assert.ok(foreignHost.requests[0].body === large);
});

test('what is no stream is sent as text, and again', async () => {
  await sandbox.fault({ path: `/v1/${pack}`, kind: 'redirect', status: 307, to: `${foreignHost.url}/x` });
  await keyferryFetch(files, { method: 'POST', body: 123 });
  assert.deepEqual(foreignHost.requests.map(({ body }) => body), ['123']);
});

test('a Request is what it is for the global fetch', async () => {
  const dispatcher = { dispatch: () => assert.fail('the dispatcher of the caller') };
  const dispatched = (error) => /the dispatcher of the caller/.test(`${error} ${error.cause}`);
  // The `fetch` of Node 18 doesn't read the dispatcher of a Request.
  const isRead = await fetch(new Request(`${foreignHost.url}/x`, { dispatcher })).then(() => false, dispatched);
  const asked = keyferryFetch(new Request(files, { dispatcher }));
  await (isRead ? assert.rejects(asked, dispatched) : asked);
  await assert.rejects(keyferryFetch(new Request(files), { dispatcher }), dispatched);
  const sent = [];
  const hops = [new Response(null, { status: 302, headers: { location: '/x' } }), new Response()];
  const spy = async (input, init) => (sent.push(new Request(input, init)), hops.shift());
  const request = new Request(files, { cache: 'no-store', credentials: 'omit', signal: AbortSignal.abort(), headers: { 'X-Mine': 'kept' } });
  await createFetch(session, spy)(request, { signal: null });
  for (const { cache, credentials, headers } of sent) assert.deepEqual([cache, credentials, headers.get('x-mine')], ['no-store', 'omit', 'kept']);
  assert.equal(sent.length, 2);
});

test('a clone of a redirected response is redirected', async () => {
  const response = await keyferryFetch(`${foreignHost.url}/back`);
  assert.deepEqual([response.redirected, response.clone().redirected, response.clone().clone().redirected], [true, true, true]);
  assert.deepEqual(await response.clone().json(), await response.json());
});

test('the integrity is that of the last answer', async () => {
  const integrity = `sha256-${createHash('sha256').update('stranger').digest('base64')}`;
  await sandbox.fault({ path: `/v1/${pack}`, kind: 'redirect', status: 302, to: `${foreignHost.url}/x` });
  assert.equal(await (await keyferryFetch(files, { integrity })).text(), 'stranger');
  await sandbox.fault({ path: `/v1/${pack}`, kind: 'redirect', status: 302, to: `${foreignHost.url}/x` });
  assert.equal(await (await keyferryFetch(new Request(files, { integrity }))).text(), 'stranger');
  await sandbox.refuse((await session.tokenFor(pack)).value);
  await assert.rejects(keyferryFetch(files, { integrity }), (error) => /integrity/.test(error.cause));
  assert.equal(await count('rejected_token'), 1, 'a 401 is no matter of integrity');
  await assert.rejects(keyferryFetch(`${foreignHost.url}/back`, { integrity }), (error) => /integrity/.test(error.cause));
});

test('a 401 of a stranger rejects nothing', async () => {
  await session.tokenFor('user');
  assert.equal((await keyferryFetch(`${foreignHost.url}/denied`)).status, 401);
  assert.ok(session.header('user'));
  assert.equal(foreignHost.requests.length, 1);
});

test('what fails while a token is got reaches the caller', async () => {
  await sandbox.fault({ path: '/v1/auth', kind: 'status', status: 401, times: 'forever' });
  await fails('KEYFERRY_E_BAD_CREDENTIALS', () => keyferryFetch(files));
});

test('a signal ends a fetch as it ends the global one', async () => {
  await sandbox.fault({ path: '/v1/auth', kind: 'hang' });
  const reason = new Error('enough');
  const controller = new AbortController();
  const fetching = keyferryFetch(files, { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(fetching, (error) => error === reason);
  const timeout = AbortSignal.timeout(30);
  await assert.rejects(keyferryFetch(new Request(files, { signal: timeout })), { name: 'TimeoutError' });
});

/** A session that has another token each time, and counts the rejected ones. */
function richSession() {
  const state = { tokens: 0, rejected: [] };
  const rejectValue = async (_url, value) => state.rejected.push(value);
  return Object.assign(state, { headersFor: async () => ({ 'X-User-Token': `token ${(state.tokens += 1)}` }), rejectValue });
}

test('a Request as options is sent with its method, headers and body', async () => {
  const post = () => new Request('http://other.example/', { method: 'POST', body: '{"a":1}', headers: { 'X-Mine': 'kept' } });
  await createFetch(richSession())(`${foreignHost.url}/x`, post());
  const [{ method, body, headers }] = foreignHost.requests;
  assert.deepEqual([method, body, headers['x-mine'], headers['x-user-token']], ['POST', '{"a":1}', 'kept', 'token 1']);
});

const form = () => {
  const made = new FormData();
  made.append('text', 'a');
  made.append('file', new Blob(['b']), 'b.txt');
  return made;
};
const plain = new TextEncoder().encode('{"a":1}');
const replayed = {
  'no body': () => undefined,
  'a string': () => '{"a":1}',
  'a Buffer': () => Buffer.from(plain),
  'a part of a typed array': () => new Uint8Array([0, ...plain, 0]).subarray(1, -1),
  'an ArrayBuffer': () => plain.slice().buffer,
  'a DataView': () => new DataView(plain.slice().buffer),
  'a Blob': () => new Blob([plain], { type: 'a/b' }),
  'search parameters': () => new URLSearchParams('a=1'),
  'a form': form,
  'a number': () => 1,
  'an object': () => ({ toString: () => 'text' }),
};
const oneShot = {
  'a ReadableStream': () => new Blob([plain]).stream(),
  'an async generator': async function* () { yield plain; },
};
/** The ways to pass a body, with whether a small body can be sent again. */
const ways = {
  'in the options': { call: (send, url, post) => send(url, post), replaysStreams: false },
  'in a Request': { call: (send, url, post) => send(new Request(url, post)), replaysStreams: true },
  'in a Request as options': { call: (send, url, post) => send(url, new Request(url, post)), replaysStreams: true },
};
/** A request without the boundary of a form, which must be the same in its header and its body. */
function withoutBoundary({ headers, body }) {
  const boundary = /boundary=(.*)/.exec(headers['content-type'])?.[1] ?? 'none';
  return [headers['content-type']?.replace(boundary, ''), body.replaceAll(boundary, '')];
}

for (const [way, { call, replaysStreams }] of Object.entries(ways)) {
  for (const [kind, makeBody] of Object.entries({ ...replayed, ...oneShot })) {
    const isReplayed = kind in replayed || replaysStreams;
    test(`after a 401, ${kind} ${way} is rejected and ${isReplayed ? 'sent again' : 'not sent again'}`, async () => {
      const rich = richSession();
      const post = { method: 'POST', body: makeBody(), duplex: 'half' };
      const response = await call(createFetch(rich), `${foreignHost.url}/denied`, post);
      assert.equal(response.status, 401);
      const tokens = foreignHost.requests.map(({ headers }) => headers['x-user-token']);
      assert.deepEqual(tokens, isReplayed ? ['token 1', 'token 2'] : ['token 1']);
      assert.deepEqual(rich.rejected, tokens);
      const [first, second = first] = foreignHost.requests.map(withoutBoundary);
      assert.deepEqual(second, first);
      assert.equal(first[1] === '', kind === 'no body');
    });
  }

  test(`after a 401, a large body ${way} is sent again only if it can be`, async () => {
    const rich = richSession();
    const large = 'x'.repeat(3 * 2 ** 20);
    await call(createFetch(rich), `${foreignHost.url}/denied`, { method: 'POST', body: large });
    assert.deepEqual(rich.rejected, replaysStreams ? ['token 1'] : ['token 1', 'token 2']);
    for (const { body } of foreignHost.requests) assert.ok(body === large);
  });
}

test('a body that the caller changes after the call is sent as it was, and again', async () => {
  const changed = {
    'a Buffer': () => { const body = Buffer.from('as it was'); return [body, () => body.fill(0)]; },
    'search parameters': () => { const body = new URLSearchParams('as=it+was'); return [body, () => body.set('as', 'changed')]; },
    'a form': () => { const body = form(); return [body, () => body.append('text', 'changed')]; },
  };
  for (const [kind, makeBody] of Object.entries(changed)) {
    for (const ownFetch of [undefined, undici.fetch]) {
      foreignHost.requests = [];
      const [body, change] = makeBody();
      const sending = createFetch(richSession(), ownFetch)(`${foreignHost.url}/denied`, { method: 'POST', body: ownFetch && kind === 'a form' ? 'text' : body });
      change();
      assert.equal((await sending).status, 401);
      assert.equal(foreignHost.requests.length, 2, kind);
      for (const request of foreignHost.requests) assert.doesNotMatch(request.body, /changed|\0/, kind);
    }
  }
});

test('only URLs with http and https are resources', async () => {
  const strict = { headersFor: (url) => assert.fail(url) };
  for (const url of ['masv:/v1/teams', 'fileverbs:/api', 'file:///etc/hostname']) {
    const error = await fetch(url).catch((failure) => failure);
    await assert.rejects(createFetch(strict)(url), { name: error.name, message: error.message });
  }
  assert.equal(await (await createFetch(strict)('data:text/plain,hello')).text(), 'hello');
});

test('a stream whose request is not sent is cancelled', async () => {
  const reasons = [];
  const stream = () => new ReadableStream({ cancel: (reason) => void reasons.push(reason) });
  const poor = { headersFor: async () => Promise.reject(new RangeError('no token')) };
  await assert.rejects(createFetch(poor)(files, { method: 'POST', body: stream(), duplex: 'half' }), RangeError);
  const signal = AbortSignal.abort(new Error('enough'));
  await assert.rejects(keyferryFetch(files, { method: 'POST', body: stream(), duplex: 'half', signal }), /enough/);
  assert.deepEqual(reasons.map(({ message }) => message), ['no token', 'enough']);
});

const implementations = { 'node-fetch': nodeFetch, undici, 'a wrapper of the global fetch': { fetch: (...args) => fetch(...args), Request, Headers } };
for (const [name, { fetch: ownFetch = nodeFetch.default, Request: OwnRequest, Headers: OwnHeaders }] of Object.entries(implementations)) {
  test(`${name} sends the requests if it is given`, async () => {
    const rich = richSession();
    const send = createFetch(rich, ownFetch);
    const headers = new OwnHeaders({ 'X-Mine': 'kept' });
    const denied = `${foreignHost.url}/denied`;
    const post = { method: 'post', body: '{"a":1}', headers };
    for (const args of [[denied, post], [new URL(denied), { ...post, body: Buffer.from(post.body) }], [new OwnRequest(denied, post)], [new OwnRequest(denied), post]]) {
      foreignHost.requests = [];
      rich.rejected = [];
      assert.equal((await send(...args)).status, 401);
      const sent = foreignHost.requests.map(({ method, body, headers: received }) => [method, body, received['x-mine'], received['x-user-token']]);
      assert.deepEqual(sent, rich.rejected.map((token) => ['POST', '{"a":1}', 'kept', token]));
      assert.equal(sent.length, 2);
    }
    const response = await send(`${foreignHost.url}/back`, { method: 'DELETE' });
    assert.deepEqual([foreignHost.requests.at(-1).method, response.redirected], ['DELETE', true]);
  });
}

test('the response of node-fetch that the caller does not get is read to its end', async () => {
  const bodies = [];
  const spy = async (...args) => {
    const response = await nodeFetch.default(...args);
    bodies.push(response.body);
    return response;
  };
  assert.equal((await createFetch(richSession(), spy)(`${foreignHost.url}/denied`)).status, 401);
  await sandbox.until('the first response is read', () => bodies[0].readableEnded);
  assert.equal(bodies.length, 2);
});

test('a function of the caller gets the options that only it knows', async () => {
  const sent = [];
  const spy = async (url, options) => (sent.push([String(url), options.agent, options.body, options.method]), new Response());
  const agent = {};
  await createFetch(richSession(), spy)(files, { agent, method: 'PUT', body: 'text' });
  assert.deepEqual(sent, [[files, agent, 'text', 'PUT']]);
});

test('a signal ends the body of a response after a garbage collection', { timeout: 60_000 }, async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const controller = new AbortController();
  const response = await keyferryFetch(`${foreignHost.url}/endless`, { signal: controller.signal });
  for (let turns = 0; turns < 20; turns += 1) {
    collect();
    await new Promise(setImmediate);
  }
  const reading = response.text();
  controller.abort();
  await assert.rejects(reading, { name: 'AbortError' });
});
