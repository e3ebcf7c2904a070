/** What a worker thread of the tests does: it asks, and fetches. */
import { parentPort } from 'node:worker_threads';

import { Session, createFetch } from 'keyferry';

import { masv, pack } from './support.mjs';

const token = await Session.default.tokenFor(pack);
const { status } = await createFetch()(`${masv}/v1/${pack}/files`);
parentPort.postMessage([token.generation, status]);
