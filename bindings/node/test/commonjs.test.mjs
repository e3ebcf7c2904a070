import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { promisify } from 'node:util';

import * as imported from 'keyferry';

import * as sandbox from './support.mjs';

const required = createRequire(import.meta.url)('keyferry');

/** Runs a program in a file of this name, and returns its output. */
async function outputOf(name, program) {
  const file = new URL(`../${name}`, import.meta.url);
  writeFileSync(file, program);
  return (await promisify(execFile)(process.execPath, [file.pathname])).stdout;
}

test('require gives what import gives', () => {
  const names = Object.keys(required).sort();
  assert.deepEqual(names, ['KeyferryError', 'Session', 'Token', 'createFetch', 'setLog', 'version']);
  for (const name of names) assert.equal(required[name], imported[name], name);
});

test('both share sessions, tokens and classes', async () => {
  await sandbox.reset();
  assert.equal(required.Session.default, imported.Session.default);
  const token = await required.Session.default.tokenFor('user');
  assert.ok(token instanceof imported.Token);
  assert.equal(imported.Session.default.cached('user').value, token.value);
  await assert.rejects(new required.Session(sandbox.settings()).tokenFor('https://example.com/'), imported.KeyferryError);
  assert.equal(await sandbox.count('login'), 1);
});

test('a CommonJS program requires it', async () => {
  const program = `
    const { Session, createFetch } = require('keyferry');
    createFetch()('${sandbox.masv}/v1/teams').then(async ({ status }) => {
      const imported = await import('keyferry');
      console.log(status, imported.Session === Session, imported.Session.default.header('user')[0]);
    });`;
  assert.equal(await outputOf('program.cjs', program), '200 true X-User-Token\n');
});

test('an error names the line of the source', async () => {
  const program = `
    import { Session } from 'keyferry';
    try { new Session({ settings: { store: 'nowhere' } }); } catch (error) { console.log(error.stack); }`;
  assert.match(await outputOf('program.mjs', program), /keyferry\/cjs\/config\.js:\d+:\d+/);
});
