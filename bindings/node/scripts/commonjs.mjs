/**
 * Converts the package's modules to CommonJS. Node runs this form, for `require` and for `import`, so a process has one copy of
 * the package. Bundlers take the modules as they are.
 *
 * The conversion goes line by line, so errors name the right lines. It knows the forms of `import` and `export` that these modules
 * use, and fails at any other.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';

const renamed = (names) => names.replaceAll(' as ', ': ');
const IMPORTS = [
  [/^import \* as (\w+) from ('\S+');$/, (_, name, from) => `const ${name} = require(${from});`],
  [/^import (\w+) from ('\S+');$/, (_, name, from) => `const ${name} = require(${from});`],
  [/^(?:import|export) \{ (.+) \} from ('\S+');$/, (_, names, from) => `const { ${renamed(names)} } = require(${from});`],
];
const EXPORTED = /^export (?:async function|function|class|const|let) (\w+)|^export \{ (.+) \} from /;
/** The statements that are left if this file doesn't know a form. */
const UNKNOWN = /^(?:import|export)\b|\bimport\(|\bimport\.meta\b/m;

/** All files of the package are in one directory, as deep as `lib`. */
const inOneDirectory = (line) => line.replace(`'./lib/`, `'./`);

function convertLine(line) {
  // In a CommonJS module, `library.js` uses `__filename`, as in a bundle.
  const plain = inOneDirectory(line).replaceAll('import.meta.url', 'undefined');
  for (const [form, replacement] of IMPORTS) if (form.test(plain)) return plain.replace(form, replacement);
  return plain.replace(/^export (?=async function |function |class |const |let )/, '');
}

function convert(source, name) {
  const lines = source.trimEnd().split('\n');
  const exported = lines.flatMap((line) => EXPORTED.exec(line)?.slice(1) ?? []).filter(Boolean).join(', ');
  const body = lines.map(convertLine).join('\n');
  const code = body.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  if (UNKNOWN.test(code)) throw new Error(`cannot convert ${name}: scripts/commonjs.mjs does not know ${JSON.stringify(UNKNOWN.exec(code)[0])}`);
  return `'use strict'; ${body}\nmodule.exports = { ${exported} };\n`;
}

/** Writes the CommonJS form of the package to a directory. */
export function writeCommonJs(packageFolder, target) {
  const lib = new URL('lib/', packageFolder);
  const files = [new URL('index.js', packageFolder), ...readdirSync(lib).map((name) => new URL(name, lib))];
  mkdirSync(target, { recursive: true });
  for (const file of files) writeFileSync(new URL(basename(file.pathname), target), convert(readFileSync(file, 'utf8'), file.pathname));
  writeFileSync(new URL('package.json', target), '{ "type": "commonjs" }\n');
}
