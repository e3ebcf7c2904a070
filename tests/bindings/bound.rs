//! Each function of the header is bound by each binding, or left out with a reason.

use std::collections::BTreeMap;
use std::fs;

use crate::declarations::Binding;
use crate::header::Header;
use keyferry_testing::files;

/// The sources of a binding but the generated file: path and text.
fn sources(binding: &Binding) -> BTreeMap<String, String> {
    let (folder, ending) = binding.sources;
    let entries = fs::read_dir(files::file(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let paths = entries.filter(|path| {
        path.extension().is_some_and(|there| there == ending) && *path != files::file(binding.file)
    });
    paths
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

/// What is neither named in a source nor left out with a reason, or both.
fn unbound(header: &Header, binding: &Binding, sources: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut complaints = Vec::new();
    for name in header
        .functions
        .iter()
        .map(|function| function.name.as_str())
    {
        let bound = sources.split(|c| !is_part(c)).any(|word| word == name);
        let reason = binding
            .left_out
            .iter()
            .any(|(left_out, _)| *left_out == name);
        if bound == reason {
            let what = if bound {
                "bound and also left out"
            } else {
                "not bound: bind it, or leave it out with a reason"
            };
            complaints.push(format!("{}: {name} is {what}", binding.sources.0));
        }
    }
    let unknown = binding.left_out.iter().filter(|(name, _)| {
        header
            .functions
            .iter()
            .all(|function| function.name != *name)
    });
    complaints.extend(unknown.map(|(name, _)| {
        format!(
            "{}: {name} is left out, and the header has none",
            binding.sources.0
        )
    }));
    complaints
}

mod tests {
    use super::*;
    use crate::declarations::BINDINGS;

    #[test]
    fn every_function_is_bound_or_has_a_reason_not_to_be() {
        let header = Header::read();
        for binding in BINDINGS {
            let text: String = sources(binding).into_values().collect();
            assert_eq!(unbound(&header, binding, &text), Vec::<String>::new());
            let every = header.functions.len() - binding.left_out.len();
            assert_eq!(
                unbound(&header, binding, "").len(),
                every,
                "the comparison sees each one that is missing"
            );
            assert!(
                binding.left_out.iter().all(|(_, reason)| reason.len() > 10),
                "a reason is a sentence"
            );
        }
    }
}
