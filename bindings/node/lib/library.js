/**
 * Finds and loads the shared library.
 *
 * In the package it is beside this directory. A bundler puts this code into another file, which may
 * be anywhere, and Electron puts it into an archive. Neither the working directory nor an
 * environment variable can name a library. The program can, with the global `KEYFERRY_LIBRARY`.
 */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import koffi from 'koffi';

const NAME = join('native', `${process.platform}-${process.arch}`, 'libkeyferry.so');

/** Returns the directory of this file or of the bundle. In a CommonJS bundle, `import.meta` is empty. */
const ownDirectory = () => dirname(import.meta.url === undefined ? __filename : fileURLToPath(import.meta.url));

/** Returns a directory and all directories above it. */
function withParents(directory) {
  const parent = dirname(directory);
  return parent === directory ? [directory] : [directory, ...withParents(parent)];
}

/**
 * Returns the path of a file that Electron has unpacked from an archive. The system can't load a
 * library from inside the archive, although Electron says that the file exists.
 */
const unpacked = (path) => path.replaceAll(`.asar${sep}`, `.asar.unpacked${sep}`);

/** Returns the paths where the library can be, the most likely first. */
function candidates() {
  if (typeof KEYFERRY_LIBRARY === 'string') return [KEYFERRY_LIBRARY];
  const directory = ownDirectory();
  const inModules = withParents(directory).map((parent) => join(parent, 'node_modules', 'keyferry', NAME));
  return [join(directory, '..', NAME), join(directory, NAME), ...inModules].map(unpacked);
}

/** Returns what to do if none of the paths exists. */
function remedyFor(paths) {
  if (typeof KEYFERRY_LIBRARY === 'string') return 'set `KEYFERRY_LIBRARY` to the absolute path of libkeyferry.so';
  if (paths.some((path) => path.includes('.asar.unpacked'))) {
    return 'unpack `node_modules/keyferry/native` from the ASAR archive, with `asarUnpack` of electron-builder or `asar.unpack` of Electron Forge';
  }
  return 'install a package of keyferry for this platform, or copy its directory `native` to the bundle';
}

function find() {
  const paths = candidates();
  const found = paths.find((path) => isAbsolute(path) && existsSync(path));
  if (found !== undefined) return found;
  const tried = paths.map((path) => JSON.stringify(path)).join(', ');
  throw new Error(`cannot find the keyferry library: none of these absolute paths exists: ${tried}; ${remedyFor(paths)}`);
}

/** The path of the library. */
export const path = find();

function load() {
  try {
    return koffi.load(path);
  } catch (cause) {
    const messageText = `cannot load the keyferry library ${path}: ${cause.message}; install a package of keyferry for this platform`;
    throw new Error(messageText, { cause });
  }
}

export const library = load();
