// Compiled by the tests, never run: a program in TypeScript that becomes CommonJS.
import keyferry = require('keyferry');
import { setLog } from 'keyferry';
import type { Session } from 'keyferry';

async function use(session: Session): Promise<string> {
  const token: keyferry.Token = await session.tokenFor('user');
  setLog('debug', (level, message) => process.stderr.write(`${level} ${message}\n`));
  setLog('off');
  return token.value;
}

void use(keyferry.Session.default);
// @ts-expect-error without a function nothing gets the messages
setLog('info');
// @ts-expect-error there is no such level
setLog('verbose', () => {});
