/** What the package carries and the repository has elsewhere. */
export const packageFolder = new URL('../', import.meta.url);
export const carried = new URL(`native/${process.platform}-${process.arch}/libkeyferry.so`, packageFolder);
export const licences = ['LICENSE-MIT', 'LICENSE-APACHE'];
