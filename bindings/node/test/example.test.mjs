import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import * as sandbox from './support.mjs';

const example = fileURLToPath(new URL('../node_modules/keyferry/examples/upload-folder.mjs', import.meta.url));
const folder = join(process.env.TEST_FOLDER, 'dailies');

/** What the example says: its end, its output, its complaints. */
const run = (parameters, environment = {}) =>
  new Promise((resolve) => {
    const options = { env: { ...process.env, ...environment } };
    execFile(process.execPath, [example, ...parameters], options, (error, out, err) => resolve({ status: error?.code ?? 0, out, err }));
  });

test('the example uploads a folder and lists jobs, with two logins', async () => {
  await sandbox.reset();
  mkdirSync(join(folder, 'b'), { recursive: true });
  writeFileSync(join(folder, 'a.mov'), 'x'.repeat(3000));
  writeFileSync(join(folder, 'b', 'b.wav'), 'x'.repeat(1000));
  const { status, out, err } = await run([folder, '--job', '5f0c1d2e-0000-4000-8000-000000000001']);
  assert.equal(status, 0, err);
  const lines = [' 75 %  a.mov', '100 %  b/b.wav', 'FileVerbs has contract.docx'];
  assert.deepEqual(out.trimEnd().split('\n').slice(0, 3), lines);
  assert.match(out, /^job 5f0c1d2e\S* is Done: contract\.pdf$/m);
  const counts = ['login', 'fileverbs_login', 'two_credentials', 'missing_credential'];
  assert.deepEqual(await Promise.all(counts.map(sandbox.count)), [1, 1, 0, 0]);
});

test('the example says in one sentence what to mend', async () => {
  await sandbox.reset();
  const { status, err } = await run([folder], { KEYFERRY_MASV_PASSWORD: 'wrong' });
  assert.equal(status, 1);
  assert.match(err, /^KEYFERRY_E_BAD_CREDENTIALS: [^\n]+\n$/);
  assert.ok(!err.includes('wrong'));
});
