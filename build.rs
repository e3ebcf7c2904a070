//! Generates `include/keyferry.h` from `src/ffi` and `include/keyferry_plugin.h` from `src/plugin/abi.rs`, links the library as one that
//! is never unloaded and the helper of git statically, and tells the tests what `cc` has to know.

use std::{env, fs, path::Path, process::Command};

/// The ABI number, the same as `KEYFERRY_ABI_VERSION`; a test compares it with the header.
const SONAME: &str = "libkeyferry.so.0";

/// The files of the ABI in the order of the header.
const SOURCES: &[&str] =
    &["status", "version", "text", "error", "config", "request", "token", "session", "diagnostics", "masv", "agent", "fileverbs", "log"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/ffi");
    println!("cargo::rerun-if-changed=src/plugin/abi.rs");
    println!("cargo::rerun-if-changed=src/plugin/abi");
    let sources: Vec<_> = SOURCES.iter().map(|source| format!("src/ffi/{source}.rs")).collect();
    generate_header("include/keyferry.h", &sources, config("include/preamble.txt", "KEYFERRY_H"));
    generate_header("include/keyferry_plugin.h", &["abi.rs", "abi/host.rs"].map(|file| format!("src/plugin/{file}")), plugin_config());
    link();
}

fn generate_header(path: &str, sources: &[String], config: cbindgen::Config) {
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in sources {
        builder = builder.with_src(source);
    }
    let mut text = Vec::new();
    match builder.generate() {
        Ok(bindings) => bindings.write(&mut text),
        Err(error) => {
            println!("cargo::error=the header can't be generated: {error}");
            return;
        }
    };
    let text = without_rust_sections(&String::from_utf8_lossy(&text));
    // Written only when it differs, so that a build of the packaged crate leaves its sources alone.
    if fs::read_to_string(path).unwrap_or_default() != text {
        let written = fs::create_dir_all("include").and_then(|()| fs::write(path, text));
        if let Err(error) = written {
            println!("cargo::error={path} can't be written: {error}");
        }
    }
}

fn config(preamble: &str, guard: &str) -> cbindgen::Config {
    println!("cargo::rerun-if-changed={preamble}");
    cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(fs::read_to_string(preamble).unwrap_or_default().trim_end().to_owned()),
        include_guard: Some(guard.into()),
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        no_includes: true,
        cpp_compat: true,
        usize_is_size_t: true,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        style: cbindgen::Style::Type,
        line_length: 120,
        ..cbindgen::Config::default()
    }
}

/// The tables of the plugin ABI. No function uses them here, so they are named; the entry is the plugin's own symbol.
fn plugin_config() -> cbindgen::Config {
    let mut config = config("include/plugin_preamble.txt", "KEYFERRY_PLUGIN_H");
    config.export.include =
        ["", "_service", "_source", "_request", "_answer", "_host"].map(|part| format!("keyferry_plugin{part}")).to_vec();
    config.trailer = Some(fs::read_to_string("include/plugin_trailer.txt").unwrap_or_default().trim_end().to_owned());
    println!("cargo::rerun-if-changed=include/plugin_trailer.txt");
    config
}

/// Leaves out what only Rust's readers need: sections that begin with `# `.
fn without_rust_sections(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut skipping = false;
    for line in text.lines() {
        if line.trim_start().starts_with("* # ") {
            skipping = true;
            while out.ends_with(" *\n") {
                out.truncate(out.len() - 3);
            }
        }
        skipping &= !line.trim_start().starts_with("*/");
        if !skipping {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

fn link() {
    println!("cargo::rerun-if-changed={}", Path::new("include/preamble.txt").display());
    if is("CARGO_CFG_TARGET_OS", "linux") {
        // nodelete: unloading a library whose threads live on is a crash. A soname of ours would clash with cargo-c's.
        let mut arguments = vec!["-Wl,-z,now".to_owned(), "-Wl,-z,relro".into(), "-Wl,-z,nodelete".into()];
        if env::var_os("CARGO_CFG_CARGO_C").is_none() {
            arguments.push(format!("-Wl,-soname,{SONAME}"));
        }
        arguments.extend(instead("unwinder", UNWINDER, &["libgcc_eh.a"]));
        arguments.extend(order());
        for argument in arguments {
            println!("cargo::rustc-cdylib-link-arg={argument}");
        }
    }
}

/// The linker's arguments by which it puts what a host runs up to its first hit side by side; none where it would not take them.
///
/// Rationale: the kernel maps code sixteen pages at a time, and those functions lay on pages all over the library: a host grew by
/// 2.7 MiB for less than 0.2 of code. `link/order.py` finds them.
fn order() -> Vec<String> {
    let list = "link/order.txt";
    println!("cargo::rerun-if-changed={list}");
    let [out, flags] = ["OUT_DIR", "CARGO_ENCODED_RUSTFLAGS"].map(|name| env::var(name).unwrap_or_default());
    if env::var_os("RUSTC_LINKER").is_some() || flags.contains("link") || !is_for_here() {
        return Vec::new();
    }
    let patterns = fs::read_to_string(list).unwrap_or_default();
    let code: String = patterns.lines().map(|pattern| format!("    *(.text.{pattern} .text.unlikely.{pattern})\n")).collect();
    let assembled: String = ASSEMBLED.iter().map(|file| format!("    {file}(.text .text.*)\n")).collect();
    let constants: String = CONSTANTS.iter().map(|file| format!("    {file}(.rodata .rodata.*)\n")).collect();
    let script = format!(
        "SECTIONS {{\n  .rodata.first : {{\n{constants}  }}\n}}\nINSERT AFTER .dynstr;\n\
         SECTIONS {{\n  .text.first : {{\n{code}{assembled}  }}\n}}\nINSERT BEFORE .text;\n"
    );
    let path = Path::new(&out).join("order.ld");
    if let Err(error) = fs::write(&path, script) {
        println!("cargo::error={} can't be written: {error}", path.display());
    }
    // Not by -Wl: there may be a comma in the path.
    let arguments = ["-Xlinker", "-T", "-Xlinker", &path.display().to_string()].map(str::to_owned).to_vec();
    // Other linkers than those of GNU and LLVM know no such scripts.
    let mut trial = Command::new("cc");
    trial.args(["-shared", "-nostdlib", "-x", "c", "/dev/null", "-o"]).arg(Path::new(&out).join("order.so")).args(&arguments);
    if trial.output().is_ok_and(|output| output.status.success()) { arguments } else { Vec::new() }
}

/// Files whose code has no section of its name.
const ASSEMBLED: &[&str] = &["*sha256-x86_64*", "*pthread_atfork*"];

/// Files with the constants that this code reads. They are put to the relocations, which the loader reads from end to end.
const CONSTANTS: &[&str] = &[
    "*keyferry.*-cgu*",
    "*sha256-x86_64*",
    "*url-*-cgu*",
    "*base64-*-cgu*",
    "*serde_json-*-cgu*",
    "*core-*-cgu*",
    "*std-*-cgu*",
    "*ring-*-cgu*",
    "*once_cell-*-cgu*",
    "*getrandom-*-cgu*",
    "*poly1305-*-cgu*",
];

/// What the library takes from the compiler's own runtime, to unwind a panic.
///
/// Rationale: loading `libgcc_s.so` took longer than all else that loading the library does, and older hosts bring one of their own.
const UNWINDER: &[(&str, &str)] = &[("gcc_s", "-l:libgcc_eh.a -l:libgcc.a")];

/// The linker's argument by which it takes static libraries where rustc names shared ones; none where the compiler lacks a file for it.
///
/// Rationale: `-C target-feature=+crt-static` is for a whole build or not at all, and would leave out the shared library. So the
/// linker finds, before the libraries that rustc asks for, scripts of their names that lead to the static ones.
fn instead(name: &str, libraries: &[(&str, &str)], needed: &[&str]) -> Option<String> {
    let [out, linker] = ["OUT_DIR", "RUSTC_LINKER"].map(|name| env::var(name).unwrap_or_default());
    let linker = if linker.is_empty() { "cc".to_owned() } else { linker };
    // Where a compiler has no such file it repeats the bare name.
    let has = |file: &&str| {
        let asked = Command::new(&linker).arg(format!("-print-file-name={file}")).output();
        asked.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute())
    };
    if !(is_for_here() && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && needed.iter().all(has)) {
        return None;
    }
    let folder = Path::new(&out).join(name);
    let write = |(name, inside): &(&str, &str)| fs::write(folder.join(format!("lib{name}.so")), format!("GROUP({inside})\n"));
    if let Err(error) = fs::create_dir_all(&folder).and_then(|()| libraries.iter().try_for_each(write)) {
        println!("cargo::error={} can't be written: {error}", folder.display());
    }
    Some(format!("-L{}", folder.display()))
}

/// Whether what is built runs on this machine, so that its compiler is the one that is here.
fn is_for_here() -> bool {
    env::var("TARGET") == env::var("HOST")
}

fn is(variable: &str, value: &str) -> bool {
    env::var(variable).is_ok_and(|own| own == value)
}
