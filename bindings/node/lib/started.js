/**
 * Waits for a token without a thread of Node.
 *
 * The library fetches the token on a thread of its own, and a pipe becomes readable when the result is there. Node
 * watches the pipe in the event loop.
 *
 * Rationale: Node joins the threads of its pool when the process exits, and before a worker thread ends. A call on the
 * pool therefore held up `process.exit()` and `worker.terminate()` until the service answered. Calls of several worker
 * threads also filled the pool, and then no file could be read and no name looked up.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';

import { bind, callDescriptor, callSync } from './call.js';
import { Queue } from './queue.js';

const start = bind('keyferry_session_start');
const requestToken = bind('keyferry_request_token');

/** Each running wait has one pipe, and one or two threads of the library. */
const waits = new Queue(64);

/** Watches a descriptor in the event loop, and closes it. */
export function watch(descriptor) {
  try {
    return new Socket({ fd: descriptor, readable: true, writable: false });
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** Waits until a descriptor is readable, and closes it. */
function readable(descriptor) {
  const socket = watch(descriptor);
  return new Promise((resolve) => {
    for (const event of ['data', 'end', 'error']) socket.once(event, resolve);
  }).finally(() => socket.destroy());
}

/**
 * Starts to get the token of a request, and returns a promise of it, converted by `convert` from its address.
 *
 * The caller keeps the request until the promise settles.
 */
export async function startToken(session, request, convert) {
  await readable(callDescriptor(start, [session, request]));
  return callSync(requestToken, [request], convert);
}

/** Does what `startToken` does, as soon as fewer than 64 of these waits are running. */
export function startedToken(session, request, convert) {
  return waits.run(() => startToken(session, request, convert));
}
