import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { beforeEach, test } from 'node:test';

import { KeyferryError, Session, Token, version } from 'keyferry';

import * as sandbox from './support.mjs';

const { count, fails, pack } = sandbox;
const url = `${sandbox.masv}/v1/${pack}/files`;

let session;
beforeEach(async () => {
  await sandbox.reset();
  session = new Session(sandbox.settings());
});

test('the version is that of the library', () => assert.equal(version, process.env.TEST_VERSION));

test('a header is there without waiting once the token was got', async () => {
  assert.equal(session.header(url), undefined);
  const token = await session.tokenFor(url);
  const [name, value] = session.header(url);
  assert.deepEqual({ [name]: value }, token.headers);
  assert.equal(name, 'X-Package-Token');
  assert.deepEqual(session.header(new URL(url)), [name, value]);
  assert.deepEqual(await session.headersFor(pack), token.headers);
  assert.deepEqual(session.headersForSync(pack), token.headers);
  assert.equal((await fetch(url, { headers: [session.header(url)] })).status, 200);
});

test('headers of several resources are not mixed up', async () => {
  await Promise.all([session.tokenFor(pack), session.tokenFor(sandbox.otherPack), session.tokenFor('user')]);
  const headers = () => [pack, sandbox.otherPack, 'user'].map((resource) => session.header(resource).join());
  const first = headers();
  assert.equal(new Set(first).size, 3);
  for (let round = 0; round < 3; round += 1) assert.deepEqual(headers(), first);
});

test('a token tells all that the library knows of it', async () => {
  const token = await session.tokenFor('user');
  assert.ok(token instanceof Token);
  assert.deepEqual([token.service, token.kind, token.access], ['masv', 'user', 'full']);
  assert.deepEqual(token.headers, { 'X-User-Token': token.value });
  assert.ok(token.expiresAt.getTime() > Date.now() && token.expiresAt.getTime() % 1000 === 0);
  assert.ok(Number.isSafeInteger(token.generation) && token.generation > 0);
  assert.equal(token.details.user.email, sandbox.email);
  assert.throws(() => new Token(), /call tokenFor of a Session/);
  assert.throws(() => (token.headers.more = 1), TypeError);
});

test('nothing of a token leads to addresses of the library', async () => {
  assert.deepEqual(Object.getOwnPropertyNames(Token).sort(), ['length', 'name', 'prototype']);
  await assert.rejects(session.reject(Object.create(Token.prototype)), TypeError);
});

test('what is printed of a token holds no secret', async () => {
  const token = await session.tokenFor('user');
  const printed = inspect(token, { depth: 9, showHidden: true }) + JSON.stringify({ token, session }) + String(token) + inspect(session);
  assert.ok(!printed.includes(token.value) && printed.includes('masv user'), printed);
});

test('a token is the same as long as its generation is', async () => {
  const { value, generation } = await session.tokenFor(pack);
  assert.equal((await session.tokenFor(pack)).generation, generation);
  assert.equal(await session.tokenFor(pack), session.tokenForSync(pack));
  const other = new Session({ file: false, settings: { 'masv.url': sandbox.masv } });
  const adopted = ['2040-01-01T00:00:00.000Z', '2041-01-01T00:00:00.000Z'].map((moment) => {
    other.adoptSync(pack, value, { expiresAt: new Date(moment) });
    const token = other.tokenForSync(pack);
    assert.deepEqual([token.value, token.expiresAt.toISOString()], [value, moment]);
    return token;
  });
  assert.ok(adopted[1].generation > adopted[0].generation);
});

test('the synchronous twin does the same', () => {
  assert.equal(session.cached(pack), undefined);
  const token = session.tokenForSync(pack);
  assert.deepEqual(session.cached(pack), token);
  assert.equal(session.tokenForSync(pack, { access: 'manage' }).generation, token.generation);
  assert.equal(session.cached(pack, { access: 'read' }), undefined);
});

test('a token that needs a refresh is refreshed', async () => {
  await sandbox.life({ package: 1000 });
  await session.tokenFor(pack);
  const first = session.tokenForSync(pack);
  await sandbox.advance(990);
  // The hour of the service comes with any answer of it.
  await session.tokenFor(sandbox.otherPack);
  const second = await session.tokenFor(pack);
  assert.ok(second.generation > first.generation);
  assert.equal(session.tokenForSync(pack), await session.tokenFor(pack));
  assert.equal(session.tokenForSync(pack).generation, second.generation);
  assert.equal(await count('lookup'), 3);
});

const renewing = {
  tokenFor: (resource) => session.tokenFor(resource),
  headersFor: (resource) => session.headersFor(resource),
  headersForSync: (resource) => session.headersForSync(resource),
  'header ?? headersFor': async (resource) => session.header(resource) ?? session.headersFor(resource),
  'header ?? tokenForSync': (resource) => session.header(resource) ?? session.tokenForSync(new URL(resource)),
};
for (const [name, ask] of Object.entries(renewing)) {
  test(`${name} has a token renewed beside the callers, before it ends`, async () => {
    await sandbox.life({ package: 1000 });
    const { generation } = await session.tokenFor(url);
    await ask(url);
    await sandbox.advance(900);
    // The hour of the service comes with any answer of it.
    await session.tokenFor(sandbox.otherPack);
    await ask(url);
    await sandbox.until('the refresh is under way', () => session.stats().refreshes_beside === 1);
    await sandbox.until('the next token is there', () => session.cached(url).generation > generation);
    assert.equal(await count('lookup'), 3);
    assert.ok(session.header(url), 'it is fresh again');
  });
}

test('rejecting a token gets another, and harms no later one', async () => {
  const first = await session.tokenFor('user');
  await sandbox.refuse(first.value);
  await session.reject(first);
  assert.equal(session.header('user'), undefined);
  const second = await session.tokenFor('user');
  assert.ok(second.generation > first.generation);
  await session.reject(first);
  assert.equal((await session.tokenFor('user')).generation, second.generation);
  session.rejectValueSync('user', second.value);
  assert.equal(session.header('user'), undefined);
  assert.equal(await count('login'), 2);
});

test('a token of another account, of a password, or of a login is rejected as such', async () => {
  const named = new Session(sandbox.settings({ 'profile.other.masv.email': sandbox.email, 'profile.other.masv.password': sandbox.password }));
  const options = { account: 'other' };
  const tokens = [
    [await named.tokenFor('user', options), () => named.cached('user', options)],
    [await named.masvLogin(), () => named.cached('user')],
  ];
  for (const [token, cached] of tokens) {
    assert.equal(cached().generation, token.generation);
    await named.reject(token);
    assert.equal(cached(), undefined);
  }
  const link = await named.tokenFor(sandbox.protectedLink, { linkPassword: sandbox.linkPassword });
  named.rejectSync(link);
  assert.equal(named.cached(sandbox.protectedLink, { linkPassword: sandbox.linkPassword }), undefined);
});

test('tokens that the caller got itself are kept', async () => {
  const value = (await session.tokenFor(pack)).value;
  const other = new Session({ file: false, settings: { 'masv.url': sandbox.masv } });
  const secretBuffer = Buffer.from(value);
  await other.adopt(pack, secretBuffer);
  assert.ok(secretBuffer.every((byte) => byte === 0), 'it is wiped');
  assert.equal((await other.tokenFor(pack)).value, value);
  await fails('KEYFERRY_E_UNSUPPORTED', () => other.adopt('fileverbs:secret-key', value));
  await fails('KEYFERRY_E_INVALID_VALUE', () => other.adopt(pack, value, { expiresAt: new Date(0) }));
  await fails('KEYFERRY_E_INVALID_VALUE', () => other.adopt(pack, value, { expiresAt: new Date('never') }));
});

test('forgetting forgets', async () => {
  await session.tokenFor(pack);
  assert.ok((await session.list()).length >= 2);
  await session.forget(pack);
  assert.equal(session.header(pack), undefined);
  assert.ok(session.header('user'));
  await assert.rejects(session.forget(undefined), TypeError);
  assert.throws(() => session.forgetSync(), TypeError);
  assert.ok(session.header('user'));
  await session.forgetAll();
  assert.deepEqual(session.listSync(), []);
  await session.tokenFor('user');
  session.forgetAllSync();
  assert.deepEqual(session.listSync(), []);
});

test('a session explains itself and counts', async () => {
  await session.tokenFor(pack);
  const explanation = await session.explain(pack);
  assert.equal(explanation.service, 'masv');
  assert.deepEqual(session.explainSync(pack).service, 'masv');
  assert.equal(session.stats().logins, 1);
});

test('a login with what is given, which is wiped', async () => {
  const own = new Session({ file: false, settings: { 'masv.url': sandbox.masv, 'masv.team': process.env.KEYFERRY_MASV_TEAM } });
  await fails('KEYFERRY_E_NOT_CONFIGURED', () => own.tokenFor('user'));
  const secret = Buffer.from(sandbox.password);
  const token = await own.masvLogin(sandbox.email, secret);
  assert.ok(secret.every((byte) => byte === 0));
  assert.equal(token.details.user.email, sandbox.email);
  assert.equal((await own.tokenFor('user')).value, token.value);
  const wrong = new TextEncoder().encode('wrong');
  const error = await fails('KEYFERRY_E_BAD_CREDENTIALS', () => own.masvLoginSync(sandbox.email, wrong));
  assert.equal(error.httpStatus, 401);
  assert.ok(wrong.every((byte) => byte === 0), 'it is wiped after a failure too');
});

const secretBuffer = () => Buffer.from('secret');
const failing = {
  'an argument before it': (secret) => session.masvLogin('a\0b', secret),
  'an argument of a wrong type': (secret) => session.adopt(7, secret),
  'an argument after it': (secret) => session.adopt(pack, secret, { expiresAt: new Date('never') }),
  'the synchronous twin': (secret) => session.masvAgentSignUpSync('a@example.com', secret, 'a\0b'),
  'a bad access': (linkPassword) => session.tokenFor(sandbox.protectedLink, { access: 'all', linkPassword }),
  'a bad resource': (linkPassword) => session.tokenFor('packages/../x', { linkPassword }),
  'no resource': (linkPassword) => session.headersFor(undefined, { linkPassword }),
  'a signal': (linkPassword) => session.tokenFor(sandbox.protectedLink, { signal: AbortSignal.abort(), linkPassword }),
  'a request that waits': (linkPassword) => session.tokenForSync(sandbox.protectedLink, { timeout: -1, linkPassword }),
  'nothing cached': (linkPassword) => assert.ok(session.cached('packages/../x', { linkPassword })),
  'a setting before it': (secret) => new Session({ file: false, settings: { bad: 'x', 'masv.api_key': secret } }),
  'a file that is not there': (secret) => new Session({ file: '/nowhere/config.toml', settings: { 'masv.api_key': secret } }),
};
for (const [what, call] of Object.entries(failing)) {
  test(`a secret is wiped where the call fails for ${what}`, async () => {
    const secret = secretBuffer();
    await assert.rejects(async () => call(secret));
    assert.ok(secret.every((byte) => byte === 0));
  });
}

test('a secret is wiped where the session is closed', async () => {
  await session.close();
  const secrets = [secretBuffer(), secretBuffer(), secretBuffer()];
  await fails('ERR_INVALID_STATE', () => session.adopt(pack, secrets[0]));
  await fails('ERR_INVALID_STATE', () => session.tokenFor(sandbox.protectedLink, { linkPassword: secrets[1] }));
  await fails('ERR_INVALID_STATE', () => session.tokenForSync(sandbox.protectedLink, { linkPassword: secrets[2] }));
  assert.ok(secrets.every((secret) => secret.every((byte) => byte === 0)));
});

test('FileVerbs and the agent have their calls', async () => {
  const bearer = await session.fileverbsBearer();
  assert.equal(bearer.headers.Authorization, `Bearer ${bearer.value}`);
  assert.equal((await session.tokenFor('fileverbs:bearer')).value, bearer.value);
  await session.reject(bearer);
  assert.notEqual(session.fileverbsBearerSync().value, bearer.value);
  assert.deepEqual(Object.keys((await session.fileverbsSecretKey()).headers), ['SecretKey']);
  await fails('KEYFERRY_E_LOGIN_REQUIRED', () => session.masvAgentSession());
  assert.equal((await session.masvAgentSignIn()).user.email, sandbox.email);
  assert.equal(session.masvAgentSessionSync().user.email, sandbox.email);
  await fails('KEYFERRY_E_UNSUPPORTED', () => session.masvAgentSignUp('new@example.com', 'secret', 'New'));
});

test('errors say what a program and a person need', async () => {
  const error = await fails('KEYFERRY_E_UNKNOWN_SERVICE', () => session.tokenFor('https://example.com/'));
  assert.ok(error instanceof KeyferryError && error instanceof Error);
  assert.equal(error.status, 105);
  assert.match(error.message, /masv\.url/);
  assert.match(error.remedy, /host/);
  assert.equal(error.httpStatus, undefined);
  assert.match(String(error), /^KeyferryError: /);
  await fails('KEYFERRY_E_UNKNOWN_SERVICE', () => session.header('https://example.com/'));
  await fails('KEYFERRY_E_NO_HEADER', () => session.header('agent:session'));
  await fails('KEYFERRY_E_INVALID_RESOURCE', () => session.tokenForSync('packages/../x'));
  await sandbox.fault({ path: '/v1/auth', kind: 'status', status: 429, retry_after: '120', times: 'forever' });
  const throttled = await fails('KEYFERRY_E_THROTTLED', () => session.tokenFor('user', { timeout: 5000 }));
  assert.deepEqual([throttled.httpStatus, throttled.retryAfter > 60_000], [429, true]);
});

test('a misspelt short form gets nothing, and the error has the right spelling', async () => {
  for (const [resource, meant] of [
    ['packges/01ABC', '`packages/01ABC`'],
    ['fileverbs:beerer', '`fileverbs:bearer`'],
    ['masv:foo/bar', 'packages/ID'],
  ]) {
    for (const ask of ['header', 'headersFor', 'headersForSync', 'tokenFor', 'tokenForSync', 'cached', 'explain', 'forget']) {
      const error = await fails('KEYFERRY_E_INVALID_RESOURCE', () => session[ask](resource));
      assert.ok(error.message.includes(meant), `${ask}: ${error.message}`);
    }
    await fails('KEYFERRY_E_INVALID_RESOURCE', () => session.adopt(resource, 'made-up'));
    await fails('KEYFERRY_E_INVALID_RESOURCE', () => session.rejectValue(resource, 'made-up'));
  }
  assert.equal(await count('requests'), 0);
});

test('a text with NUL is refused, not cut', async () => {
  await session.tokenFor(pack);
  for (const ask of ['header', 'tokenFor', 'tokenForSync', 'cached', 'headersFor', 'explain', 'forget']) {
    await fails('KEYFERRY_E_INVALID_VALUE', () => session[ask](`${pack}\0/../x`));
  }
  await fails('KEYFERRY_E_INVALID_VALUE', () => session.masvLogin(sandbox.email, 'pass\0word'));
  await fails('KEYFERRY_E_INVALID_VALUE', () => session.masvLogin(sandbox.email, Buffer.from('pass\0word')));
});

test('a secret is literal, as a string and as bytes', async () => {
  const passwords = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      passwords.push(JSON.parse(body).password);
      response.end('\ufeff{"token":"abc"}');
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const settings = { 'masv.url': `http://127.0.0.1:${server.address().port}` };
  try {
    for (const sent of ['word', '  word  ', '\ufeffword', 'wörd 東']) {
      for (const secret of [sent, Buffer.from(sent), new TextEncoder().encode(sent)]) {
        const own = new Session({ file: false, settings });
        assert.equal((await own.masvLogin(sandbox.email, secret)).value, 'abc');
        assert.equal(passwords.pop(), sent);
      }
    }
    for (const secret of [Buffer.from('canary\u00e9', 'latin1'), Buffer.from('\ufeffcanary', 'utf16le'), Buffer.from('canary\r\n')]) {
      const own = new Session({ file: false, settings });
      const error = await own.masvLogin(sandbox.email, secret).catch((error) => error);
      assert.ok(['KEYFERRY_E_NOT_UTF8', 'KEYFERRY_E_INVALID_VALUE'].includes(error.code), error.code);
      assert.ok(error.message.includes('; ') && !error.message.includes('canary'), error.message);
    }
    assert.deepEqual(passwords, []);
  } finally {
    server.close();
  }
});

test('a secret with half a character is refused, not changed', async () => {
  const half = 'pass\ud800word';
  await fails('KEYFERRY_E_INVALID_VALUE', () => session.masvLogin(sandbox.email, half));
  await fails('KEYFERRY_E_INVALID_VALUE', () => session.adopt(pack, `${half}\ude00\ud83d`));
  await fails('KEYFERRY_E_INVALID_VALUE', () => session.tokenFor(sandbox.protectedLink, { linkPassword: half }));
  await fails('KEYFERRY_E_INVALID_VALUE', () => new Session({ file: false, settings: { 'masv.api_key': '\udfff' } }));
  const whole = await fails('KEYFERRY_E_BAD_CREDENTIALS', () => session.masvLogin(sandbox.email, 'pass\u{1f600}word'));
  assert.equal(whole.httpStatus, 401);
});

test('arguments of another type are refused before the library sees them', async () => {
  for (const wrong of [undefined, null, 1, {}, ['user']]) {
    await assert.rejects(async () => session.tokenFor(wrong), TypeError);
    assert.throws(() => session.header(wrong), TypeError);
  }
  await assert.rejects(session.masvLogin(sandbox.email, 7), TypeError);
  await assert.rejects(session.reject({ value: 'x' }), TypeError);
  await fails('KEYFERRY_E_INVALID_VALUE', () => session.tokenFor('user', { minValid: -1 }));
  await fails('KEYFERRY_E_INVALID_VALUE', () => session.tokenFor('user', { access: 'all' }));
  await fails('KEYFERRY_E_INVALID_VALUE', () => session.tokenFor('user', { timeout: 1e9 }));
});

test('a configuration is the one that is given', async () => {
  const path = join(process.env.TEST_FOLDER, 'other.toml');
  writeFileSync(path, '[masv]\nno_such_key = 1\n', { mode: 0o600 });
  await fails('KEYFERRY_E_CONFIG', () => new Session({ file: path }));
  await fails('KEYFERRY_E_CONFIG', () => new Session({ settings: { 'masv.no_such_key': 'x' } }));
  await fails('KEYFERRY_E_INVALID_VALUE', () => new Session({ settings: { 'http.timeout_ms': '0' } }));
  const secret = Buffer.from(sandbox.apiKey);
  const keyed = new Session({ file: false, settings: { 'masv.url': sandbox.masv, 'masv.api_key': secret } });
  assert.ok(secret.every((byte) => byte === 0));
  const token = await keyed.tokenFor('user');
  assert.deepEqual([token.kind, token.expiresAt, token.headers], ['key', null, { 'X-API-KEY': sandbox.apiKey }]);
});

test('a closed session says so, its tokens live on', async () => {
  const token = await session.tokenFor('user');
  await session.close();
  await session.close();
  assert.ok(token.value.length > 20);
  await fails('ERR_INVALID_STATE', () => session.header('user'));
  await fails('ERR_INVALID_STATE', () => session.tokenFor('user'));
  await fails('ERR_INVALID_STATE', () => session.list());
  const other = new Session(sandbox.settings());
  other[Symbol.dispose ?? Symbol.for('nodejs.dispose')]();
  await fails('ERR_INVALID_STATE', () => other.stats());
});

test('the default session is one for all, and never closed', async () => {
  assert.equal(Session.default, Session.default);
  await Session.default.tokenFor('user');
  await Session.default.close();
  assert.ok(Session.default.header('user'));
});
