/** One wait for a token that all who ask for the same thing share: it takes one thread of the pool, however many they are. */
import { aborted } from './error.js';
import * as requests from './request.js';

/** The promise, or the failure of a caller whose signal is aborted first. */
function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(aborted(signal));
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

export class Flight {
  #request;
  #token;
  #left;
  #waiters = 0;
  #over = false;

  /** `start` waits with the request, which is the flight's from now on. `left` hears when nobody can join any more. */
  constructor(request, start, left) {
    this.#request = request;
    this.#left = left;
    this.#token = start(request).finally(() => this.#end());
    // Whoever waits hears of a failure; if nobody does any more, it is nobody's.
    this.#token.catch(() => {});
  }

  /** The token. The last one to go without it ends the wait. */
  async join(signal) {
    this.#waiters += 1;
    try {
      return await (signal ? unlessAborted(this.#token, signal) : this.#token);
    } finally {
      this.#waiters -= 1;
      if (this.#waiters === 0) this.cancel();
    }
  }

  cancel() {
    this.#left(this);
    if (!this.#over) requests.cancel(this.#request);
  }

  #end() {
    this.#over = true;
    this.#left(this);
    requests.free(this.#request);
  }
}
