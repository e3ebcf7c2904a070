//! `bindings/node/lib/abi.js`: constants, and result and parameter types of each function as koffi
//! wants them.

use std::fmt::Write;

use crate::declarations::Binding;
use crate::header::{Constant, Header};

pub(crate) const BINDING: Binding = Binding {
    file: "bindings/node/lib/abi.js",
    render,
    sources: ("bindings/node/lib", "js"),
    left_out: &[
        (
            "masv_token_for",
            "Session.tokenFor takes the same resources, and those of every other service",
        ),
        (
            "keyferry_error_status",
            "the call that failed has returned it already",
        ),
    ],
};

/// The largest integer that a number of JavaScript holds exactly.
const SAFE: i64 = (1 << 53) - 1;

fn render(header: &Header) -> String {
    let mut out = String::from(
        "// Generated from include/keyferry.h; changes belong there. CONTRIBUTING.md says how to renew it.\n\n",
    );
    for Constant { name, number, text } in &header.constants {
        let text = text
            .split(". Remedy:")
            .next()
            .unwrap()
            .trim_end_matches('.');
        let big = if *number > SAFE { "n" } else { "" };
        let _ = writeln!(out, "/** {text}. */\nexport const {name} = {number}{big};");
    }
    out += "\n/** By name: the type of the result, and those of the parameters. An address is a number. */\nexport const FUNCTIONS = {\n";
    for function in &header.functions {
        let kinds: Vec<_> = function
            .parameters
            .iter()
            .map(|parameter| format!("'{}'", koffi(&parameter.kind)))
            .collect();
        let _ = writeln!(
            out,
            "  {}: ['{}', [{}]],",
            function.name,
            koffi(&function.result),
            kinds.join(", ")
        );
    }
    out + "};\n"
}

/// Built-in types alone, which need no names of their own. Texts that the library only reads or
/// lends are strings in JavaScript too; all else that is a pointer is an address.
fn koffi(kind: &str) -> &str {
    match kind {
        "const char *" => "str",
        "keyferry_status" => "int32_t",
        "void" | "int32_t" | "uint32_t" | "int64_t" | "uint64_t" | "size_t" => kind,
        pointer if pointer.ends_with('*') || pointer.starts_with("keyferry_log_") => "uintptr_t",
        other => panic!("{other} has no type in koffi yet: say which"),
    }
}
