//! Tells [`compiler`](src/compiler.rs) for which target it compiles.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["TARGET", "HOST"] {
        println!(
            "cargo::rustc-env=KEYFERRY_TESTING_{name}={}",
            env::var(name).unwrap_or_default()
        );
    }
}
