/** How a function of the C ABI is called: its texts go in, its result comes out, or its error is raised. */
import koffi from 'koffi';

import { invalid, raised } from './error.js';
import { bind, memory } from './library.js';

const textFree = bind('keyferry_text_free');

/** Room for the address or the number that one call writes, and for its error. */
export class Room {
  #memory = memory(16);
  #words = new Uint32Array(this.#memory.array.buffer);
  out = this.#memory.address;
  error = this.out + 8;

  // Two halves are read faster than a BigInt, and an address fits into a number. All platforms of the package have the lower half first.
  get made() {
    return this.#words[0] + this.#words[1] * 2 ** 32;
  }

  get failure() {
    return this.#words[2] + this.#words[3] * 2 ** 32;
  }
}

/** For calls that are over when they return: no two of them are under way in one thread. */
export const room = new Room();

/** A text as C reads it. C would cut it at a NUL, and ask for something else. */
export function text(value) {
  if (typeof value !== 'string') {
    if (value instanceof URL) return value.href;
    throw new TypeError(`a string is needed, not ${value === null ? 'null' : typeof value}`);
  }
  if (value.includes('\0')) throw invalid('a text holds NUL: copy it again');
  return value;
}

/** The same, or NULL. */
export function optional(value) {
  return value === undefined || value === null ? null : text(value);
}

/** Secrets for one call, in memory that is wiped behind it. A `Uint8Array` is wiped with it; strings can't be. */
export class Secrets {
  #wiped = [];

  /** The secret as C reads it, or NULL. */
  take(secret) {
    if (secret === undefined || secret === null) return null;
    const given = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret;
    if (!(given instanceof Uint8Array)) throw new TypeError('a secret is a string, a Buffer or a Uint8Array');
    const copy = memory(given.length + 1).array;
    this.#wiped.push(copy, given);
    copy.set(given);
    if (given.includes(0)) throw invalid('a secret holds NUL: copy it again');
    return copy;
  }

  wipe() {
    for (const bytes of this.#wiped) bytes.fill(0);
    this.#wiped = [];
  }
}


/** What a call leaves in its room, for those that give a text. */
export function said(address) {
  try {
    return koffi.decode.string(address);
  } finally {
    textFree(address);
  }
}

/** The arguments of a call with the places that it writes to: its result, if `give` wants one, and its error. */
function complete(args, give, room) {
  return give ? [...args, room.out, room.error] : [...args, room.error];
}

function ended(status, give, room) {
  if (status !== 0) throw raised(status, room.failure);
  return give?.(room.made);
}

/** Calls and waits. `give` makes the result of the address that the call gives. */
export function now(call, args, give) {
  return ended(call(...complete(args, give, room)), give, room);
}

/**
 * The threads of libuv's pool are shared by files, name look-ups and all other native code of the process. Calls of keyferry may wait there
 * for seconds, so they take at most half of it; the others wait here, in their order.
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
function onPool(run) {
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

/** Calls on a thread of the pool: a promise of the same. The arguments live until it is settled. */
export function later(call, args, give) {
  const room = new Room();
  const run = (done) => call.async(...complete(args, give, room), done);
  return onPool(run).then((status) => ended(status, give, room, args));
}
