import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { Session } from 'keyferry';

import * as sandbox from './support.mjs';
import { beginWaits, usePool } from './waiter.mjs';

const waiter = new URL('waiter.mjs', import.meta.url);
const hungLogin = () => sandbox.fault({ path: '/v1/auth', kind: 'hang', times: 'forever' });
const slowLogin = (milliseconds) => sandbox.fault({ path: '/v1/auth', kind: 'nothing', latency_ms: milliseconds });

beforeEach(() => sandbox.reset());

/** A program that waits for a hung login. Returns its exit code, and how long its end took in milliseconds. */
async function program(task, environment = {}) {
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, [fileURLToPath(waiter), task], { stdio: ['ignore', 'pipe', 'ignore'], env });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  const start = performance.now();
  if (task === 'SIGINT') child.kill(task);
  const [code, signal] = await ended;
  return [code ?? signal, performance.now() - start];
}

async function using(session, run) {
  try {
    await run(session);
  } finally {
    await session.close();
  }
}

/** A worker thread that waits for a hung login. `ended` is the exception that ends it, if any. */
async function worker(task) {
  const thread = new Worker(waiter, { workerData: task });
  let error;
  thread.once('error', (exception) => (error = exception));
  const ended = new Promise((resolve) => thread.once('exit', () => resolve(error)));
  await new Promise((resolve) => thread.once('message', resolve));
  return { thread, ended, start: performance.now() };
}

const isQuick = (took) => assert.ok(took < 1500, `it took ${took} ms`);

test('a program exits while a login hangs', async () => {
  await hungLogin();
  const [code, took] = await program('exit');
  assert.equal(code, 0);
  isQuick(took);
});

test('an exception that is not caught ends a program while a login hangs', async () => {
  await hungLogin();
  const [code, took] = await program('throw');
  assert.equal(code, 1);
  isQuick(took);
});

test('a renewal that was sent is stored after its program has begun to exit', async () => {
  const store = `file:${join(process.env.TEST_FOLDER, 'renewal')}`;
  const counts = async () => [await sandbox.count('fileverbs_login'), await sandbox.count('refresh')];
  await sandbox.life({ bearer: 1 });
  await using(new Session(sandbox.settings({ store })), async (session) => {
    const { expiresAt } = await session.fileverbsBearer();
    await sandbox.until('the bearer has expired', () => Date.now() > expiresAt.getTime() + 2000);
  });
  await sandbox.life({ bearer: 900 });
  await sandbox.fault({ path: '/api/v1/accounts/refresh-token', kind: 'nothing', latency_ms: 400 });
  const [code] = await program('renew', { KEYFERRY_STORE: store });
  assert.equal(code, 0);
  await using(new Session(sandbox.settings({ store })), (session) => session.fileverbsBearer());
  assert.deepEqual(await counts(), [1, 1]);
});

test('SIGINT ends a program while a login hangs', async () => {
  await hungLogin();
  const [signal, took] = await program('SIGINT');
  assert.equal(signal, 'SIGINT');
  isQuick(took);
});

test('a worker thread exits while a login hangs', async () => {
  await hungLogin();
  const { ended, start } = await worker('exit');
  assert.equal(await ended, undefined);
  isQuick(performance.now() - start);
});

test('an exception that is not caught ends a worker thread while a login hangs', async () => {
  await hungLogin();
  const { ended, start } = await worker('throw');
  assert.equal((await ended).message, 'not caught');
  isQuick(performance.now() - start);
});

test('a worker thread is terminated while a login hangs, and other threads get the token', async () => {
  await slowLogin(2000);
  const other = Session.default.tokenFor('user');
  const { thread } = await worker('wait');
  const start = performance.now();
  await thread.terminate();
  isQuick(performance.now() - start);
  assert.equal((await other).kind, 'user');
});

test('files and names are found while the main thread and worker threads wait', async () => {
  await hungLogin();
  const { own, calls } = beginWaits();
  // Each of them reads a file and looks up a name before it says that it waits.
  const threads = await Promise.all([worker('wait'), worker('wait'), worker('wait')]);
  await usePool();
  const ended = Promise.allSettled(calls.slice(0, calls.length / 2));
  await Promise.all(threads.map(({ thread }) => thread.terminate()));
  await own.close();
  assert.ok((await ended).every(({ reason }) => reason?.code === 'KEYFERRY_E_CANCELLED'));
});

test('an abort ends the wait at once, and the login goes on', async () => {
  await slowLogin(1500);
  const session = new Session(sandbox.settings());
  const controller = new AbortController();
  const call = session.tokenFor('user', { signal: controller.signal });
  await sandbox.until('the login is under way', async () => (await sandbox.count('login')) === 1);
  controller.abort();
  const start = performance.now();
  await sandbox.fails('KEYFERRY_E_CANCELLED', () => call);
  assert.ok(performance.now() - start < 1000);
  await sandbox.until('the login has ended', () => session.header('user') !== undefined);
  assert.equal(await sandbox.count('login'), 1);
  await session.close();
});
