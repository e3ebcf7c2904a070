/** A session of the C ABI, with the requests that are kept for it. */
import { bind } from './call.js';
import { openSession } from './config.js';
import { freeRequest, openRequest } from './request.js';
import { wipeLine } from './token.js';

const freeSession = bind('keyferry_session_free');

/** Maximum number of resources whose request is kept for the next call. */
export const MAX_READY = 64;

/**
 * A session of the C ABI with its requests.
 *
 * It has no reference to the `Session` that uses it, so it can outlive that `Session`.
 */
export class NativeSession {
  address;
  /** The request and the last token of each resource. The request is created once. */
  ready = new Map();

  /** Opens a session; without options, uses the default session of the process. */
  constructor(options) {
    this.address = options === undefined ? 0 : openSession(options);
  }

  /** Returns the kept request for a resource without further options, with its last token. */
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

  /** Frees the kept requests and wipes the cached header line. */
  clear() {
    wipeLine();
    for (const resource of this.ready.keys()) this.#drop(resource);
  }

  /**
   * Frees everything.
   *
   * The session is freed on a thread of the pool, because its own threads may take a second to end.
   */
  close(done = () => {}) {
    const address = this.address;
    this.address = 0;
    this.clear();
    freeSession.async(address, done);
  }
}
