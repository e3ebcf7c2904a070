/** Files that the package contains and that are made or copied when it is packed. */
export const packageFolder = new URL('../', import.meta.url);
export const library = `native/${process.platform}-${process.arch}/libkeyferry.so`;
/** The small program is installed under both names. It starts the full program, which it finds in libexec beside its own directory. */
export const programs = ['keyferry', 'git-credential-keyferry'];
export const fullProgram = 'libexec/keyferry/keyferry';
export const licences = ['LICENSE-MIT', 'LICENSE-APACHE'];
export const commonJs = 'cjs/';
export const all = ['native/', 'bin/', 'libexec/', commonJs, ...licences];
