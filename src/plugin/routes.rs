//! The routes of a plugin's service: patterns parsed once, matched without a call, a lock or an
//! allocation.

use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind};
use crate::model::resource::position;
use crate::ports::service::{RequiredAccess, Target};

/// A pattern, and the tokens for its paths.
#[derive(Debug)]
pub(super) struct Route {
    /// The text before the id, or all of it.
    prefix: Box<str>,
    /// The text behind the id, with its slash; none if there is no id.
    suffix: Option<Box<str>>,
    /// Whether more segments may follow.
    allows_rest: bool,
    resource_kind: ResourceKind,
    access: Access,
}

impl Route {
    /// Parses a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with the pattern.
    pub(super) fn parse(
        pattern: &str,
        resource_kind: ResourceKind,
        access: Access,
    ) -> Result<Self, &'static str> {
        let (fixed, allows_rest) = match pattern.strip_suffix("{rest}") {
            Some("") => ("", true),
            Some(rest) => (
                rest.strip_suffix('/')
                    .ok_or("has a {rest} that is no whole segment")?,
                true,
            ),
            None => (pattern, false),
        };
        if fixed.is_empty() && !allows_rest {
            return Err("is empty");
        }
        let is_plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:@!$&'()+,;=/".contains(&byte))
        };
        let parts: Vec<_> = fixed.split("{id}").collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_plain(part)) {
            return Err("holds more than plain segments, one {id}, and {rest} at the end");
        }
        let segments = || fixed.split('/');
        if !fixed.is_empty()
            && segments().any(|segment| segment.is_empty() || segment.starts_with('.'))
        {
            return Err("has an empty segment, or one that begins with a dot");
        }
        let has_id = parts.len() == 2;
        if has_id && !segments().any(|segment| segment == "{id}") {
            return Err("has an {id} that is no whole segment");
        }
        if has_id != (resource_kind == ResourceKind::Package) {
            return Err("needs an {id} for an item, and none for anything else");
        }
        Ok(Self {
            prefix: parts[0].into(),
            suffix: parts.get(1).map(|suffix| (*suffix).into()),
            allows_rest,
            resource_kind,
            access,
        })
    }

    /// The target of a path, if the pattern matches it. The id is borrowed from the path.
    #[inline]
    fn match_path<'a>(&self, path: &'a str) -> Option<Target<'a>> {
        let rest = strip_prefix(path, &self.prefix)?;
        let (id, rest) = match &self.suffix {
            None => ("", rest),
            Some(suffix) => {
                let end = position(rest.as_bytes(), b'/').unwrap_or(rest.len());
                let (id, behind) = rest.split_at(end);
                (id, strip_prefix(behind, suffix).filter(|_| !id.is_empty())?)
            }
        };
        let ends = rest.is_empty() || rest == "/";
        let below = self.allows_rest
            && (rest.starts_with('/') || self.prefix.is_empty() && self.suffix.is_none());
        (ends || below).then_some(self.target(id))
    }

    /// The kind and the access of its tokens.
    pub(super) fn kind_and_access(&self) -> (ResourceKind, Access) {
        (self.resource_kind, self.access)
    }

    /// Its target for an id.
    fn target<'a>(&self, id: &'a str) -> Target<'a> {
        Target {
            resource_kind: self.resource_kind,
            id,
            required: RequiredAccess::Only(self.access),
            parent: None,
        }
    }
}

/// The text behind `prefix`.
///
/// Rationale: an empty `Box<str>` has a dangling pointer. The C library's widest `memcmp` of zero
/// bytes from an unmapped page costs 150 ns.
#[inline]
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() {
        Some(text)
    } else {
        text.strip_prefix(prefix)
    }
}

/// The target of a path by the first route that matches it.
#[inline]
pub(super) fn classify<'a>(routes: &[Route], path: &'a str) -> Result<Target<'a>> {
    match routes.iter().find_map(|route| route.match_path(path)) {
        Some(target) => Ok(target),
        None => Err(Error::new(
            ErrorKind::UnknownService,
            "the path is like none of its service's: `keyferry plugin list` shows those there are",
        )),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn parse(pattern: &str) -> Result<Route, &'static str> {
        let resource_kind = if pattern.contains("{id}") {
            ResourceKind::Package
        } else {
            ResourceKind::Bearer
        };
        Route::parse(pattern, resource_kind, Access::Read)
    }

    #[test]
    fn a_pattern_has_the_paths_that_it_says() {
        for (pattern, path, id) in [
            ("assets/{id}", "assets/7", Some("7")),
            ("assets/{id}", "assets/7/", Some("7")),
            ("assets/{id}", "assets/", None),
            ("assets/{id}", "assets/7/x", None),
            ("assets/{id}/{rest}", "assets/7", Some("7")),
            ("assets/{id}/{rest}", "assets/7/x/y", Some("7")),
            ("assets/{id}/files/{rest}", "assets/7/files/a", Some("7")),
            ("assets/{id}/files/{rest}", "assets/7/filesystem", None),
            ("assets/{id}/files", "assets/7/filesystem", None),
            ("{id}", "7", Some("7")),
            ("{id}", "", None),
            ("token", "token", Some("")),
            ("token", "tokens", None),
            ("token/{rest}", "token/a", Some("")),
            ("token/{rest}", "tokens", None),
            ("{rest}", "", Some("")),
            ("{rest}", "any/thing", Some("")),
        ] {
            assert_eq!(
                classify(&[parse(pattern).unwrap()], path)
                    .ok()
                    .map(|target| target.id),
                id,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn a_pattern_that_can_not_be_meant_is_refused() {
        for bad in [
            "",
            "/",
            "/a",
            "a//b",
            "a/",
            "a{rest}",
            "a/{rest}/b",
            "a/*",
            "{id}/{id}",
            "x{id}",
            "a/{id}x",
            "a/../b",
            ".a",
            "a b",
            "a%20",
            "{name}",
            "a?b",
            "é",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(
            Route::parse("a", ResourceKind::Package, Access::Full).is_err()
                && Route::parse("{id}", ResourceKind::User, Access::Full).is_err()
        );
    }

    #[test]
    fn the_first_route_counts() {
        let routes = [
            parse("a/{id}/raw").unwrap(),
            Route::parse("a/{id}/{rest}", ResourceKind::Package, Access::Manage).unwrap(),
        ];
        let required = |path| classify(&routes, path).unwrap().required;
        assert_eq!(
            (required("a/1/raw"), required("a/1/rest")),
            (
                RequiredAccess::Only(Access::Read),
                RequiredAccess::Only(Access::Manage)
            )
        );
    }
}
