/**
 * Shows a FileVerbs job and its outputs.
 *
 *     (cd bindings/node && npm pack)                  # in a checkout of keyferry
 *     npm install ./bindings/node/keyferry-*.tgz
 *     node examples/node/fileverbs-job.mjs JOB
 *
 * Prints the name of each output. Shows the status of the job on standard error.
 *
 * Exit codes: 0 the job is done, 1 failed, 2 usage, 3 log in or configure something, 4 retry later.
 */
import { KeyferryError, Session, createFetch } from 'keyferry';

// Adds the headers to requests to FileVerbs. After a 401, it rejects the token and tries once with a new one.
const fileverbsFetch = createFetch();

const ACTION_REQUIRED = ['BAD_CREDENTIALS', 'CONFIG', 'LOGIN_REQUIRED', 'NOT_CONFIGURED', 'SECRET_SOURCE', 'UNSAFE_FILE'];
const TEMPORARY = ['BUSY', 'NO_RESPONSE', 'THROTTLED', 'TIMEOUT', 'UNAVAILABLE', 'UNREACHABLE'];

/** A failure that doesn't come from keyferry, and the exit code. */
class Failed extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

async function get(path) {
  const { base } = await Session.default.explain('fileverbs:bearer');
  const response = await fileverbsFetch(base + path).catch((error) => {
    if (error instanceof KeyferryError) throw error;
    throw new Failed(`cannot reach FileVerbs (${error.cause?.code ?? error.name}); check the network, and retry later`, 4);
  });
  if (response.status === 429 || response.status >= 500) throw new Failed(`FileVerbs is unavailable (status ${response.status}); retry later`, 4);
  if (!response.ok) throw new Failed(`FileVerbs has no such job for this account (status ${response.status}); check the ID`);
  return response.json().catch(() => {
    throw new Failed('the response of FileVerbs is not JSON; check `fileverbs.url` and the proxy');
  });
}

/** Returns a field of a response. A response without it is a failure. */
function field(document, name) {
  const value = document?.[name];
  if (typeof value !== 'string') throw new Failed(`the response of FileVerbs has no field \`${name}\`; check \`fileverbs.url\`, or update this program`);
  return value;
}

async function main() {
  const [job] = process.argv.slice(2);
  if (!job) throw new Failed('usage: node fileverbs-job.mjs JOB', 2);
  const status = field(await get(`/api/v1/jobrequests/${job}`), 'Status');
  if (status !== 'Done') throw new Failed(`job ${job} is ${status}; retry later`, 4);
  console.error(`job ${job} is ${status}`);
  for (const output of await get(`/api/v1/jobrequests/${job}/outputs`)) console.log(field(output, 'FileName'));
}

try {
  await main();
} catch (error) {
  // The messages say what failed and what to do. They never contain a secret.
  console.error(`fileverbs-job: ${error.message}`);
  const kind = error instanceof KeyferryError ? error.code.replace('KEYFERRY_E_', '') : '';
  process.exitCode = error.exitCode ?? (ACTION_REQUIRED.includes(kind) ? 3 : TEMPORARY.includes(kind) ? 4 : 1);
}
