/** Configurations: the settings that a session is opened with. */
import { fileURLToPath } from 'node:url';

import { Secrets, bind, callSync, text } from './call.js';

const newConfig = bind('keyferry_config_new');
const loadConfig = bind('keyferry_config_load');
const setConfig = bind('keyferry_config_set');
const freeConfig = bind('keyferry_config_free');
const open = bind('keyferry_session_open');

const identity = (address) => address;

function newConfigFrom(file) {
  if (file === false) return callSync(newConfig, [], identity);
  const path = file instanceof URL ? fileURLToPath(file) : file;
  return callSync(loadConfig, [path === undefined ? null : text(path)], identity);
}

/**
 * Opens a session and returns its address. The configuration object is freed before this returns.
 */
export function openSession({ file, settings = {} }) {
  const secrets = new Secrets(Object.values(settings));
  let config = 0;
  try {
    config = newConfigFrom(file);
    for (const [key, value] of Object.entries(settings)) callSync(setConfig, [config, text(key), secrets.take(value)]);
    return callSync(open, [config], identity);
  } finally {
    secrets.wipe();
    freeConfig(config);
  }
}
