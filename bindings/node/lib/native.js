/** The session of the C ABI, with the requests that are kept for it. */
import { bind } from './call.js';
import { openSession } from './config.js';
import { freeRequest, openRequest } from './request.js';
import { wipeLine } from './token.js';

const freeSession = bind('keyferry_session_free');

/** At most so many resources have a request kept for the next call. */
export const MAX_READY = 64;

/** The session of the C ABI with what belongs to it. It knows nothing of the `Session` that holds it, so it can outlive that one. */
export class NativeSession {
  address;
  /** By resource: the request, made once, and the token that came last. */
  ready = new Map();

  /** Without options the default session of the process. */
  constructor(options) {
    this.address = options === undefined ? 0 : openSession(options);
  }

  /** The request for nothing but a resource, and what it gave last. */
  entryFor(resource) {
    let entry = this.ready.get(resource);
    if (entry === undefined) {
      if (this.ready.size >= MAX_READY) this.#drop(this.ready.keys().next().value);
      entry = { request: openRequest(resource), token: undefined };
      this.ready.set(resource, entry);
    }
    return entry;
  }

  #drop(resource) {
    freeRequest(this.ready.get(resource).request);
    this.ready.delete(resource);
  }

  /** Frees the requests that are kept. */
  clear() {
    wipeLine();
    for (const resource of this.ready.keys()) this.#drop(resource);
  }

  /** Frees all of it; the session on a thread of the pool, for its own threads may take a second to end. */
  close(done = () => {}) {
    const address = this.address;
    this.address = 0;
    this.clear();
    freeSession.async(address, done);
  }
}
