// Compiled by the tests, never run: what a program in TypeScript writes.
import { KeyferryError, Session, Token, createFetch, version, type Access, type Secret, type TokenKind } from 'keyferry';

async function use(): Promise<void> {
  using session = new Session({ file: false, settings: { 'masv.api_key': Buffer.from('key'), 'masv.team': 'studio' } });
  const header: [string, string] | undefined = session.header(new URL('https://api.massive.app/v1/teams'));
  const token: Token = await session.tokenFor('packages/ID', { minValid: 60_000, access: 'read', signal: AbortSignal.timeout(1000) });
  const parts: [string, TokenKind, Access, Date | null, number] = [token.value, token.kind, token.access, token.expiresAt, token.generation];
  const cached: Token | undefined = session.cached('user', { account: 'client' });
  const secret: Secret = new Uint8Array(8);
  await session.adopt('packages/ID', secret, { expiresAt: new Date() });
  await session.reject(token);
  session.rejectValueSync('user', token.value);
  session.forgetSync('packages/ID');
  await session.forgetAll();
  const listed: string = (await session.list())[0]?.service;
  const logins: number | undefined = session.stats().logins;
  const response: Response = await createFetch(session)('https://api.massive.app/v1/teams', { method: 'GET', headers: token.headers });
  await using other = new Session();
  void [header, parts, cached, listed, logins, response, other, version];
}

try {
  await use();
} catch (error) {
  if (error instanceof KeyferryError) {
    const words: [string, number, number | undefined, string] = [error.code, error.status, error.retryAfter, error.remedy];
    void words;
  }
}

// @ts-expect-error tokens come from a session
new Token();
// @ts-expect-error without a resource nothing is forgotten: forgetAll forgets everything
void Session.default.forget();
// @ts-expect-error there is no such access
void Session.default.tokenFor('user', { access: 'all' });
// @ts-expect-error a signal can't reach a call that waits
Session.default.tokenForSync('user', { signal: AbortSignal.timeout(1) });
// @ts-expect-error headers can't be changed
Session.default.headersForSync('user')['X-User-Token'] = '';
