/** Removes the files that `prepack.mjs` made or copied. */
import { rmSync } from 'node:fs';

import { all, packageFolder } from './carried.mjs';

for (const name of all) rmSync(new URL(name, packageFolder), { recursive: true, force: true });
