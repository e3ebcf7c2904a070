/** The session of the C ABI with what belongs to it. It knows nothing of the `Session` that holds it, so it can outlive that one. */
import { bind } from './library.js';
import * as line from './line.js';
import * as requests from './request.js';

const freeSession = bind('keyferry_session_free');

/** So many resources are kept ready to be asked for again. */
const MOST = 64;

export class Native {
  address;
  /** By resource: the request, made once, and the token that came last. */
  ready = new Map();

  constructor(address) {
    this.address = address;
  }

  /** The request for nothing but a resource, and what it gave last. */
  asked(resource) {
    let asked = this.ready.get(resource);
    if (asked === undefined) {
      if (this.ready.size >= MOST) this.#drop(this.ready.keys().next().value);
      asked = { request: requests.request(resource), token: undefined };
      this.ready.set(resource, asked);
    }
    return asked;
  }

  #drop(resource) {
    requests.free(this.ready.get(resource).request);
    this.ready.delete(resource);
  }

  /** Lets go of all that stands ready. */
  clear() {
    line.wipe();
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
