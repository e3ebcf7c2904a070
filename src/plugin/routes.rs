//! The routes of a plugin's service: patterns that were read once, matched without a call, a lock or an allocation.

use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind};
use crate::model::resource::position;
use crate::ports::service::{RequiredAccess, Target};

/// One pattern.
#[derive(Debug)]
pub(super) struct Route {
    /// What stands before the id, or the whole.
    head: Box<str>,
    /// What stands behind it, with its slash; none if there is no id.
    tail: Option<Box<str>>,
    /// More may follow.
    open: bool,
    resource_kind: ResourceKind,
    access: Access,
}

impl Route {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, to go behind it.
    pub(super) fn read(pattern: &str, resource_kind: ResourceKind, access: Access) -> Result<Self, &'static str> {
        let (closed, open) = match pattern.strip_suffix("{rest}") {
            Some("") => ("", true),
            Some(rest) => (rest.strip_suffix('/').ok_or("has a {rest} that is no whole segment")?, true),
            None => (pattern, false),
        };
        if closed.is_empty() && !open {
            return Err("is empty");
        }
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:@!$&'()+,;=/".contains(&byte));
        let parts: Vec<_> = closed.split("{id}").collect();
        if parts.len() > 2 || !parts.iter().all(|part| plain(part)) {
            return Err("holds more than plain segments, one {id}, and {rest} at the end");
        }
        let segments = || closed.split('/');
        if !closed.is_empty() && segments().any(|segment| segment.is_empty() || segment.starts_with('.')) {
            return Err("has an empty segment, or one that begins with a dot");
        }
        let has_id = parts.len() == 2;
        if has_id && !segments().any(|segment| segment == "{id}") {
            return Err("has an {id} that is no whole segment");
        }
        if has_id != (resource_kind == ResourceKind::Package) {
            return Err("needs an {id} for an item, and none for anything else");
        }
        Ok(Self { head: parts[0].into(), tail: parts.get(1).map(|tail| (*tail).into()), open, resource_kind, access })
    }

    /// What a path names, if it is like this. An id is borrowed from the path.
    #[inline]
    fn find<'a>(&self, path: &'a str) -> Option<Target<'a>> {
        let rest = strip(path, &self.head)?;
        let (id, rest) = match &self.tail {
            None => ("", rest),
            Some(tail) => {
                let end = position(rest.as_bytes(), b'/').unwrap_or(rest.len());
                let (id, behind) = rest.split_at(end);
                (id, strip(behind, tail).filter(|_| !id.is_empty())?)
            }
        };
        let whole = rest.is_empty() || rest == "/";
        let below = self.open && (rest.starts_with('/') || self.head.is_empty() && self.tail.is_none());
        (whole || below).then_some(self.target(id))
    }

    /// The kind and the access of its tokens.
    pub(super) fn kind_and_access(&self) -> (ResourceKind, Access) {
        (self.resource_kind, self.access)
    }

    /// What it names with an id.
    pub(super) fn target<'a>(&self, id: &'a str) -> Target<'a> {
        Target { resource_kind: self.resource_kind, id, required: RequiredAccess::Only(self.access), parent: None }
    }
}

/// What stands behind `head`.
///
/// Rationale: an empty `Box<str>` points to no page. The C library's widest compare is promised nothing of zero bytes from there, but
/// the processor takes a detour of 150 ns to find out that it was to read none.
#[inline]
fn strip<'a>(text: &'a str, head: &str) -> Option<&'a str> {
    if head.is_empty() { Some(text) } else { text.strip_prefix(head) }
}

/// What a path names by the first route that has it.
#[inline]
pub(super) fn classify<'a>(routes: &[Route], path: &'a str) -> Result<Target<'a>> {
    match routes.iter().find_map(|route| route.find(path)) {
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

    fn read(pattern: &str) -> Result<Route, &'static str> {
        let resource_kind = if pattern.contains("{id}") { ResourceKind::Package } else { ResourceKind::Bearer };
        Route::read(pattern, resource_kind, Access::Read)
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
            assert_eq!(classify(&[read(pattern).unwrap()], path).ok().map(|target| target.id), id, "{pattern} {path}");
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
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(
            Route::read("a", ResourceKind::Package, Access::Full).is_err()
                && Route::read("{id}", ResourceKind::User, Access::Full).is_err()
        );
    }

    #[test]
    fn the_first_route_counts() {
        let routes = [read("a/{id}/raw").unwrap(), Route::read("a/{id}/{rest}", ResourceKind::Package, Access::Manage).unwrap()];
        let required = |path| classify(&routes, path).unwrap().required;
        assert_eq!((required("a/1/raw"), required("a/1/rest")), (RequiredAccess::Only(Access::Read), RequiredAccess::Only(Access::Manage)));
    }
}
