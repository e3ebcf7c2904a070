/** Measures how long each library takes to return a cached token of 600 bytes. */
import koffi from 'koffi';
import { Session } from 'keyferry';
import { ConfidentialClientApplication } from '@azure/msal-node';
import { OAuth2Client } from 'google-auth-library';
import { memoize } from '@smithy/property-provider';

const secret = 'a'.repeat(600);
const hour = 3_600_000;
const pack = 'packages/01J0SANDB0XPACKAGE00000001';
const url = `https://api.massive.app/v1/${pack}/files`;

const session = new Session({ file: false });
session.adoptSync(pack, secret, { expiresAt: new Date(Date.now() + 24 * hour) });

const bare = koffi.load('./bare.so');
const five = bare.func('five', 'str', ['void *', 'str', 'void *', 'size_t', 'void *']);
const four = bare.func('four', 'str', ['void *', 'str', 'void *', 'void *']);
// Addresses passed as numbers are the fastest arguments that koffi has.
const fiveNumbers = bare.func('five', 'str', ['uintptr_t', 'str', 'uintptr_t', 'size_t', 'uintptr_t']);
const [buffer, words] = [Buffer.from(new ArrayBuffer(17_000)), new BigUint64Array(new ArrayBuffer(16))];
const [bufferAt, wordsAt] = [buffer, words].map((memory) => Number(koffi.address(memory)));
const second = words.subarray(1);
const handle = 0x7f00_0000_0000n;

const google = new OAuth2Client();
google.setCredentials({ access_token: secret, expiry_date: Date.now() + 24 * hour });

const base = 'https://login.microsoftonline.com/tenant';
const answer = { token_type: 'Bearer', expires_in: 86_400, ext_expires_in: 86_400, access_token: secret };
const network = async () => ({ headers: {}, status: 200, body: answer });
const azure = new ConfidentialClientApplication({
  auth: {
    clientId: 'client',
    clientSecret: 'secret',
    authority: base,
    knownAuthorities: ['login.microsoftonline.com'],
    authorityMetadata: JSON.stringify({ authorization_endpoint: `${base}/authorize`, token_endpoint: `${base}/token`, issuer: `${base}/v2.0` }),
  },
  system: { networkClient: { sendGetRequestAsync: network, sendPostRequestAsync: network } },
});
const scopes = ['https://graph.example/.default'];
await azure.acquireTokenByClientCredential({ scopes });
const token = { token: secret, expiration: Date.now() + 24 * hour };
const memo = memoize(async () => token, (held) => held.expiration < Date.now(), () => true);

const rows = [
  ['bare koffi call of five, string read', 'sync', () => five(handle, url, buffer, 17_000, words)],
  ['bare koffi call of five, addresses as numbers', 'sync', () => fiveNumbers(1, url, bufferAt, 17_000, wordsAt)],
  ['bare koffi call of four, string read', 'sync', () => four(handle, url, words, second)],
  ['session.header(url)', 'sync', () => session.header(url)],
  ['session.headersForSync(url)', 'sync', () => session.headersForSync(url)],
  ['session.tokenForSync(url)', 'sync', () => session.tokenForSync(url)],
  ['await session.headersFor(url)', 'async', () => session.headersFor(url)],
  ['await session.tokenFor(url)', 'async', () => session.tokenFor(url)],
  ['await memoized() of @smithy/property-provider', 'async', () => memo()],
  ['await getRequestHeaders() of google-auth-library', 'async', () => google.getRequestHeaders()],
  ['await acquireToken…() of @azure/msal-node', 'async', () => azure.acquireTokenByClientCredential({ scopes })],
].map(([name, kind, run]) => ({ name, kind, run, best: Infinity }));

async function round(row, times) {
  const start = process.hrtime.bigint();
  if (row.kind === 'sync') for (let at = 0; at < times; at += 1) row.run();
  else for (let at = 0; at < times; at += 1) await row.run();
  return Number(process.hrtime.bigint() - start) / times;
}

for (const row of rows) row.times = Math.ceil(1e7 / (await round(row, 2_000)));
for (let turn = 0; turn < 25; turn += 1) for (const row of rows) row.best = Math.min(row.best, await round(row, row.times));
const against = (name, base) => {
  const [one, other] = [name, base].map((start) => rows.find((row) => row.name.startsWith(start)).best);
  console.log(`${name} takes ${(one / other).toFixed(2)} times as long as '${base}'`);
};
for (const { name, best } of rows) console.log(`${best.toFixed(0).padStart(7)} ns  ${name}`);
against('session.header(url)', 'bare koffi call of five, string read');
against('session.header(url)', 'bare koffi call of five, addresses');
against('session.tokenForSync(url)', 'bare koffi call of four');
against('await getRequestHeaders()', 'session.header(url)');
against('await getRequestHeaders()', 'await session.headersFor(url)');
against('await getRequestHeaders()', 'await session.tokenFor(url)');
