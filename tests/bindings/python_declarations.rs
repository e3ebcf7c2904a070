//! `bindings/python/keyferry/_abi.py`: constants, and the argument types of each function as ctypes
//! wants them.

use std::fmt::Write;

use crate::declarations::Binding;
use crate::header::{Constant, Header};

pub(crate) const BINDING: Binding = Binding {
    file: "bindings/python/keyferry/_abi.py",
    render,
    sources: ("bindings/python/keyferry", "py"),
    left_out: &[
        (
            "keyferry_session_start",
            "a call that may wait runs on a thread of the binding, which Ctrl-C does not stop",
        ),
        (
            "keyferry_log_open_pipe",
            "logging takes messages from any thread, so log.start uses a callback",
        ),
        (
            "keyferry_request_set_login",
            "masv_login runs on a thread of the binding",
        ),
        (
            "keyferry_request_token",
            "it belongs to keyferry_session_start",
        ),
        (
            "masv_token_for",
            "Session.token_for takes the same resources, and those of every other service",
        ),
        (
            "keyferry_error_status",
            "the call that failed has returned it already",
        ),
    ],
};

fn render(header: &Header) -> String {
    let mut out = String::from(
        "# Generated from include/keyferry.h; changes belong there. CONTRIBUTING.md says how to renew it.\n",
    );
    out +=
        "from ctypes import c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p\n\n";
    out += "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from typing import Any\n\n";
    for Constant { name, number, text } in &header.constants {
        let text = text
            .split(". Remedy:")
            .next()
            .unwrap()
            .trim_end_matches('.');
        let _ = writeln!(out, "{name} = {number}  # {text}");
    }
    out += "\nFUNCTIONS: \"dict[str, tuple[Any, tuple[Any, ...]]]\" = {\n";
    for function in &header.functions {
        let kinds: Vec<_> = function
            .parameters
            .iter()
            .map(|parameter| ctype(&parameter.kind))
            .collect();
        let end = if kinds.len() == 1 { "," } else { "" };
        let _ = writeln!(
            out,
            "    \"{}\": ({}, ({}{end})),",
            function.name,
            ctype(&function.result),
            kinds.join(", ")
        );
    }
    out + "}\n"
}

/// Texts that the library only reads or lends are texts in Python too; all else that is a pointer
/// is an address.
fn ctype(kind: &str) -> &'static str {
    match kind {
        "void" => "None",
        "const char *" => "c_char_p",
        "int32_t" | "keyferry_status" => "c_int32",
        "uint32_t" => "c_uint32",
        "int64_t" => "c_int64",
        "uint64_t" => "c_uint64",
        "size_t" => "c_size_t",
        pointer if pointer.ends_with('*') || pointer.starts_with("keyferry_log_") => "c_void_p",
        other => panic!("{other} has no type in Python yet: say which"),
    }
}
