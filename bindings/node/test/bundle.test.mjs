import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import * as asar from '@electron/asar';

import * as sandbox from './support.mjs';

const app = fileURLToPath(new URL('../', import.meta.url));
const modules = join(app, 'node_modules');
const nativeName = `native/${process.platform}-${process.arch}`;
const readme = readFileSync(join(modules, 'keyferry/README.md'), 'utf8');
const program = `
  import { Session, createFetch, version } from 'keyferry';
  createFetch(new Session())('${sandbox.masv}/v1/teams').then(({ status }) => console.log(status, version));
`;
const expected = `200 ${process.env.TEST_VERSION ?? JSON.parse(readFileSync(join(modules, 'keyferry/package.json'), 'utf8')).version}\n`;

/** Returns an empty directory with no `node_modules` in it or above it. */
const elsewhere = () => mkdtempSync(join(process.env.TEST_FOLDER, 'bundle-'));

/** Runs a program to its end. */
const run = (file, args, { cwd = app, env = {} } = {}) =>
  new Promise((resolve) => {
    execFile(file, args, { cwd, env: { ...process.env, ...env } }, (error, out, err) => resolve({ out, err, status: error?.code ?? 0 }));
  });

async function outputOf(file) {
  const { out, err, status } = await run(process.execPath, [file]);
  assert.equal(status, 0, err);
  return out;
}

async function errorOf(file, options) {
  const { err, status } = await run(process.execPath, [file], options);
  assert.equal(status, 1, err);
  return err;
}

/** Bundles the program with the command of the README. */
async function bundle(outfile, ...more) {
  const [, given] = /^npx esbuild app\.mjs (.*) --format=esm --outfile=dist\/app\.mjs$/m.exec(readme);
  const entry = join(app, 'bundle-entry.mjs');
  writeFileSync(entry, program);
  const format = outfile.endsWith('.cjs') ? 'cjs' : 'esm';
  const { err, status } = await run(join(modules, '.bin/esbuild'), [entry, ...given.split(' '), `--format=${format}`, `--outfile=${outfile}`, ...more]);
  assert.equal(status, 0, err);
  return outfile;
}

/** Puts koffi into a directory, as an application is deployed. */
function deployKoffi(directory) {
  for (const name of ['koffi', '@koromix']) cpSync(join(modules, name), join(directory, 'node_modules', name), { recursive: true });
}

for (const name of ['app.mjs', 'app.cjs']) {
  test(`a bundle ${name} finds the library in node_modules above it`, async () => {
    assert.equal(await outputOf(await bundle(join(app, 'dist', name))), expected);
  });

  test(`a bundle ${name} finds the library in native beside it`, async () => {
    const directory = elsewhere();
    deployKoffi(directory);
    const file = await bundle(join(directory, name));
    cpSync(join(modules, 'keyferry/native'), join(directory, 'native'), { recursive: true });
    assert.equal(await outputOf(file), expected);
  });

  test(`a bundle ${name} without a library names the paths that it tried`, async () => {
    const directory = elsewhere();
    deployKoffi(directory);
    const error = await errorOf(await bundle(join(directory, name)));
    assert.match(error, /Error: cannot find the keyferry library: none of these absolute paths exists: /);
    for (const place of [`${directory}/${nativeName}`, `${directory}/node_modules/keyferry/${nativeName}`]) {
      assert.ok(error.includes(JSON.stringify(`${place}/libkeyferry.so`)), error);
    }
    assert.match(error, /; install a package of keyferry for this platform, or copy its directory `native` to the bundle\n/);
  });

  test(`a bundle ${name} loads the library that it was built with`, async () => {
    const directory = elsewhere();
    deployKoffi(directory);
    cpSync(join(modules, 'keyferry', nativeName, 'libkeyferry.so'), join(directory, 'mine.so'));
    const define = (path) => `--define:KEYFERRY_LIBRARY=${JSON.stringify(path)}`;
    assert.equal(await outputOf(await bundle(join(directory, name), define(join(directory, 'mine.so')))), expected);
    for (const path of [join(directory, 'missing.so'), 'mine.so']) {
      const error = await errorOf(await bundle(join(directory, name), define(path)), { cwd: directory });
      assert.ok(error.includes(`none of these absolute paths exists: ${JSON.stringify(path)}; set \`KEYFERRY_LIBRARY\``), error);
    }
  });
}

test('a bundle that imports and requires keyferry has one copy of it', async () => {
  writeFileSync(join(app, 'other.cjs'), "module.exports = require('keyferry');");
  writeFileSync(join(app, 'both.mjs'), "import { Session } from 'keyferry'; import other from './other.cjs'; console.log(other.Session === Session);");
  const outfile = join(app, 'dist/both.mjs');
  const options = ['--bundle', '--platform=node', '--external:koffi', '--format=esm', `--outfile=${outfile}`];
  const { err, status } = await run(join(modules, '.bin/esbuild'), [join(app, 'both.mjs'), ...options]);
  assert.equal(status, 0, err);
  assert.equal(await outputOf(outfile), 'true\n');
});

test('neither the environment nor the working directory names a library', async () => {
  const directory = elsewhere();
  deployKoffi(directory);
  const file = await bundle(join(directory, 'app.mjs'));
  const library = join(modules, 'keyferry', nativeName, 'libkeyferry.so');
  const error = await errorOf(file, { cwd: join(modules, 'keyferry'), env: { KEYFERRY_LIBRARY: library, NODE_PATH: modules } });
  assert.match(error, /cannot find the keyferry library/);
});

/** The files to pack. Patterns don't match directories whose name begins with a dot, as that of the tests may. */
const source = mkdtempSync(join(tmpdir(), 'keyferry-asar-'));
after(() => rmSync(source, { recursive: true }));

/**
 * Packs the application with the patterns of the README. Returns a directory in which `app.asar`
 * looks as it does for a program in Electron: as a directory, in which each file exists, but from
 * which the system can load no library.
 */
async function packed(unpack) {
  const target = elsewhere();
  writeFileSync(join(source, 'main.mjs'), program);
  deployKoffi(source);
  cpSync(join(modules, 'keyferry'), join(source, 'node_modules/keyferry'), { recursive: true });
  await asar.createPackageWithOptions(source, join(target, 'packed/app.asar'), { unpack });
  asar.extractAll(join(target, 'packed/app.asar'), join(target, 'app.asar'));
  const library = join(target, 'app.asar/node_modules/keyferry', nativeName, 'libkeyferry.so');
  rmSync(library);
  writeFileSync(library, 'in the archive');
  mkdirSync(join(target, 'packed/app.asar.unpacked'), { recursive: true });
  cpSync(join(target, 'packed/app.asar.unpacked'), join(target, 'app.asar.unpacked'), { recursive: true });
  return join(target, 'app.asar/main.mjs');
}

test('in an ASAR archive, the library is loaded from the unpacked files', async () => {
  const [, pattern] = /asar: \{ unpack: '([^']+)' \}/.exec(readme);
  const main = await packed(pattern);
  assert.equal(await outputOf(main), expected);
  // koffi loads its own module, which must be unpacked as well.
  const unpackedKoffi = main.replace('app.asar/main.mjs', `app.asar.unpacked/node_modules/@koromix/koffi-${process.platform}-${process.arch}`);
  assert.ok(readFileSync(join(unpackedKoffi, 'package.json')).length > 0);
});

test('in an ASAR archive with nothing unpacked, the error says how to unpack', async () => {
  const error = await errorOf(await packed(undefined));
  assert.match(error, /cannot find the keyferry library: none of these absolute paths exists: /);
  assert.match(error, /app\.asar\.unpacked\/node_modules\/keyferry\/native\//);
  assert.match(error, /; unpack `node_modules\/keyferry\/native` from the ASAR archive, with `asarUnpack` of electron-builder/);
});
