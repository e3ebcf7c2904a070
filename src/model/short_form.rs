//! The error for a misspelt short form: names the word, the nearest spelling and the valid forms.
//!
//! The error quotes only words and IDs, never a query: it may contain a link's secret.

use crate::error::{Error, ErrorKind};
use crate::model::nearest::{did_you_mean, nearest_name, typos};
use crate::model::resource::{DEFAULT_SERVICE, split_query};

/// The longest word that an error quotes.
const MAX_WORD_BYTES: usize = 24;
/// The placeholder of an ID in a short form.
const ID: &str = "ID";

/// A short form of a service.
struct Form<'a> {
    service: &'a str,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Form<'a> {
    fn new(service: &'a str, form: &'a str) -> Self {
        let (path, query) = split_query(form);
        Self {
            service,
            path,
            query,
        }
    }

    /// Returns the form as callers write it, with the IDs of `path`. A form with a secret keeps its
    /// placeholders, because the caller may have written the secret in place of the ID.
    fn spelled(&self, path: &str) -> String {
        let with_ids = match self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => with_ids(self.path, path, is_plain_id),
        };
        match self.service {
            DEFAULT_SERVICE => with_ids,
            service => format!("{service}:{with_ids}"),
        }
    }

    /// Returns the number of typing mistakes in `path` if this form was meant. `None` if they are
    /// too many.
    fn typos(&self, path: &str) -> Option<usize> {
        let words = self.path.split('/').filter(|word| *word != ID);
        let fixed_bytes = words.map(str::len).sum();
        let meant = with_ids(self.path, path, |id| !id.is_empty());
        typos(path, &meant, fixed_bytes)
    }
}

/// Builds the error for a path that is not a short form of `service`. `prefix` is a version prefix
/// of the service. `known` lists the short forms of all services, each with the service's name.
pub fn unknown<'a>(
    (service, prefix): (&str, &str),
    (path, query): (&str, Option<&str>),
    known: impl Iterator<Item = (&'a str, &'a str)>,
) -> Error {
    let known: Vec<_> = known
        .map(|(service, form)| Form::new(service, form))
        .collect();
    let own = || known.iter().filter(|form| form.service == service);
    let nearest = nearest_form(path, &known).or_else(|| {
        let word = nearest_first_word(path, own())?;
        Some(format!("{service}:{prefix}{word}/…"))
    });
    let other_paths = format!("write any other path as a URL or as {service}:{prefix}…");
    let message = if nearest.is_none() && lacks_scheme(path) {
        format!("the resource looks like a URL without its scheme; add https://, or {other_paths}")
    } else {
        let word = quoted_word(path, query);
        let nearest = did_you_mean(nearest.map(|form| format!("`{form}`")).as_deref());
        let forms: Vec<_> = own().map(|form| form.spelled("")).collect();
        let forms = forms.join(", ");
        format!("{service} has no short form{word}; {nearest}use one of: {forms}; {other_paths}")
    };
    Error::new(ErrorKind::InvalidResource, message)
}

fn nearest_form(path: &str, known: &[Form<'_>]) -> Option<String> {
    let meant = known
        .iter()
        .filter_map(|form| Some((form.typos(path)?, form)));
    meant
        .min_by_key(|(typos, _)| *typos)
        .map(|(_, form)| form.spelled(path))
}

/// Returns the word that a longer path probably begins with, if an ID follows the word.
fn nearest_first_word<'a>(
    path: &str,
    forms: impl Iterator<Item = &'a Form<'a>>,
) -> Option<&'a str> {
    let (word, _) = path.split_once('/')?;
    let words: Vec<_> = forms
        .filter_map(|form| Some(form.path.split_once('/')?.0))
        .collect();
    nearest_name(word, &words)
}

/// Replaces the placeholders in a form by the segments of `path` that `is_id` accepts.
fn with_ids(form: &str, path: &str, is_id: fn(&str) -> bool) -> String {
    let mut segments = path.split('/');
    let words = form.split('/').map(|word| {
        let id = segments.next().filter(|id| word == ID && is_id(id));
        id.unwrap_or(word)
    });
    words.collect::<Vec<_>>().join("/")
}

fn is_plain_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !id.is_empty() && id.bytes().all(is_plain)
}

/// Returns the first word of a path for an error, or nothing if it may be a secret instead.
fn quoted_word(path: &str, query: Option<&str>) -> String {
    let (word, below) = path
        .split_once('/')
        .map_or((path, ""), |(word, _)| (word, "/…"));
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || b"-_".contains(&byte);
    if word.is_empty() || word.len() > MAX_WORD_BYTES || !word.bytes().all(is_letter) {
        return " of this spelling".to_owned();
    }
    let query = query.map_or("", |_| "?…");
    format!(" `{word}{below}{query}`")
}

/// Returns whether a path looks like a URL without `https://`, or like its part after the host.
fn lacks_scheme(path: &str) -> bool {
    let word = path.split('/').next().unwrap_or_default();
    word.contains('.') || matches!(word, "http" | "https" | "api" | "v1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_quotes_no_text_that_may_be_a_secret() {
        for (path, query) in [
            ("hunter2", None),
            ("hunter2/x", None),
            ("links/hunter2", None),
            ("link/hunter2", None),
            ("links/L", Some("secret=hunter2")),
            ("links/L/hunter2", None),
            ("secret=hunter2", None),
            ("packages/P?secret=hunter2", None),
            ("packages/P", Some("secret=hunter2")),
            ("packages/P&secret=hunter2", None),
            ("user/hunter2", None),
        ] {
            let known = [("masv", "packages/ID"), ("masv", "links/ID?secret=SECRET")];
            let error = unknown(("masv", "/v1/"), (path, query), known.into_iter());
            assert!(!error.message().contains("hunter2"), "{error}");
            assert!(error.message().contains("packages/ID"), "{error}");
        }
    }
}
