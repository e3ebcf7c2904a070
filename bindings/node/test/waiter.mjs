/**
 * Waits for tokens while the login hangs, as a program or as a worker thread of the tests, and says what it did.
 *
 * The task says how it ends: `exit`, `throw`, or by what the test does.
 */
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';

import { Session } from 'keyferry';

import { count, masv, settings, until } from './support.mjs';

const task = isMainThread ? process.argv[2] : workerData;
const say = (text) => (isMainThread ? process.stdout.write(`${text}\n`) : parentPort.postMessage(text));

/** Begins 64 waits for one URL, one for each of 64 URLs, and a login, with a session of its own and the default one. */
export function beginWaits() {
  const urls = Array.from({ length: 64 }, (_, index) => `${masv}/v1/users/${index}`);
  const own = new Session(settings());
  const calls = [own, Session.default].flatMap((session) => [
    ...urls.map(() => session.tokenFor('user')),
    ...urls.map((url) => session.headersFor(url)),
    session.masvLogin(),
  ]);
  calls.forEach((call) => call.catch(() => {}));
  return { own, calls };
}

/** What needs the thread pool: a file and a name. */
export const usePool = () => Promise.all([readFile(new URL(import.meta.url)), lookup('localhost')]);

if (task === 'renew') {
  // The bearer in the store has expired, so this sends the secret that renews it.
  Session.default.fileverbsBearer().catch(() => {});
  await until('the renewal is under way', async () => (await count('refresh')) > 0);
  say('waiting');
  process.exit(0);
}

if (task !== undefined) {
  beginWaits();
  await until('the login is under way', async () => (await count('login')) > 0);
  await usePool();
  say('waiting');
  if (task === 'exit') process.exit(0);
  if (task === 'throw') throw new Error('not caught');
}
