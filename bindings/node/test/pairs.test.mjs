import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';

import { Session, createFetch } from 'keyferry';

import { IS_NODE_18, makePair, numbers } from './pairs.mjs';
import * as sandbox from './support.mjs';

const PAIRS = Number(process.env.TEST_PAIRS ?? 1_000);
const SEED = Number(process.env.TEST_SEED ?? 20_260_101);
/** Compares only the pair with this seed. */
const ONLY = process.env.TEST_PAIR;

/** Returns the length of the first HTTP request in these bytes, or undefined if it isn't complete. */
function requestLength(bytes) {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const bodyStart = headEnd + 4;
  if (/^transfer-encoding: chunked$/im.test(head)) {
    for (let at = bodyStart; ; ) {
      const lineEnd = bytes.indexOf('\r\n', at);
      if (lineEnd < 0) return undefined;
      const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
      at = lineEnd + 2 + size + 2;
      if (at > bytes.length) return undefined;
      if (size === 0) return at;
    }
  }
  const end = bodyStart + Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  return end <= bytes.length ? end : undefined;
}

/** The bytes of the requests of each pair, by the seed of the pair, which is in the path. */
const recorded = new Map();

/** Records a request. Returns the response that its path asks for. */
function respond(bytes) {
  const text = bytes.toString('latin1');
  const [, ending, seed, status, location] = /^\S+ (\/end)?\/(\d+)(?:\/(\d+)\/([^\s?#]*))?/.exec(text) ?? [];
  const wire = text.replaceAll(/----formdata-undici-0\d{11}/g, 'BOUNDARY');
  // After a redirect, keyferry names the new boundary of a form, in another place among the headers.
  // The platform names the old one. Node 18 loses the case and the order of headers when it copies a
  // `Request`.
  const sorted = (anyCase) => anyCase.split('\r\n').sort().join('\r\n');
  const isReordered = ending && wire.includes('BOUNDARY');
  recorded.get(seed)?.push(IS_NODE_18 ? sorted(wire.toLowerCase()) : isReordered ? sorted(wire) : wire);
  const extra = !ending && Number(status) >= 300 && Number(status) < 400 ? `location: ${decodeURIComponent(location)}\r\n` : '';
  const body = text.startsWith('HEAD ') ? '' : 'hello';
  return `HTTP/1.1 ${status ?? 200} x\r\n${extra}x-answer: 1\r\ncontent-length: 5\r\n\r\n${body}`;
}

/** A server that records the bytes of each request. It belongs to no configured service. */
async function recorder() {
  const server = createServer((socket) => {
    let bytes = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (let length; (length = requestLength(bytes)) !== undefined; ) {
        socket.write(respond(bytes.subarray(0, length)));
        bytes = bytes.subarray(length);
      }
    });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  server.unref();
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

let host;
let otherHost;
const dispatcher = {
  dispatch(options, handler) {
    recorded.get(/\d{2,}/.exec(options.path)[0]).push(`dispatched ${options.path}`);
    return globalThis[Symbol.for('undici.globalDispatcher.1')].dispatch(options, handler);
  },
};
before(async () => {
  [host, otherHost] = [await recorder(), await recorder()];
  // The platform creates its dispatcher on the first use.
  await (await fetch(host.url)).text();
});
after(() => {
  for (const { server } of [host, otherHost]) server.close();
});

/** Returns what a caller sees of an error. Only keyferry says why a redirect can't be followed. */
function describeError(error) {
  const [text, reason] = String(error?.message ?? error).split(/(?<=^fetch failed): /);
  const cause = error?.cause?.message ?? error?.cause;
  return { name: error?.constructor?.name ?? typeof error, text, cause: reason || !cause || /redirect|origin|scheme|Invalid URL/.test(cause) ? undefined : String(cause) };
}

/** Returns all that one call of a `fetch` did. */
async function outcomeOf(fetch, seed) {
  const sent = [];
  recorded.set(String(seed), sent);
  const { input, init, log } = makePair(seed, { host: host.url, otherHost: otherHost.url, dispatcher });
  const outcome = { log };
  try {
    const response = await fetch(input, init);
    const { status, type, redirected, ok, statusText } = response;
    // keyferry leaves out the credentials in the URL of a redirect.
    const url = response.url.replace(/user(:password)?@/, '');
    outcome.response = { status, url, type, redirected, ok, statusText, headers: [...response.headers], text: await response.text() };
    outcome.sent = sent;
  } catch (error) {
    outcome.error = describeError(error);
  }
  outcome.used = [input, init].map(bodyUsed);
  return outcome;
}

function bodyUsed(value) {
  try {
    return value instanceof Request ? value.bodyUsed : undefined;
  } catch (error) {
    return error.message;
  }
}

/** Compares two functions with random pairs of arguments. `adjust` removes what may differ. */
async function compare(context, pairs, { fetch, adjust = (outcome) => outcome }) {
  context.diagnostic(`seed ${SEED}; to repeat, set TEST_SEED, TEST_PAIRS or TEST_PAIR`);
  const next = numbers(SEED);
  const outcomes = { sent: 0, failed: 0 };
  const started = Date.now();
  let left = ONLY ? 1 : pairs;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      // The path has the seed, with at least two digits.
      const seed = Number(ONLY ?? Math.floor(next() * 2 ** 32) + 10);
      const expected = await outcomeOf(globalThis.fetch, seed);
      const actual = await outcomeOf(fetch, seed);
      assert.deepEqual(adjust(actual), adjust(expected), `a pair differs: its seed is ${seed}`);
      recorded.delete(String(seed));
      outcomes[expected.response ? 'sent' : 'failed'] += 1;
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  context.diagnostic(`${outcomes.sent} pairs were sent, ${outcomes.failed} failed, in ${Date.now() - started} ms`);
  assert.ok(ONLY || (outcomes.sent > pairs / 2 && outcomes.failed > 0), JSON.stringify(outcomes));
}

test(`createFetch does what fetch does with ${PAIRS} random pairs of arguments`, async (context) => {
  await compare(context, PAIRS, { fetch: createFetch(new Session(sandbox.settings())) });
});

test('on a host of ours, createFetch sends the same bytes and one more header', async (context) => {
  let added = 0;
  const session = { headersFor: async () => ({ 'X-API-KEY': 'ours' }), rejectValue: async () => {} };
  const withoutHeader = (wire) => {
    const lines = wire.split('\r\n');
    if (lines.some((line) => /^x-api-key: ours$/i.test(line))) added += 1;
    return lines.filter((line) => !/^x-api-key: /i.test(line));
  };
  // keyferry begins to copy the body of a `Request` that is passed as options, also if `fetch` then fails.
  const adjust = (outcome) => ({ ...outcome, sent: outcome.sent?.map(withoutHeader), used: outcome.error ? undefined : outcome.used });
  await compare(context, Math.ceil(PAIRS / 4), { fetch: createFetch(session), adjust });
  assert.ok(ONLY || added > 0);
});
