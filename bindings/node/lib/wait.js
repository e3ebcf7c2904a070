/** Waits for a token that several callers share. */
import { abortError, bind } from './call.js';
import { freeRequest } from './request.js';

const cancel = bind('keyferry_request_cancel');

/** The promise, or the failure of a caller whose signal is aborted first. */
function orAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** One wait for a token, shared by all callers that ask for the same. It takes one thread of the pool, however many they are. */
export class SharedWait {
  #request;
  #token;
  #onClosed;
  #waiters = 0;
  #isDone = false;

  /** `start` waits with the request, which this owns from now on. `onClosed` is called when nobody can join any more. */
  constructor(request, start, onClosed) {
    this.#request = request;
    this.#onClosed = onClosed;
    this.#token = start(request).finally(() => this.#end());
    // Each caller that still waits gets a failure; without one it is dropped.
    this.#token.catch(() => {});
  }

  /** The token. The last one to go without it ends the wait. */
  async join(signal) {
    this.#waiters += 1;
    try {
      return await (signal ? orAborted(this.#token, signal) : this.#token);
    } finally {
      this.#waiters -= 1;
      if (this.#waiters === 0) this.cancel();
    }
  }

  cancel() {
    this.#onClosed(this);
    if (!this.#isDone) cancel(this.#request);
  }

  #end() {
    this.#isDone = true;
    this.#onClosed(this);
    freeRequest(this.#request);
  }
}
