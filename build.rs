//! Generates `include/keyferry.h` from `src/ffi`, links the library as one that is never unloaded, and tells the tests what
//! `cc` has to know.

use std::{env, fs, path::Path};

/// The ABI number, the same as `KEYFERRY_ABI_VERSION`; a test compares it with the header.
const SONAME: &str = "libkeyferry.so.0";

/// The files of the ABI in the order of the header.
const SOURCES: &[&str] =
    &["status", "version", "text", "error", "config", "request", "token", "session", "masv", "agent", "fileverbs", "log"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/ffi");
    generate_header("include/keyferry.h");
    link();
    for name in ["TARGET", "HOST"] {
        println!("cargo::rustc-env=KEYFERRY_{name}={}", env::var(name).unwrap_or_default());
    }
}

fn generate_header(path: &str) {
    let mut builder = cbindgen::Builder::new().with_config(config());
    for source in SOURCES {
        let file = format!("src/ffi/{source}.rs");
        builder = builder.with_src(file);
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

fn config() -> cbindgen::Config {
    cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(fs::read_to_string("include/preamble.txt").unwrap_or_default().trim_end().to_owned()),
        include_guard: Some("KEYFERRY_H".into()),
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
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // nodelete: unloading a library whose threads live on is a crash. A soname of ours would clash with cargo-c's.
        let mut arguments = vec!["-Wl,-z,now".to_owned(), "-Wl,-z,relro".into(), "-Wl,-z,nodelete".into()];
        if env::var_os("CARGO_CFG_CARGO_C").is_none() {
            arguments.push(format!("-Wl,-soname,{SONAME}"));
        }
        for argument in arguments {
            println!("cargo::rustc-cdylib-link-arg={argument}");
        }
    }
    println!("cargo::rerun-if-changed={}", Path::new("include/preamble.txt").display());
}
