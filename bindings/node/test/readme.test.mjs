import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';

import * as sandbox from './support.mjs';

const readme = readFileSync(new URL('../node_modules/keyferry/README.md', import.meta.url), 'utf8');
const programs = [...readme.matchAll(/^```js\n(.*?)^```/gms)].map(([, program]) => program);

/** Runs a program of the README with the sandbox in the place of MASV; gives its output. */
async function outputOf(program, name) {
  const file = new URL(`../readme-${name}.mjs`, import.meta.url);
  writeFileSync(file, program.replaceAll('https://api.massive.app', sandbox.masv).replace('using session', 'const session'));
  return (await promisify(execFile)(process.execPath, [file.pathname])).stdout;
}

test('the first program gets what it asks for', async () => {
  await sandbox.reset();
  assert.equal(await outputOf(programs[0], 'first'), '200 Sandbox Pictures\n');
});

test('the other programs say what the text around them says', async () => {
  assert.equal(programs.length, 5);
  assert.match(await outputOf(programs[1], 'second'), /^masv user 20\d\d-/);
  assert.equal(await outputOf(programs[2], 'third'), 'undefined\n');
  assert.match(await outputOf(programs[3], 'fourth'), /^KEYFERRY_E_UNKNOWN_SERVICE the URL belongs to no configured service/);
  assert.equal(await outputOf(programs[4], 'fifth'), '');
});
