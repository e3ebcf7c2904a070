import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

import { Session, setLog } from 'keyferry';

import * as sandbox from './support.mjs';

const logger = new URL('logger.mjs', import.meta.url);

let session;
beforeEach(async () => {
  setLog('off');
  await sandbox.reset();
  session = new Session(sandbox.settings());
});

/** Collects the messages from now on. */
function collect(level) {
  const messages = [];
  setLog(level, (...message) => messages.push(message));
  return messages;
}

const textOf = (messages) => messages.map((message) => message.join(' ')).join('\n');

test('messages come in order with their level, and contain no secret', async () => {
  const messages = collect('debug');
  const token = await session.tokenFor('user');
  await sandbox.until('the last message is there', () => textOf(messages).includes('info acquired '));
  const text = textOf(messages);
  assert.ok(text.indexOf('debug masv') < text.indexOf('info acquired '), text);
  assert.ok(!text.includes(sandbox.password) && !text.includes(token.value), text);
});

test('messages below the level are not passed on', async () => {
  const messages = collect('warn');
  await session.tokenFor('user');
  setLog('off');
  assert.deepEqual(messages, []);
});

test('the function may call keyferry', async () => {
  const seen = [];
  setLog('info', () => seen.push(session.header('user')));
  const { value } = await session.tokenFor('user');
  // The messages of this call come when the user's token is cached.
  await session.tokenFor(process.env.TEST_PACKAGE);
  await sandbox.until('a message came then', () => seen.some((header) => header?.[1] === value));
});

test('a call that blocks the event loop does not wait for the function', () => {
  const messages = collect('debug');
  session.tokenForSync('user');
  assert.deepEqual(messages, []);
  setLog('off');
  assert.match(textOf(messages), /info acquired /);
});

test('another function takes over, and off ends it', async () => {
  const [first, second] = [collect('info'), collect('info')];
  await session.tokenFor('user');
  setLog('off');
  await session.forgetAll();
  await session.tokenFor('user');
  assert.deepEqual([first.length, textOf(second).match(/acquired/g).length], [0, 1]);
});

test('a function that throws loses only its own message', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(logger), 'throw'], { timeout: 60_000 });
  assert.match(stdout, /^caught: debug masv.*\n(?:.*\n)*caught: info acquired /);
});

test('an unknown level and a missing function are refused', async () => {
  await sandbox.fails('KEYFERRY_E_INVALID_VALUE', () => setLog('verbose', () => {}));
  assert.throws(() => setLog('info'), TypeError);
});

test('the log does not keep a program alive, which prints the last messages when it exits', async () => {
  for (const task of ['blocking', 'promise', 'exit']) {
    const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(logger), task], { timeout: 60_000 });
    assert.match(stdout, /^info acquired .*$/m, task);
  }
});

test('a worker thread has the log until it ends, and its end harms nobody', async () => {
  const messages = collect('info');
  const thread = new Worker(logger, { workerData: 'worker' });
  const [text] = await new Promise((resolve) => thread.once('message', (message) => resolve([message])));
  assert.match(text, /acquired/);
  await thread.terminate();
  await session.tokenFor('user');
  assert.deepEqual(messages, []);
  const again = collect('info');
  await session.forgetAll();
  await session.tokenFor('user');
  await sandbox.until('the log is back', () => textOf(again).includes('acquired'));
});
