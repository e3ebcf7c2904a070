/**
 * Measures cache hits from Node, and compares them with a bare koffi call and with other credential libraries. Also measures the import
 * of the package. Run `node benches/node.mjs`. Compare the ratios rather than the times, which depend on the machine's load.
 *
 * Packs the package with the release library, and installs it in target/node-bench together with the other libraries from the package
 * registry. `--prepare` stops after the installation.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = fileURLToPath(new URL('../target/node-bench/', import.meta.url));
const peers = ['google-auth-library@10', '@azure/msal-node@7', '@smithy/property-provider@4'];
const run = (program, given, cwd = folder) => execFileSync(program, given, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'package.json'), '{}');
const told = run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], join(here, '../bindings/node'));
const [{ filename }] = JSON.parse(told.slice(told.indexOf('[')));
run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', `./${filename}`, ...peers]);
run('cc', ['-O2', '-shared', '-fPIC', join(here, 'node/bare.c'), '-o', 'bare.so']);
for (const name of ['hit.mjs', 'load.mjs']) copyFileSync(join(here, 'node', name), join(folder, name));
if (process.argv[2] === '--prepare') process.exit();
for (const program of ['load.mjs', 'hit.mjs']) process.stdout.write(run(process.execPath, [program]));
