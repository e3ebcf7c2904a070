/**
 * Downloads the files of a MASV link into a directory. Each file is streamed to disk.
 *
 *     (cd bindings/node && npm pack)                  # in a checkout of keyferry
 *     npm install ./bindings/node/keyferry-*.tgz
 *     node examples/node/download.mjs DIRECTORY < link.txt
 *
 * The link, such as `https://get.massive.io/ID?secret=SECRET`, is a secret, so the program reads it
 * from standard input: every user of the machine can read the arguments of a program. If the link
 * has a password, pass it in the environment variable LINK_PASSWORD. The program prints the path
 * of each file. It shows the progress if standard error is a terminal.
 *
 * Exit codes: 0 downloaded, 1 failed, 2 usage, 3 log in or configure something, 4 retry later.
 */
import { createWriteStream } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { KeyferryError, Session } from 'keyferry';

const session = Session.default;

const ACTION_REQUIRED = ['BAD_CREDENTIALS', 'CONFIG', 'LOGIN_REQUIRED', 'NOT_CONFIGURED', 'SECRET_SOURCE', 'UNSAFE_FILE'];
const TEMPORARY = ['BUSY', 'NO_RESPONSE', 'THROTTLED', 'TIMEOUT', 'UNAVAILABLE', 'UNREACHABLE'];

/** A response that the download can't go on after, and the exit code. */
class Failed extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Calls MASV with the token of a link and returns the JSON of the response. */
async function get({ link, linkPassword }, path) {
  const url = (await session.explain('masv:user')).base + path;
  for (let attempt = 1; ; attempt += 1) {
    const token = await session.tokenFor(link, { linkPassword }); // from the cache, until it expires
    const response = await fetch(url, { headers: token.headers, redirect: 'manual' }).catch(unreachable(url));
    if (response.status === 401) {
      await session.reject(token); // the next call returns another token, or says why there is none
      if (attempt === 1) continue;
      throw new Failed(`MASV rejected the link (GET ${path}, status 401); check that the link has not expired`, 3);
    }
    check(response, `MASV refused GET ${path}`, 'check that the link has not expired');
    const text = await response.text().catch(unreachable(url));
    try {
      return JSON.parse(text);
    } catch {
      throw new Failed(`the response to GET ${path} is not JSON; check \`masv.url\` and the proxy`);
    }
  }
}

/** Throws unless a response is a success. */
function check({ ok, status }, what, remedy) {
  if (status === 429 || status >= 500) throw new Failed(`${what} (status ${status}); retry later`, 4);
  if (!ok) throw new Failed(`${what} (status ${status}); ${remedy}`);
}

/** Returns the error handler of a request. The message doesn't have the whole URL, which may contain a signature. */
function unreachable(url) {
  return (error) => {
    if (error instanceof KeyferryError) throw error;
    throw new Failed(`cannot reach ${new URL(url).host} (${error.cause?.code ?? error.name}); check the network, and retry later`, 4);
  };
}

/** Returns a field of a response. A response without it is a failure. */
function field(document, name) {
  const value = document?.[name];
  if (value === undefined || value === null) {
    throw new Failed(`the response of MASV has no field \`${name}\`; check \`masv.url\`, or update this program`);
  }
  return value;
}

/**
 * Streams a file to disk and returns its size. The file gets its name when it is complete.
 *
 * The URL is signed and leads to a storage service, so the request takes no header of MASV.
 */
async function save(url, path) {
  await mkdir(dirname(path), { recursive: true });
  const response = await fetch(url).catch(unreachable(url));
  check(response, `cannot download ${path}`, 'the download URL has expired; run this program again');
  const expected = Number(response.headers.get('content-length'));
  let done = 0;
  const count = new Transform({
    transform(chunk, _encoding, next) {
      done += chunk.length;
      const percent = String(Math.floor((100 * done) / Math.max(expected, 1))).padStart(3);
      if (process.stderr.isTTY) process.stderr.write(`\r${percent} %  ${path.slice(-40)}\x1b[K`);
      next(null, chunk);
    },
  });
  const body = Readable.fromWeb(response.body).on('error', (error) => {
    error.isDownload = true;
  });
  await pipeline(body, count, createWriteStream(`${path}.part`)).catch((error) => {
    if (error.isDownload) unreachable(url)(error);
    throw error;
  });
  if (process.stderr.isTTY) process.stderr.write('\n');
  await rename(`${path}.part`, path);
  return done;
}

/** Returns where to save a file. The sender chose its name, so it may lead out of the directory. */
function localPath(directory, file) {
  const name = join(file.path ?? '', field(file, 'name'));
  if (isAbsolute(name) || name.split('/').includes('..') || /\p{Cc}/u.test(name)) {
    throw new Failed(`cannot save ${JSON.stringify(name)}: it is not a name inside the directory; ask the sender to rename the file`);
  }
  return join(directory, name);
}

async function firstLine(stream) {
  for await (const line of createInterface({ input: stream })) return line.trim();
  return '';
}

async function main() {
  if (process.argv.length !== 3) throw new Failed('usage: node download.mjs DIRECTORY < link.txt', 2);
  const directory = process.argv[2];
  if (process.stdin.isTTY) console.error('Paste the link, then press Enter:');
  const link = await firstLine(process.stdin);
  const request = { link, linkPassword: process.env.LINK_PASSWORD };
  const { details } = await session.tokenFor(link, { linkPassword: request.linkPassword });
  const packagePath = `/v1/packages/${field(details, 'package_id')}`;
  const files = await get(request, `${packagePath}/files`);
  if (!Array.isArray(files)) throw new Failed('the response of MASV is not a list of files; check `masv.url`, or update this program');
  for (const file of files) {
    const path = localPath(directory, file);
    const size = await save(field(await get(request, `${packagePath}/files/${field(file, 'id')}/download`), 'url'), path);
    if (size !== field(file, 'size')) throw new Failed(`${path} has ${size} bytes instead of ${file.size}; run this program again`);
    console.log(path);
  }
}

try {
  await main();
} catch (error) {
  // The messages say what failed and what to do. They never contain a secret.
  console.error(`download: ${error.message}${error.syscall ? '; check the directory and its free space' : ''}`);
  const kind = error instanceof KeyferryError ? error.code.replace('KEYFERRY_E_', '') : '';
  process.exitCode = error.exitCode ?? (ACTION_REQUIRED.includes(kind) ? 3 : TEMPORARY.includes(kind) ? 4 : 1);
}
