import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { beforeEach, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { Session } from 'keyferry';

import * as sandbox from './support.mjs';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
const MEBIBYTE = 2 ** 20;
const nextTurn = () => new Promise(setImmediate);

beforeEach(sandbox.reset);

/** Memory of the process when all that can go has gone. */
async function residentBytes() {
  for (let round = 0; round < 4; round += 1) {
    collect();
    await nextTurn();
  }
  return process.memoryUsage.rss();
}

/** The least growth of a few rounds: V8 makes room for what is young in one of them and keeps it, a leak is in each. */
async function smallestGrowth(times, work) {
  let least = Infinity;
  await work(times / 4);
  for (let round = 0; round < 4 && least >= MEBIBYTE; round += 1) {
    const before = await residentBytes();
    await work(times);
    least = Math.min(least, (await residentBytes()) - before);
  }
  return least;
}

function adoptTokens(session, count) {
  return Array.from({ length: count }, (_, index) => {
    const resource = `packages/01J0SANDB0XPACKAGE${String(index).padStart(8, '0')}`;
    session.adoptSync(resource, 'a'.repeat(600), { expiresAt: new Date('2040-01-01') });
    return resource;
  });
}

test('a million tokens taken and dropped leave nothing behind', async (context) => {
  const session = new Session({ file: false });
  const resources = adoptTokens(session, 200);
  const grownBytes = await smallestGrowth(1_000_000, (times) => {
    // Without a turn of the event loop, in which the collector of garbage could tell of dropped ones.
    for (let at = 0; at < times; at += 1) session.tokenForSync(resources[at % 16 ? 0 : at % resources.length]);
  });
  context.diagnostic(`a million tokens: ${grownBytes} bytes`);
  assert.ok(grownBytes < MEBIBYTE, `${grownBytes} bytes`);
});

test('headers, requests, errors and logins leave nothing behind', async (context) => {
  const session = new Session(sandbox.settings());
  const [resource] = adoptTokens(session, 1);
  await session.tokenFor('user');
  const grownBytes = await smallestGrowth(8_000, async (times) => {
    for (let at = 0; at < times; at += 1) {
      session.header(resource);
      session.cached(resource, { minValid: 1000 });
      session.tokenForSync(resource, { timeout: 1000, access: 'any' });
      assert.throws(() => session.tokenForSync('packages/../x'));
      if (at % 10 === 0) await session.tokenFor(resource, { minValid: 1000 });
      if (at % 100 === 0) await session.explain(resource);
    }
  });
  context.diagnostic(`errors and requests: ${grownBytes} bytes`);
  assert.ok(grownBytes < MEBIBYTE, `${grownBytes} bytes`);
});

const threads = () => readdirSync('/proc/self/task').length;

test('a dropped session closes everything', async () => {
  await (await fetch(`${sandbox.control}/sandbox/counts`)).text();
  await new Session(sandbox.settings()).close();
  const before = threads();
  await (async () => {
    const sessions = Array.from({ length: 6 }, () => new Session(sandbox.settings()));
    await Promise.all(sessions.map((session) => session.tokenFor('user')));
    assert.ok(threads() > before, 'an open one has a thread');
  })();
  await sandbox.until('their threads have ended', async () => {
    collect();
    return threads() <= before;
  });
});
