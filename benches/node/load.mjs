/** Measures how long `import 'keyferry'` takes after `import 'koffi'`. Prints the best times of 15 processes. */
import { execFileSync } from 'node:child_process';

const program = `
  const start = performance.now();
  await import('koffi');
  const koffi = performance.now();
  await import('keyferry');
  console.log(JSON.stringify([koffi - start, performance.now() - koffi]));`;

const runs = Array.from({ length: 15 }, () => JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', program])));
const best = (index) => Math.min(...runs.map((run) => run[index])).toFixed(1);
console.log(`load: koffi ${best(0)} ms, keyferry after koffi ${best(1)} ms`);
