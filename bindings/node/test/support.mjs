/** What the tests share: the sandbox's control routes, and its made-up data. */
import assert from 'node:assert/strict';

export const {
  TEST_CONTROL_URL: control,
  TEST_PACKAGE: pack,
  TEST_OTHER_PACKAGE: otherPack,
  TEST_LINK: link,
  TEST_PROTECTED_LINK: protectedLink,
  TEST_LINK_PASSWORD: linkPassword,
  TEST_API_KEY: apiKey,
  KEYFERRY_MASV_URL: masv,
  KEYFERRY_MASV_EMAIL: email,
  KEYFERRY_MASV_PASSWORD: password,
  KEYFERRY_FILEVERBS_URL: fileverbs,
} = process.env;

async function ask(route, body, method = body === undefined ? 'GET' : 'POST') {
  const response = await fetch(`${control}/sandbox/${route}`, { method, body: body && JSON.stringify(body) });
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}

/** How often the sandbox saw this. */
export const count = async (name) => (await ask('counts'))[name] ?? 0;
export const requests = () => ask('requests');
export const fault = (what) => ask('fault', what);
export const advance = (seconds) => ask('clock', { advance_s: seconds });
export const refuse = (token) => ask('reject', { token });
export const life = (kinds) => ask('life', kinds);

/** Everything of the sandbox anew. */
export async function reset() {
  await ask('faults', undefined, 'DELETE');
  await ask('reset', { all: true });
}

/** A session of its own, as the environment says, with tokens in memory. */
export const settings = (more = {}) => ({ settings: { store: 'memory', ...more } });

/** Turns of the event loop until something is so. */
export async function until(what, isSo) {
  for (const start = Date.now(); !(await isSo()); await new Promise(setImmediate)) {
    assert.ok(Date.now() - start < 20_000, `not in twenty seconds: ${what}`);
  }
}

/** That a failure has this code; gives the error. */
export async function fails(code, run) {
  const error = await (async () => run())().then(
    () => assert.fail(`it did not fail with ${code}`),
    (failure) => failure,
  );
  assert.equal(error.code, code, error.stack);
  return error;
}
