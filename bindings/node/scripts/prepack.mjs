/**
 * Puts what the package carries into place before `npm pack`: the library, built by cargo, and the licences. `postpack.mjs` takes it away.
 *
 * `KEYFERRY_LIBRARY` names a library that was built already.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { carried, licences, packageFolder } from './carried.mjs';

const repository = new URL('../../', packageFolder);

/** Where cargo says that it put the library. */
function built() {
  const order = ['build', '--release', '--package', 'keyferry', '--lib', '--locked', '--message-format=json-render-diagnostics'];
  const cargo = spawnSync('cargo', order, { cwd: repository, encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] });
  if (cargo.error) throw new Error('cargo is needed to build the library, or KEYFERRY_LIBRARY', { cause: cargo.error });
  if (cargo.status !== 0) throw new Error(`cargo failed with status ${cargo.status}`);
  const messages = cargo.stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const files = messages.filter(({ reason, target }) => reason === 'compiler-artifact' && target.name === 'keyferry');
  const library = files.flatMap(({ filenames }) => filenames).find((name) => name.endsWith('libkeyferry.so'));
  if (!library) throw new Error('cargo built no libkeyferry.so');
  return library;
}

const library = process.env.KEYFERRY_LIBRARY || built();
mkdirSync(new URL('./', carried), { recursive: true });
copyFileSync(library, carried);
chmodSync(carried, 0o755);
const strip = spawnSync('strip', ['--strip-unneeded', fileURLToPath(carried)], { stdio: 'inherit' });
if (strip.error) process.stderr.write('strip is not installed: the package gets larger\n');
for (const name of licences) copyFileSync(new URL(name, repository), new URL(name, packageFolder));
