//! The files that the bindings load instead of the header: generated from it, committed, renewed by
//! `KEYFERRY_UPDATE=1 cargo test --test bindings`. Names and numbers are typed nowhere else.

use std::fs;

use crate::header::Header;
use keyferry_testing::files;

/// A binding as these rules see it.
pub(crate) struct Binding {
    /// The generated file.
    pub(crate) file: &'static str,
    pub(crate) render: fn(&Header) -> String,
    /// Where its sources stand, with the ending that they have.
    pub(crate) sources: (&'static str, &'static str),
    /// The functions that it leaves out, each with the reason.
    pub(crate) left_out: &'static [(&'static str, &'static str)],
}

pub(crate) const BINDINGS: &[Binding] = &[
    crate::python_declarations::BINDING,
    crate::node_declarations::BINDING,
];

mod tests {
    use super::*;

    #[test]
    fn the_generated_declarations_are_those_of_the_header() {
        let header = Header::read();
        for binding in BINDINGS {
            let (path, text) = (files::file(binding.file), (binding.render)(&header));
            if std::env::var_os("KEYFERRY_UPDATE").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &text).unwrap();
            }
            let there = fs::read_to_string(&path).unwrap_or_default();
            let renew = "KEYFERRY_UPDATE=1 cargo test --test bindings the_generated_declarations";
            assert!(
                there == text,
                "{} is not what the header gives: run {renew}",
                binding.file
            );
        }
    }
}
