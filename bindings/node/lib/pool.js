/**
 * The threads of libuv's pool, which files, name look-ups and all other native code of the process share.
 *
 * Calls of keyferry may wait there for seconds, so they take at most half of it; the others wait here, in their order.
 */
const threads = Number.parseInt(process.env.UV_THREADPOOL_SIZE ?? '', 10) || 4;
const most = Math.max(1, Math.floor(threads / 2));

let running = 0;
const waiting = [];

function next() {
  while (running < most && waiting.length > 0) {
    running += 1;
    waiting.shift()();
  }
}

/** Runs a function that takes Node's kind of callback, when there is a thread for it. */
export function onPool(run) {
  return new Promise((resolve, reject) => {
    const ended = (error, result) => {
      running -= 1;
      next();
      if (error) reject(error);
      else resolve(result);
    };
    waiting.push(() => {
      try {
        run(ended);
      } catch (error) {
        ended(error);
      }
    });
    next();
  });
}
