/**
 * The shared library, loaded and declared: what every other module binds its functions from. Holds no policy.
 *
 * It is the one that the package carries and no other: neither the working directory nor a variable leads to another place. Only built-in
 * types of koffi are used, so nothing is registered twice when worker threads evaluate this module again.
 */
import { fileURLToPath } from 'node:url';

import koffi from 'koffi';

import { FUNCTIONS, KEYFERRY_ABI_VERSION } from './abi.js';

const path = fileURLToPath(new URL(`../native/${process.platform}-${process.arch}/libkeyferry.so`, import.meta.url));

function load() {
  try {
    return koffi.load(path);
  } catch (cause) {
    throw new Error(`the keyferry library can't be loaded from ${path}: install a package of keyferry that was made for this platform`, {
      cause,
    });
  }
}

const library = load();

/** A function of the C ABI by its name there. Addresses are numbers; its `async` runs it on a thread of the pool. */
export function bind(name) {
  const [result, parameters] = FUNCTIONS[name];
  return library.func(name, result, parameters);
}

/** The text at an address. */
export const stringAt = koffi.decode.string;

/** Memory that the library may write to, at a place where it stays. Whoever holds the array keeps it. */
export function memory(bytes) {
  const array = new Uint8Array(new ArrayBuffer(bytes));
  return { array, address: Number(koffi.address(array)) };
}

if (bind('keyferry_abi_version')() !== KEYFERRY_ABI_VERSION) {
  throw new Error(`${path} has another ABI than this package: install the package anew`);
}

/** The version of the library. */
export const version = bind('keyferry_version')();
