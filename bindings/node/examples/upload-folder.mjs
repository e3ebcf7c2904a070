/**
 * Uploads a directory to a new MASV package, with progress, and lists the files in FileVerbs.
 *
 *     npm install keyferry
 *     node upload-folder.mjs DIRECTORY [--job ID ...]
 *
 * keyferry's configuration has your credentials: an API key, or e-mail and password. This file
 * contains no token.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { KeyferryError, Session, createFetch } from 'keyferry';

const fetch = createFetch();

// The configuration also has the URLs of the services.
const base = async (resource) => (await Session.default.explain(resource)).base;
const masv = `${await base('masv:user')}/v1`;
const fileverbs = `${await base('fileverbs:bearer')}/api/v1`;

const PART_BYTES = 100 * 1024 * 1024;

async function call(method, url, document) {
  const body = document && JSON.stringify(document);
  const response = await fetch(url, { method, body, headers: body && { 'Content-Type': 'application/json' } });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${new URL(url).pathname} failed with status ${response.status}`);
  return text ? JSON.parse(text) : undefined;
}

/** Returns the files in a directory and its subdirectories, each with its size. */
async function filesBelow(directory) {
  const entries = await readdir(directory, { withFileTypes: true });
  const files = entries.map(async (entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return filesBelow(path);
    return entry.isFile() ? [{ path, size: (await stat(path)).size }] : [];
  });
  return (await Promise.all(files)).flat().sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Uploads a file's parts to the URLs that MASV returned.
 *
 * They are signed URLs of a storage service, so keyferry adds no headers to these requests.
 */
async function send(path, parts) {
  const sent = [];
  const content = await open(path);
  try {
    for (const [index, { method, url, headers }] of parts.entries()) {
      const { bytesRead, buffer } = await content.read({ buffer: Buffer.alloc(PART_BYTES), position: index * PART_BYTES });
      const response = await fetch(url, { method, headers, body: buffer.subarray(0, bytesRead) });
      if (!response.ok) throw new Error(`upload to the storage service failed with status ${response.status}`);
      sent.push({ partNumber: String(index + 1), etag: response.headers.get('etag') ?? '' });
    }
  } finally {
    await content.close();
  }
  return sent;
}

async function upload(directory, files, progress) {
  const [team] = await call('GET', `${masv}/teams`);
  const { id } = await call('POST', `${masv}/teams/${team.id}/packages`, { name: basename(directory), description: '' });
  const packageUrl = `${masv}/packages/${id}`;
  for (const { path, size } of files) {
    const parent = relative(directory, join(path, '..'));
    const created = await call('POST', `${packageUrl}/files`, { kind: 'file', name: basename(path), path: parent, size });
    const file = `${packageUrl}/files/${created.file.id}`;
    const parts = await call('POST', file, { start_part: 1, part_count: Math.ceil(size / PART_BYTES) });
    const extras = await send(path, Array.isArray(parts) ? parts : []);
    await call('POST', `${file}/finalize`, { size, chunk_size: PART_BYTES, chunk_extras: extras });
    progress(path, size);
  }
  await call('POST', `${packageUrl}/finalize`, {});
}

async function show(jobs) {
  for (const { FileName } of await call('GET', `${fileverbs}/fileuploads`)) console.log(`FileVerbs has ${FileName}`);
  for (const job of jobs) {
    const { Status } = await call('GET', `${fileverbs}/jobrequests/${job}`);
    const outputs = await call('GET', `${fileverbs}/jobrequests/${job}/outputs`);
    console.log(`job ${job} is ${Status}: ${outputs.map(({ FileName }) => FileName).join(', ')}`);
  }
}

const { values, positionals } = parseArgs({ options: { job: { type: 'string', multiple: true, default: [] } }, allowPositionals: true });
if (positionals.length !== 1) {
  console.error('usage: node upload-folder.mjs DIRECTORY [--job ID ...]');
  process.exit(2);
}
try {
  const directory = resolve(positionals[0]);
  const files = await filesBelow(directory);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  await upload(directory, files, (path, size) => {
    done += size;
    console.log(`${String(Math.floor((100 * done) / Math.max(total, 1))).padStart(3)} %  ${relative(directory, path)}`);
  });
  await show(values.job);
} catch (error) {
  if (!(error instanceof KeyferryError)) throw error;
  // The message says what failed and what to do. It never contains a secret.
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
