/** Configurations: the settings that a session is opened with. */
import { fileURLToPath } from 'node:url';

import { Secrets, now, text } from './call.js';
import { bind } from './library.js';

const make = bind('keyferry_config_new');
const load = bind('keyferry_config_load');
const set = bind('keyferry_config_set');
const free = bind('keyferry_config_free');

const address = (made) => made;

function begun(file) {
  if (file === false) return now(make, [], address);
  const path = file instanceof URL ? fileURLToPath(file) : file;
  return now(load, [path === undefined ? null : text(path)], address);
}

/** Runs a function with the address of a configuration, which lives no longer than that. */
export function withConfig({ file, settings = {} }, run) {
  const config = begun(file);
  const secrets = new Secrets();
  try {
    for (const [key, value] of Object.entries(settings)) now(set, [config, text(key), secrets.take(value)]);
    return run(config);
  } finally {
    secrets.wipe();
    free(config);
  }
}
