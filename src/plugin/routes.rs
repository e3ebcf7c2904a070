//! Routes of a plugin's service. Patterns are parsed once. Matching a path needs no call of the
//! plugin, no lock and no allocation.

use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, RequiredAccess, ResourceKind};
use crate::model::resource::position;
use crate::ports::service::Target;

/// A parsed pattern, and the kind and access of the tokens for matching paths.
#[derive(Debug)]
pub(super) struct Route {
    /// The part of the pattern before `{id}`, or all of it if there is no id.
    prefix: Box<str>,
    /// The part after `{id}`, including its slash. `None` if there is no id.
    suffix: Option<Box<str>>,
    /// Whether the pattern ends in `{rest}`, so more segments may follow.
    allows_rest: bool,
    resource_kind: ResourceKind,
    access: Access,
}

impl Route {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Returns the reason why the pattern is invalid: a verb phrase such as "is empty".
    pub(super) fn parse(
        pattern: &str,
        resource_kind: ResourceKind,
        access: Access,
    ) -> Result<Self, &'static str> {
        let (fixed, allows_rest) = match pattern.strip_suffix("{rest}") {
            Some("") => ("", true),
            Some(rest) => (
                rest.strip_suffix('/')
                    .ok_or("has a `{rest}` that is not a whole segment")?,
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
            return Err(
                "contains something other than plain segments, at most one `{id}`, and `{rest}` at the end",
            );
        }
        let segments = || fixed.split('/');
        if !fixed.is_empty()
            && segments().any(|segment| segment.is_empty() || segment.starts_with('.'))
        {
            return Err("has an empty segment, or a segment that begins with a dot");
        }
        let has_id = parts.len() == 2;
        if has_id && !segments().any(|segment| segment == "{id}") {
            return Err("has an `{id}` that is not a whole segment");
        }
        if has_id != (resource_kind == ResourceKind::Package) {
            return Err(
                "must contain `{id}` if its token kind is an item, and must not contain it otherwise",
            );
        }
        Ok(Self {
            prefix: parts[0].into(),
            suffix: parts.get(1).map(|suffix| (*suffix).into()),
            allows_rest,
            resource_kind,
            access,
        })
    }

    /// Returns the target of `path` if the pattern matches. The target borrows its id from `path`.
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

    /// Returns the kind and the access of the route's tokens.
    pub(super) fn kind_and_access(&self) -> (ResourceKind, Access) {
        (self.resource_kind, self.access)
    }

    /// Returns the route's target for an id.
    fn target<'a>(&self, id: &'a str) -> Target<'a> {
        Target {
            resource_kind: self.resource_kind,
            id,
            required: RequiredAccess::Only(self.access),
            parent: None,
        }
    }
}

/// Returns the part of `text` after `prefix`, like [`str::strip_prefix`].
///
/// Rationale: skips an empty prefix, because an empty `Box<str>` has a dangling pointer, and the C
/// library's AVX `memcmp` takes 150 ns for zero bytes on an unmapped page.
#[inline]
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() {
        Some(text)
    } else {
        text.strip_prefix(prefix)
    }
}

/// Returns the target of `path` for the first route that matches.
#[inline]
pub(super) fn classify<'a>(routes: &[Route], path: &'a str) -> Result<Target<'a>> {
    match routes.iter().find_map(|route| route.match_path(path)) {
        Some(target) => Ok(target),
        None => Err(Error::new(
            ErrorKind::UnknownService,
            "the path matches no route of the plugin's service; run `keyferry plugin list` to see its routes",
        )),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
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
