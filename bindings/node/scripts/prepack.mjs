/**
 * Copies files into the package before `npm pack`: the library, which cargo builds, and the
 * licences.
 *
 * `postpack.mjs` removes them.
 *
 * To use a library that is already built, set `KEYFERRY_LIBRARY` to its path.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { carried, licences, packageFolder } from './carried.mjs';

const repository = new URL('../../', packageFolder);

/** Builds the library and returns its path, which cargo prints. */
function built() {
  const order = ['build', '--release', '--package', 'keyferry', '--lib', '--locked', '--message-format=json-render-diagnostics'];
  const cargo = spawnSync('cargo', order, { cwd: repository, encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] });
  if (cargo.error) {
    const message = `cannot run cargo: ${cargo.error.message}; install Rust, or set KEYFERRY_LIBRARY to a built library`;
    throw new Error(message, { cause: cargo.error });
  }
  if (cargo.status !== 0) throw new Error(`cannot build the library: cargo failed with status ${cargo.status}; see its output above`);
  const messages = cargo.stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const files = messages.filter(({ reason, target }) => reason === 'compiler-artifact' && target.name === 'keyferry');
  const library = files.flatMap(({ filenames }) => filenames).find((name) => name.endsWith('libkeyferry.so'));
  if (!library) throw new Error('cannot find libkeyferry.so in the output of cargo');
  return library;
}

const library = process.env.KEYFERRY_LIBRARY || built();
mkdirSync(new URL('./', carried), { recursive: true });
copyFileSync(library, carried);
chmodSync(carried, 0o755);
const strip = spawnSync('strip', ['--strip-unneeded', fileURLToPath(carried)], { stdio: 'inherit' });
if (strip.error) process.stderr.write('strip is not installed; the package will be larger\n');
for (const name of licences) copyFileSync(new URL(name, repository), new URL(name, packageFolder));
