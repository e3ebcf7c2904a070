/**
 * The header line that a peek writes, as a header.
 *
 * To make strings of a line costs more than to get it, and it is mostly the same line as the time before: then it is the same header.
 * Lines are compared eight bytes at a time; what stands behind their end is compared too, which can only make two equal ones differ.
 */
import { memory } from './library.js';

/** As long as a line can be, and a multiple of eight. */
export const LINE_BYTES = 17_000;

const now = memory(LINE_BYTES);
const before = memory(LINE_BYTES);
const nowWords = new Float64Array(now.array.buffer);
const beforeWords = new Float64Array(before.array.buffer);
const characters = Buffer.from(now.array.buffer);

/** Where a peek writes to. */
export const address = now.address;

let length = 0;
let name = '';
let value = '';
let headers = {};

function isAsBefore(bytes) {
  if (bytes !== length) return false;
  for (let at = 0, end = Math.ceil(bytes / 8); at < end; at += 1) if (nowWords[at] !== beforeWords[at]) return false;
  return true;
}

/** Reads the line that was written. A line of HTTP is Latin-1. */
function read(bytes) {
  if (isAsBefore(bytes)) return;
  const line = characters.latin1Slice(0, bytes);
  const colon = line.indexOf(': ');
  [name, value] = [line.slice(0, colon), line.slice(colon + 2)];
  headers = Object.freeze({ [name]: value });
  before.array.set(now.array.subarray(0, Math.min(bytes + 8, LINE_BYTES)));
  length = bytes;
}

/** Name and value of the line that was written. */
export function header(bytes) {
  read(bytes);
  return [name, value];
}

/** The same by name. */
export function named(bytes) {
  read(bytes);
  return headers;
}

/** Forgets the line. */
export function wipe() {
  now.array.fill(0);
  before.array.fill(0);
  length = 0;
  name = value = '';
  headers = {};
}
