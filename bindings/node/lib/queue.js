/** Limits how many tasks run at the same time. Further tasks wait in order. */
export class Queue {
  #most;
  #running = 0;
  #waiting = [];

  /** `most` is the number of tasks that run at the same time. */
  constructor(most) {
    this.#most = most;
  }

  /** Runs an asynchronous function as soon as the limit allows it, and returns its result. */
  async run(task) {
    if (this.#running < this.#most) this.#running += 1;
    else await new Promise((start) => this.#waiting.push(start));
    try {
      return await task();
    } finally {
      // The next task takes over the place of this one.
      const start = this.#waiting.shift();
      if (start) start();
      else this.#running -= 1;
    }
  }
}
