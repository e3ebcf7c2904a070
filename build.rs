//! Generates `include/keyferry.h` from `src/ffi` and `include/keyferry_plugin.h` from
//! `src/plugin/abi`, and sets the soname and the link flags of the library.

use std::{env, fs};

/// The soname. Its number is the ABI version, `KEYFERRY_ABI_VERSION`. A test compares this constant
/// with the header.
const SONAME: &str = "libkeyferry.so.0";

/// The source files of the C ABI, in the order of the header.
const SOURCES: &[&str] = &[
    "status",
    "version",
    "text",
    "error",
    "config",
    "request",
    "token",
    "session",
    "diagnostics",
    "masv",
    "agent",
    "fileverbs",
    "log",
];

/// The source files of the plugin ABI, in the order of the header.
const PLUGIN_SOURCES: &[&str] = &[
    "entry",
    "call",
    "status",
    "service",
    "secret_source",
    "request",
    "host",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/ffi");
    println!("cargo::rerun-if-changed=src/plugin/abi");
    let sources: Vec<_> = SOURCES
        .iter()
        .map(|source| format!("src/ffi/{source}.rs"))
        .collect();
    generate_header(
        "include/keyferry.h",
        &sources,
        config("include/preamble.txt", "KEYFERRY_H"),
    );
    let sources: Vec<_> = PLUGIN_SOURCES
        .iter()
        .map(|source| format!("src/plugin/abi/{source}.rs"))
        .collect();
    generate_header("include/keyferry_plugin.h", &sources, plugin_config());
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
            println!("cargo::error=cannot generate {path}: {error}");
            return;
        }
    };
    let text = without_rust_sections(&String::from_utf8_lossy(&text));
    // An unchanged header is not written, because a build of the packaged crate must not change its
    // sources.
    if fs::read_to_string(path).unwrap_or_default() != text {
        let written = fs::create_dir_all("include").and_then(|()| fs::write(path, text));
        if let Err(error) = written {
            println!("cargo::error=cannot write {path}: {error}");
        }
    }
}

fn config(preamble: &str, guard: &str) -> cbindgen::Config {
    println!("cargo::rerun-if-changed={preamble}");
    cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(
            fs::read_to_string(preamble)
                .unwrap_or_default()
                .trim_end()
                .to_owned(),
        ),
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

/// Returns the cbindgen configuration of the plugin header. cbindgen leaves out types that no
/// exported function uses, so the tables are listed here. `plugin_trailer.txt` declares the entry,
/// because each plugin defines that symbol itself.
fn plugin_config() -> cbindgen::Config {
    let mut config = config("include/plugin_preamble.txt", "KEYFERRY_PLUGIN_H");
    config.export.include = [
        "",
        "_service",
        "_secret_source",
        "_request",
        "_response",
        "_host",
    ]
    .map(|part| format!("keyferry_plugin{part}"))
    .to_vec();
    config.trailer = Some(
        fs::read_to_string("include/plugin_trailer.txt")
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
    );
    println!("cargo::rerun-if-changed=include/plugin_trailer.txt");
    config
}

/// Removes the sections that are only for readers of the Rust documentation, such as `# Safety`.
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

/// Sets the linker flags. GNU ld, LLD and mold all accept them.
fn link() {
    if !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    // nodelete: the process would crash if the library were unloaded while its threads run.
    for flag in ["now", "relro", "nodelete"] {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,{flag}");
    }
    // cargo-c sets the soname itself.
    if env::var_os("CARGO_CFG_CARGO_C").is_none() {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    }
}

fn is(variable: &str, value: &str) -> bool {
    env::var(variable).is_ok_and(|own| own == value)
}
