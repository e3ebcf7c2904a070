/** Files that the package contains and that are elsewhere in the repository. */
export const packageFolder = new URL('../', import.meta.url);
export const carried = new URL(`native/${process.platform}-${process.arch}/libkeyferry.so`, packageFolder);
export const licences = ['LICENSE-MIT', 'LICENSE-APACHE'];
