import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { beforeEach, test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { Session } from 'keyferry';

import * as sandbox from './support.mjs';

const { count, fails, pack } = sandbox;
const slowLogin = (milliseconds, times = 1) => sandbox.fault({ path: '/v1/auth', kind: 'nothing', latency_ms: milliseconds, times });

let session;
beforeEach(async () => {
  await sandbox.reset();
  session = new Session(sandbox.settings());
});

/** The longest time that the event loop was away while something went on. */
async function longestBlockMs(during) {
  let longest = 0;
  let last = performance.now();
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  try {
    await during();
  } finally {
    clearInterval(timer);
  }
  return longest;
}

test('64 promises on an empty cache make one login', async () => {
  await slowLogin(100);
  const tokens = await Promise.all(Array.from({ length: 64 }, () => session.tokenFor(pack)));
  assert.equal(new Set(tokens.map((token) => token.generation)).size, 1);
  assert.deepEqual([await count('login'), await count('lookup')], [1, 1]);
});

test('1,000 promises for 200 things make one login, and leave the pool to others', async () => {
  await slowLogin(300);
  const resources = Array.from({ length: 200 }, (_, index) => `${sandbox.masv}/v1/users/${index}`);
  const calls = Array.from({ length: 5 }, () => resources.map((resource) => session.tokenFor(resource))).flat();
  const start = performance.now();
  await readFile(new URL(import.meta.url));
  const read = performance.now() - start;
  assert.equal(await count('login'), 1);
  await Promise.all(calls);
  assert.equal(await count('login'), 1);
  assert.ok(read < 250, `a file took ${read} ms beside a login of 300 ms`);
});

test('8 worker threads on an empty cache make one login', async () => {
  await slowLogin(200);
  const workers = Array.from({ length: 8 }, () => new Worker(new URL('worker.mjs', import.meta.url)));
  const messages = await Promise.all(
    workers.map((worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))),
  );
  assert.deepEqual(new Set(messages.map(([generation]) => generation)).size, 1);
  assert.deepEqual(messages.map(([, status]) => status), Array(8).fill(200));
  assert.deepEqual([await count('login'), await count('lookup')], [1, 1]);
  await Promise.all(workers.map((worker) => worker.terminate()));
});

test('the event loop stays free while the network takes two seconds', async (context) => {
  await slowLogin(2000);
  const start = performance.now();
  const longest = await longestBlockMs(() => session.tokenFor('user'));
  const took = performance.now() - start;
  context.diagnostic(`of ${took.toFixed(0)} ms the event loop was away for ${longest.toFixed(1)} at the most`);
  assert.ok(took >= 2000 && longest < 200, `${took}, ${longest}`);
});

test('a signal ends the wait of its caller alone', async () => {
  await slowLogin(500);
  const controller = new AbortController();
  const others = [session.tokenFor('user'), session.tokenFor('user', { signal: new AbortController().signal })];
  const abortedCall = session.tokenFor('user', { signal: controller.signal });
  const reason = new Error('enough');
  controller.abort(reason);
  const error = await fails('KEYFERRY_E_CANCELLED', () => abortedCall);
  assert.deepEqual([error.name, error.cause], ['AbortError', reason]);
  const [one, other] = await Promise.all(others);
  assert.equal(one, other);
  assert.equal(await count('login'), 1);
});

test('a signal that was aborted before ends a call whether the token is there or not', async () => {
  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  for (const _state of ['cold', 'warm']) {
    for (const ask of ['tokenFor', 'headersFor']) {
      const error = await fails('KEYFERRY_E_CANCELLED', () => session[ask]('user', { signal }));
      assert.deepEqual([error.name, error.cause], ['AbortError', reason]);
    }
    await session.tokenFor('user');
  }
  assert.equal(await count('login'), 1);
});

test('the last one to leave ends the wait, and the next one begins anew', async () => {
  await sandbox.fault({ path: '/v1/auth', kind: 'hang', times: 'forever' });
  const signal = AbortSignal.timeout(50);
  const start = performance.now();
  // Each of these waits alone, and together they are more than have a thread.
  const calls = [20_000, 21_000, 22_000, 23_000].map((timeout) => session.tokenFor('user', { signal, timeout }));
  const [error] = await Promise.all(calls.map((one) => fails('KEYFERRY_E_CANCELLED', () => one)));
  assert.equal(error.cause.name, 'TimeoutError');
  await fails('KEYFERRY_E_CANCELLED', () => session.tokenFor('user', { signal }));
  await fails('KEYFERRY_E_TIMEOUT', () => session.tokenFor('user', { timeout: 50 }));
  assert.ok(performance.now() - start < 10_000, 'the threads are free again');
});

test('closing ends all waits, those that have not begun too', async () => {
  await sandbox.fault({ path: '/v1/auth', kind: 'hang', times: 'forever' });
  const calls = Array.from({ length: 20 }, (_, index) => session.tokenFor(`${sandbox.masv}/v1/users/${index}`));
  const ended = Promise.all(calls.map((one) => fails('KEYFERRY_E_CANCELLED', () => one)));
  await session.close();
  await ended;
});

test('a failure reaches all who wait, and is not kept', async () => {
  await sandbox.fault({ path: '/v1.1/', kind: 'status', status: 404, times: 'forever' });
  const gone = 'packages/01J0SANDB0XPACKAGE00009999';
  await Promise.all(Array.from({ length: 8 }, () => fails('KEYFERRY_E_NOT_FOUND', () => session.tokenFor(gone))));
  await sandbox.reset();
  assert.equal((await session.tokenFor(pack)).kind, 'package');
});
