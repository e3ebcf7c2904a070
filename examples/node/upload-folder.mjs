/**
 * Uploads a directory to a new MASV package.
 *
 *     (cd bindings/node && npm pack)                  # in a checkout of keyferry
 *     npm install ./bindings/node/keyferry-*.tgz
 *     node examples/node/upload-folder.mjs DIRECTORY [--team ID]
 *
 * keyferry's configuration has your credentials: an API key, or e-mail and password. This file
 * contains no token. The program prints the package, such as `packages/01EXAMPLE`. It shows the
 * progress if standard error is a terminal.
 *
 * If your account has several teams, name one with --team. The program does not read `masv.team`,
 * because the library does not return settings.
 *
 * Exit codes: 0 uploaded, 1 failed, 2 usage, 3 log in or configure something, 4 retry later.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { KeyferryError, Session, createFetch } from 'keyferry';

const PART_BYTES = 100 * 1024 * 1024;

// Adds the headers to requests to MASV. After a 401, it rejects the token and tries once with a new one.
const masvFetch = createFetch();

const ACTION_REQUIRED = ['BAD_CREDENTIALS', 'CONFIG', 'LOGIN_REQUIRED', 'NOT_CONFIGURED', 'SECRET_SOURCE', 'UNSAFE_FILE'];
const TEMPORARY = ['BUSY', 'NO_RESPONSE', 'THROTTLED', 'TIMEOUT', 'UNAVAILABLE', 'UNREACHABLE'];

/** A response that the upload can't go on after, and the exit code. */
class Failed extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Calls MASV and returns the JSON of the response. */
async function call(method, path, document) {
  const url = (await Session.default.explain('masv:user')).base + path;
  const headers = method === 'GET' ? {} : { 'Content-Type': 'application/json' };
  const response = await masvFetch(url, { method, headers, body: document && JSON.stringify(document) }).catch(unreachable(url));
  if (response.status === 401) throw new Failed(`MASV rejected the login (${method} ${path}, status 401); run \`keyferry doctor\``, 3);
  check(response, `MASV refused ${method} ${path}`, 'check the team and the rights of your account');
  const text = await response.text().catch(unreachable(url));
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    throw new Failed(`the response to ${method} ${path} is not JSON; check \`masv.url\` and the proxy`);
  }
}

/**
 * Sends bytes to the storage service, as MASV's blueprint says.
 *
 * The URL is signed and takes no header of MASV, so this is the plain `fetch`.
 */
async function send(blueprint, body, what) {
  const [method, url] = [field(blueprint, 'method'), field(blueprint, 'url')];
  const response = await fetch(url, { method, headers: blueprint.headers ?? {}, body }).catch(unreachable(url));
  const text = await response.text().catch(unreachable(url));
  if (response.status === 403) throw new Failed(`cannot ${what}: the upload URL has expired or is invalid (status 403); run this program again`);
  check(response, `cannot ${what}`, `${xmlText(text, 'Code') || 'no reason'}: if the storage is full, delete packages`);
  return { etag: response.headers.get('etag'), text };
}

/** Returns the text of an XML element in a response of the storage service; an empty string if there is none. */
function xmlText(document, name) {
  return new RegExp(`<${name}>([\\w.+/=-]+)</${name}>`).exec(document)?.[1] ?? '';
}

/** Throws unless a response is a success. */
function check({ ok, status }, what, remedy) {
  if (status === 429 || [500, 502, 503, 504].includes(status)) throw new Failed(`${what} (status ${status}); retry later`, 4);
  if (!ok) throw new Failed(`${what} (status ${status}); ${remedy}`);
}

/** Returns the error handler of a request. The message doesn't have the whole URL, which may contain a signature. */
function unreachable(url) {
  return (error) => {
    if (error instanceof KeyferryError) throw error;
    throw new Failed(`cannot reach ${new URL(url).host} (${error.cause?.code ?? error.name}); check the network, and retry later`, 4);
  };
}

/** Returns a field of a response. A response without it is a failure: the file would get lost. */
function field(document, ...names) {
  const value = names.reduce((parent, name) => parent?.[name], document);
  if (value === undefined || value === null) {
    throw new Failed(`the response of MASV has no field \`${names.join('.')}\`; check \`masv.url\`, or update this program`);
  }
  return value;
}

/** Returns the files in a directory and its subdirectories, each with its size. */
async function filesBelow(directory) {
  const entries = await readdir(directory, { withFileTypes: true });
  const files = entries.map(async (entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return filesBelow(path);
    if (!entry.isFile()) return [];
    const { size, mtimeMs } = await stat(path);
    return [{ path, size, modified: new Date(mtimeMs).toISOString() }];
  });
  return (await Promise.all(files)).flat().sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function onlyTeam() {
  const teams = await call('GET', '/v1/teams');
  if (teams?.length > 1) {
    const ids = teams.map(({ id }) => id).join(', ');
    throw new Failed(`your account has ${teams.length} teams, and this program does not read \`masv.team\`; choose one with --team: ${ids}`, 2);
  }
  return field(teams, 0, 'id');
}

async function uploadFile(packagePath, parent, { path, size, modified }, progress) {
  const description = { kind: 'file', name: basename(path), path: parent, last_modified: modified, size, chunk_size: PART_BYTES };
  const created = await call('POST', `${packagePath}/files`, description);
  const file = `${packagePath}/files/${field(created, 'file', 'id')}`;

  const { text } = await send(field(created, 'create_blueprint'), '', `start the upload of ${path}`);
  const uploadId = xmlText(text, 'UploadId');
  if (!uploadId) throw new Failed('the response of the storage service has no UploadId; check the proxy');
  const count = Math.max(1, Math.ceil(size / PART_BYTES)); // an empty file has one empty part
  const parts = await call('POST', `${file}?start=0&count=${count}`, { upload_id: uploadId });

  const chunks = [];
  const content = await open(path);
  try {
    for (let number = 1; number <= count; number += 1) {
      const position = (number - 1) * PART_BYTES;
      const part = Buffer.alloc(Math.min(PART_BYTES, size - position));
      const { bytesRead } = await content.read({ buffer: part, position });
      if (bytesRead < part.length) throw new Failed(`${path} changed during the upload; run this program again`);
      const what = `upload part ${number} of ${path}`;
      const { etag } = await send(field(parts, number - 1), part, what);
      if (!etag) throw new Failed(`cannot ${what}: the response of the storage service has no ETag; check the proxy`);
      chunks.push({ part_number: String(number), etag });
      progress(position + part.length);
    }
  } finally {
    await content.close();
  }
  const extras = { file_extras: { upload_id: uploadId }, chunk_extras: chunks };
  await call('POST', `${file}/finalize`, { size, chunk_size: PART_BYTES, ...extras });
}

/** Uploads a directory and returns the package's ID. */
async function upload(directory, files, team) {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const description = { name: basename(directory), description: '', recipients: [] };
  const id = field(await call('POST', `/v1/teams/${team}/packages`, description), 'id');
  let done = 0;
  for (const file of files) {
    const name = relative(directory, file.path);
    await uploadFile(`/v1/packages/${id}`, relative(directory, join(file.path, '..')), file, (sent) => {
      const percent = String(Math.floor((100 * (done + sent)) / Math.max(total, 1))).padStart(3);
      if (process.stderr.isTTY) process.stderr.write(`\r${percent} %  ${name.slice(0, 40)}\x1b[K`);
    });
    done += file.size;
  }
  await call('POST', `/v1/packages/${id}/finalize`);
  if (process.stderr.isTTY) process.stderr.write('\n');
  return id;
}

async function main() {
  const options = { team: { type: 'string' } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (positionals.length !== 1) throw new Failed('usage: node upload-folder.mjs DIRECTORY [--team ID]', 2);
  const directory = resolve(positionals[0]);
  const files = await filesBelow(directory);
  if (files.length === 0) throw new Failed(`no files in ${directory}; pass a directory with files`, 2);
  console.log(`packages/${await upload(directory, files, values.team ?? (await onlyTeam()))}`);
}

try {
  await main();
} catch (error) {
  // The messages say what failed and what to do. They never contain a secret.
  console.error(`upload-folder: ${error.message}`);
  const kind = error instanceof KeyferryError ? error.code.replace('KEYFERRY_E_', '') : '';
  process.exitCode = error.exitCode ?? (ACTION_REQUIRED.includes(kind) ? 3 : TEMPORARY.includes(kind) ? 4 : 1);
}
