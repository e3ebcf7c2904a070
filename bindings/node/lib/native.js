/** The session of the C ABI, opened from its settings, with what belongs to it. It knows nothing of the `Session` that holds it, so it can outlive that one. */
import { fileURLToPath } from 'node:url';

import { Secrets, now, text } from './call.js';
import { bind } from './library.js';
import * as line from './line.js';
import * as requests from './request.js';

const newConfig = bind('keyferry_config_new');
const loadConfig = bind('keyferry_config_load');
const setConfig = bind('keyferry_config_set');
const freeConfig = bind('keyferry_config_free');
const open = bind('keyferry_session_open');
const freeSession = bind('keyferry_session_free');

const address = (made) => made;

/** So many resources are kept ready to be asked for again. */
const MOST = 64;

function begun(file) {
  if (file === false) return now(newConfig, [], address);
  const path = file instanceof URL ? fileURLToPath(file) : file;
  return now(loadConfig, [path === undefined ? null : text(path)], address);
}

/** The address of a new session; its configuration lives no longer than this takes. */
function opened({ file, settings = {} }) {
  const config = begun(file);
  const secrets = new Secrets();
  try {
    for (const [key, value] of Object.entries(settings)) now(setConfig, [config, text(key), secrets.take(value)]);
    return now(open, [config], address);
  } finally {
    secrets.wipe();
    freeConfig(config);
  }
}

export class Native {
  address;
  /** By resource: the request, made once, and the token that came last. */
  ready = new Map();

  /** Without options the default session of the process. */
  constructor(options) {
    this.address = options === undefined ? 0 : opened(options);
  }

  /** The request for nothing but a resource, and what it gave last. */
  asked(resource) {
    let asked = this.ready.get(resource);
    if (asked === undefined) {
      if (this.ready.size >= MOST) this.#drop(this.ready.keys().next().value);
      asked = { request: requests.request(resource), token: undefined };
      this.ready.set(resource, asked);
    }
    return asked;
  }

  #drop(resource) {
    requests.free(this.ready.get(resource).request);
    this.ready.delete(resource);
  }

  /** Lets go of all that stands ready. */
  clear() {
    line.wipe();
    for (const resource of this.ready.keys()) this.#drop(resource);
  }

  /** Frees all of it; the session on a thread of the pool, for its own threads may take a second to end. */
  close(done = () => {}) {
    const address = this.address;
    this.address = 0;
    this.clear();
    freeSession.async(address, done);
  }
}
