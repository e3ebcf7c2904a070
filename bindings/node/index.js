export { createFetch } from './lib/fetch.js';
export { KeyferryError } from './lib/call.js';
export { version } from './lib/library.js';
export { Session } from './lib/session.js';
export { Token } from './lib/token.js';
