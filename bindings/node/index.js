export { KeyferryError, version } from './lib/call.js';
export { createFetch } from './lib/fetch.js';
export { setLog } from './lib/log.js';
export { Session } from './lib/session.js';
export { Token } from './lib/token.js';
