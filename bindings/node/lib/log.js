/**
 * Passes the library's log messages to a function of the program.
 *
 * The library writes each message to a pipe, and Node watches the pipe in the event loop.
 *
 * Rationale: koffi runs a callback of another thread in the event loop, and the other thread waits for it. A call such as
 * `tokenForSync`, which blocks the event loop and waits for that thread, would never end.
 */
import { readSync } from 'node:fs';

import * as abi from './abi.js';
import { bind, callDescriptor, callSync, invalidValue, wordsByNumber } from './call.js';
import { watch } from './started.js';

const openPipe = bind('keyferry_log_open_pipe');
const setCallback = bind('keyferry_log_set_callback');

const levelNames = wordsByNumber('KEYFERRY_LOG_');
/** The size of a pipe. Source: pipe(7). */
const PIPE_BYTES = 2 ** 16;
const NOTHING = Buffer.alloc(0);
const LINE_END = '\n'.charCodeAt(0);

/** The pipe of the library's log, and the function that gets its messages. */
class LogPipe {
  #descriptor;
  #socket;
  #callback;
  /** What was read after the last whole line. */
  #rest = NOTHING;

  constructor(level, callback) {
    this.#callback = callback;
    this.#descriptor = callDescriptor(openPipe, [level]);
    this.#socket = watch(this.#descriptor);
    this.#socket.on('data', (bytes) => this.#pass(bytes)).on('error', () => {});
    // The log doesn't keep the process alive.
    this.#socket.unref();
  }

  /** Passes each whole line on. If the function throws, the following lines are passed on with the next bytes. */
  #pass(bytes) {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (let end; (end = this.#rest.indexOf(LINE_END)) >= 0; ) {
      const line = this.#rest.toString('utf8', 0, end);
      this.#rest = this.#rest.subarray(end + 1);
      this.#callback(levelNames.get(Number(line[0])), line.slice(2));
    }
  }

  /** Passes on what is in the pipe by now. */
  drain() {
    this.#pass(this.#socket.destroyed ? NOTHING : this.#read());
  }

  /** Reads all that is in the pipe. */
  #read() {
    const bytes = Buffer.alloc(PIPE_BYTES);
    try {
      return bytes.subarray(0, readSync(this.#descriptor, bytes));
    } catch (error) {
      if (error.code === 'EAGAIN') return NOTHING;
      throw error;
    }
  }

  close() {
    try {
      this.drain();
    } finally {
      this.#socket.destroy();
    }
  }
}

let current;

// Messages of the last turn of the event loop. Without other work, Node doesn't look at the pipe again.
function drainAtExit() {
  current?.drain();
}

function levelNumber(level) {
  for (const [number, name] of levelNames) if (name === level) return number;
  throw invalidValue(`unknown level; use one of ${[...levelNames.values()].join(', ')}`);
}

export function setLog(level, callback) {
  const number = levelNumber(level);
  const previous = current;
  if (number === abi.KEYFERRY_LOG_OFF) {
    callSync(setCallback, [number, 0, 0, 0]);
    current = undefined;
    process.off('exit', drainAtExit);
  } else {
    if (typeof callback !== 'function') throw new TypeError('expected a function that takes the log messages');
    current = new LogPipe(number, callback);
    if (previous === undefined) process.on('exit', drainAtExit);
  }
  previous?.close();
}
