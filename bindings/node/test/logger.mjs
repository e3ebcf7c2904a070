/** Logs in with the log turned on, as a program or as a worker thread of the tests. */
import { isMainThread, parentPort, workerData } from 'node:worker_threads';

import { Session, setLog } from 'keyferry';

import { pack, settings } from './support.mjs';

const task = isMainThread ? process.argv[2] : workerData;
const session = new Session(settings());

if (task === 'throw') {
  process.on('uncaughtException', ({ message }) => process.stdout.write(`caught: ${message}\n`));
  setLog('debug', (level, message) => {
    throw new Error(`${level} ${message}`);
  });
  await session.tokenFor('user');
  await session.tokenFor(pack);
  process.exit();
}

setLog('info', (level, message) => (isMainThread ? process.stdout.write(`${level} ${message}\n`) : parentPort.postMessage(message)));
if (task === 'promise' || task === 'worker') await session.tokenFor('user');
else session.tokenForSync('user');
if (task === 'exit') process.exit();
if (task === 'worker') setInterval(() => {}, 1000);
