/**
 * Puts files into the package before `npm pack`: the library and the programs, which cargo builds, the licences, and the
 * CommonJS form of the modules.
 *
 * `postpack.mjs` removes them.
 *
 * To use files that are already built, set `KEYFERRY_LIBRARY` to the path of the library, and `KEYFERRY_PROGRAMS` to the
 * directory of the programs.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { commonJs, fullProgram, library, licences, packageFolder, programs } from './carried.mjs';
import { writeCommonJs } from './commonjs.mjs';

const repository = new URL('../../', packageFolder);
const RELEASE = ['--release', '--locked', '--message-format=json-render-diagnostics', '--package'];
/** What cargo builds. The options are those of the Makefile. */
const BUILDS = {
  'libkeyferry.so': () => ['build', ...RELEASE, 'keyferry', '--lib'],
  keyferry: () => ['build', ...RELEASE, 'keyferry-cli', '--bin', 'keyferry'],
  'git-credential-keyferry': () => ['rustc', ...RELEASE, 'keyferry-cli', '--bin', 'git-credential-keyferry', '--', ...staticFlags()],
};

/** Returns the flags that link a program statically, which starts faster, if the C library can be linked so. */
function staticFlags() {
  const { stdout } = spawnSync('cc', ['-print-file-name=libc.a'], { encoding: 'utf8' });
  return isAbsolute(stdout ?? '') ? ['-C', 'target-feature=+crt-static'] : [];
}

/** Builds a file and returns its path, which cargo prints. */
function built(name) {
  const cargo = spawnSync('cargo', BUILDS[name](), { cwd: repository, encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] });
  if (cargo.error) {
    const message = `cannot run cargo: ${cargo.error.message}; install Rust, or set KEYFERRY_LIBRARY and KEYFERRY_PROGRAMS to built files`;
    throw new Error(message, { cause: cargo.error });
  }
  if (cargo.status !== 0) throw new Error(`cannot build ${name}: cargo failed with status ${cargo.status}; see its output above`);
  const messages = cargo.stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const file = messages.flatMap(({ filenames }) => filenames ?? []).findLast((path) => path.endsWith(`/${name}`));
  if (!file) throw new Error(`cannot find ${name} in the output of cargo`);
  return file;
}

/** Copies a compiled file into the package, without its symbols for debuggers. */
function carry(source, name) {
  const target = new URL(name, packageFolder);
  mkdirSync(new URL('./', target), { recursive: true });
  copyFileSync(source, target);
  chmodSync(target, 0o755);
  const strip = spawnSync('strip', ['--strip-unneeded', fileURLToPath(target)], { stdio: 'inherit' });
  if (strip.error) process.stderr.write('strip is not installed; the package will be larger\n');
}

const { KEYFERRY_LIBRARY, KEYFERRY_PROGRAMS } = process.env;
carry(KEYFERRY_LIBRARY || built('libkeyferry.so'), library);
const program = (name) => (KEYFERRY_PROGRAMS ? join(KEYFERRY_PROGRAMS, name) : built(name));
const small = program('git-credential-keyferry');
for (const name of programs) carry(small, `bin/${name}`);
const installed = KEYFERRY_PROGRAMS ? join(KEYFERRY_PROGRAMS, '..', fullProgram) : '';
carry(existsSync(installed) ? installed : program('keyferry'), fullProgram);
for (const name of licences) copyFileSync(new URL(name, repository), new URL(name, packageFolder));
writeCommonJs(packageFolder, new URL(commonJs, packageFolder));
