/** Waits for a token that several callers share. */
import { abortError, bind } from './call.js';
import { freeRequest } from './request.js';

const cancel = bind('keyferry_request_cancel');

/** Returns the result of the promise, or fails if the signal is aborted first. */
function orAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * A wait for a token that several callers share.
 *
 * It uses one pipe and no thread of the pool, however many callers there are.
 */
export class SharedWait {
  #request;
  #token;
  #onClosed;
  #waiters = 0;
  #isDone = false;

  /**
   * Starts the wait by calling `start` with the request, which this object owns from now on.
   *
   * `onClosed` is called when no further caller can join.
   */
  constructor(request, start, onClosed) {
    this.#request = request;
    this.#onClosed = onClosed;
    this.#token = start(request).finally(() => this.#end());
    // Each waiting caller gets the failure. If there are none, it is ignored.
    this.#token.catch(() => {});
  }

  /** Returns the token. If the last caller leaves without it, the wait is cancelled. */
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
