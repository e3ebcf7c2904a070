/** Removes the files that `prepack.mjs` copied. */
import { rmSync } from 'node:fs';

import { licences, packageFolder } from './carried.mjs';

for (const name of ['native/', ...licences]) rmSync(new URL(name, packageFolder), { recursive: true, force: true });
