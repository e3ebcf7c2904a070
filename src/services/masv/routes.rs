//! The route table: determines which header each route of MASV needs.
//!
//! Every lookup runs this code, so it does no I/O, takes no lock and allocates no memory.

use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, RequiredAccess, ResourceKind};
use crate::model::resource::position;
use crate::ports::service::Target;

/// The hosts of MASV's download links.
const LINK_HOSTS: [&str; 2] = ["get.massive.io", "get.massive.app"];

/// User routes that consist of one segment.
const USER_ROUTES: [&str; 4] = ["user", "teams", "portals", "custom_webhooks"];

/// Rationale: in an earlier version, `evil.example/v1/teams` was treated as an unknown route and
/// got the API key. curl adds the missing scheme itself, so it would have sent the key to that
/// host.
const MISSING_SCHEME: &str = "the path looks like a URL without its scheme; add https://, or use only the part after the version";

/// The short forms, as the documentation writes them.
pub(super) const SHORT_FORMS: &[&str] = &[
    "user",
    "packages/ID",
    "packages/ID/transfers/ID",
    "transfers/ID",
    "links/ID?secret=SECRET",
];

/// Returns the resource that a short form names. Unlike [`classify`], this accepts only
/// [`SHORT_FORMS`].
///
/// Rationale: in an earlier version, short forms were classified like the paths of URLs. Most unknown
/// paths of URLs get the user's header, so a typo such as `packges/ID` printed the user's token.
pub(super) fn classify_short_form<'a>(
    path: &'a str,
    query: Option<&str>,
    has_api_key: bool,
) -> Option<Target<'a>> {
    if let Some(query) = query {
        let id = path.strip_prefix("links/")?;
        return (is_segment(id) && has_only_secret(query)).then(|| link(id));
    }
    if let Some(rest) = path.strip_prefix("packages/") {
        return package_short_form(rest);
    }
    if let Some(id) = path.strip_prefix("transfers/") {
        return is_segment(id).then(|| transfer(id, None));
    }
    (path == "user").then(|| user_or_key(has_api_key))
}

/// Returns the resource that `packages/` and `rest` name, if `rest` is `ID` or `ID/transfers/ID`.
fn package_short_form(rest: &str) -> Option<Target<'_>> {
    let Some((id, below)) = split_at_slash(rest) else {
        return (!rest.is_empty()).then(|| managed_package(rest));
    };
    let transfer_id = below.strip_prefix("transfers/")?;
    (!id.is_empty() && is_segment(transfer_id)).then(|| transfer(transfer_id, Some(id)))
}

/// Returns whether a query is `secret=SECRET` and nothing else.
fn has_only_secret(query: &str) -> bool {
    query
        .strip_prefix("secret=")
        .is_some_and(|secret| !secret.is_empty() && !secret.contains('&'))
}

/// Returns whether a string is one segment of a path.
fn is_segment(text: &str) -> bool {
    !text.is_empty() && position(text.as_bytes(), b'/').is_none()
}

/// Returns the resource that the path of a URL names. `has_api_key` is whether an API key is configured.
pub(super) fn classify(path: &str, has_api_key: bool) -> Result<Target<'_>> {
    if let Some(rest) = path.strip_prefix("packages/") {
        return package(rest);
    }
    if let Some(rest) = path.strip_prefix("transfers/") {
        return match split_segment(rest).0 {
            "" => unknown_path("the path has no transfer ID; use transfers/ID"),
            id => Ok(transfer(id, None)),
        };
    }
    if let Some(rest) = path.strip_prefix("links/") {
        return match split_segment(rest) {
            ("", _) => unknown_path("the path has no link ID; use links/ID?secret=SECRET"),
            (id, "") => Ok(link(id)),
            _ => unknown_path(
                "unknown route below links/ID; request user if the route needs the user's header",
            ),
        };
    }
    user_route(path, has_api_key)
}

/// Returns the resource that a pasted download link names.
pub(super) fn classify_page(url: &Url) -> Option<Target<'_>> {
    let is_page =
        url.scheme() == "https" && url.port().is_none() && LINK_HOSTS.contains(&url.host_str()?);
    match split_segment(url.path().strip_prefix('/')?) {
        (id, "") if is_page && !id.is_empty() => Some(link(id)),
        _ => None,
    }
}

fn package(rest: &str) -> Result<Target<'_>> {
    let (id, below) = split_segment(rest);
    if id.is_empty() {
        return unknown_path("the path has no package ID; use packages/ID");
    }
    if let Some(rest) = below.strip_prefix("transfers/") {
        let transfer_id = split_segment(rest).0;
        if !transfer_id.is_empty() {
            return Ok(transfer(transfer_id, Some(id)));
        }
    }
    if is_download(below) {
        return Ok(Target {
            required: RequiredAccess::Only(Access::Read),
            ..managed_package(id)
        });
    }
    Ok(managed_package(id))
}

fn managed_package(id: &str) -> Target<'_> {
    Target {
        resource_kind: ResourceKind::Package,
        id,
        required: RequiredAccess::ManageElseWrite,
        parent: None,
    }
}

/// Returns whether the part after the package ID is `files/ID/download`.
fn is_download(below: &str) -> bool {
    below.strip_prefix("files/").is_some_and(|rest| {
        let (file, verb) = split_segment(rest);
        !file.is_empty() && split_segment(verb) == ("download", "")
    })
}

fn transfer<'a>(id: &'a str, parent: Option<&'a str>) -> Target<'a> {
    Target {
        resource_kind: ResourceKind::Transfer,
        id,
        required: RequiredAccess::Only(Access::Full),
        parent,
    }
}

fn link(id: &str) -> Target<'_> {
    Target {
        resource_kind: ResourceKind::Link,
        id,
        required: RequiredAccess::Only(Access::Read),
        parent: None,
    }
}

/// Classifies a path that does not name a package, transfer or link. Such a path needs the user's
/// header or no header.
///
/// Rationale: an unknown path of one segment is probably a typo ("pacakges"), and the user's header
/// would be the wrong one for it. A longer unknown path is probably a new route that this table
/// does not have yet. New routes usually take the user's header.
fn user_route(path: &str, has_api_key: bool) -> Result<Target<'_>> {
    let user_or_key = user_or_key(has_api_key);
    let user_login = Target {
        resource_kind: ResourceKind::User,
        ..user_or_key
    };
    let (head, below) = split_segment(path);
    let (id, rest) = split_segment(below);
    match head {
        "" | "package" | "packages" | "transfer" | "transfers" | "link" | "links" => unknown_path(
            "unknown MASV path; use user, packages/ID, packages/ID/transfers/ID, transfers/ID or links/ID?secret=SECRET",
        ),
        "http" | "https" | "v1" => unknown_path(MISSING_SCHEME),
        _ if !head
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') =>
        {
            unknown_path(MISSING_SCHEME)
        }
        "auth" if below.is_empty() => {
            no_header("the login needs no header; send the e-mail and password in the body")
        }
        "subdomains" => no_header(
            "the lookup of a portal's address needs no header; send the request without one",
        ),
        "users" | "api_keys" => Ok(user_login),
        "user" if !below.is_empty() => Ok(user_login),
        "teams" | "portals" if id.is_empty() && !rest.is_empty() => {
            unknown_path("the path has an empty ID; add the ID")
        }
        "teams" if split_segment(rest).0 == "api_keys" => Ok(user_login),
        "portals" if split_segment(rest) == ("packages", "") => no_header(
            "creating a package in a portal needs no header; adopt the token from the response",
        ),
        _ if !below.is_empty() || USER_ROUTES.contains(&head) => Ok(user_or_key),
        _ => unknown_path("unknown MASV route; request user if the route needs the user's header"),
    }
}

fn user_or_key(has_api_key: bool) -> Target<'static> {
    Target {
        resource_kind: if has_api_key {
            ResourceKind::Key
        } else {
            ResourceKind::User
        },
        id: "",
        required: RequiredAccess::Only(Access::Full),
        parent: None,
    }
}

fn unknown_path(message: &'static str) -> Result<Target<'static>> {
    Err(Error::new(ErrorKind::UnknownService, message))
}

fn no_header(message: &'static str) -> Result<Target<'static>> {
    Err(Error::new(ErrorKind::NoHeader, message))
}

/// Returns the first segment, and the rest after its slash.
#[inline(always)]
fn split_segment(path: &str) -> (&str, &str) {
    split_at_slash(path).unwrap_or((path, ""))
}

/// Splits a path at its first slash, if it has one.
#[inline(always)]
fn split_at_slash(path: &str) -> Option<(&str, &str)> {
    position(path.as_bytes(), b'/').map(|at| (&path[..at], &path[at + 1..]))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    type Row = (&'static str, ResourceKind, &'static str, RequiredAccess);
    const FULL: RequiredAccess = RequiredAccess::Only(Access::Full);
    const READ: RequiredAccess = RequiredAccess::Only(Access::Read);

    const ROUTES: &[Row] = &[
        ("user", ResourceKind::Key, "", FULL),
        ("user/", ResourceKind::Key, "", FULL),
        ("teams", ResourceKind::Key, "", FULL),
        ("teams/", ResourceKind::Key, "", FULL),
        ("teams/T", ResourceKind::Key, "", FULL),
        ("teams/T/packages", ResourceKind::Key, "", FULL),
        ("teams/T/packages/P", ResourceKind::Key, "", FULL),
        ("teams/T/inbox", ResourceKind::Key, "", FULL),
        ("teams/T/api_keys", ResourceKind::User, "", FULL),
        ("teams/T/api_keys/K", ResourceKind::User, "", FULL),
        ("teams/T/api_keys_of_old", ResourceKind::Key, "", FULL),
        ("api_keys/K", ResourceKind::User, "", FULL),
        ("users/U", ResourceKind::User, "", FULL),
        ("user/profile", ResourceKind::User, "", FULL),
        ("portals/O", ResourceKind::Key, "", FULL),
        ("portals/O/packages/P", ResourceKind::Key, "", FULL),
        ("custom_webhooks/W", ResourceKind::Key, "", FULL),
        ("cloud_connections/C", ResourceKind::Key, "", FULL),
        (
            "packages/01ARZ3NDEKTSV4RRFFQ69G5FAV",
            ResourceKind::Package,
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/expiry",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/files",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/files/F",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/files/F/finalize",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/files/F/download",
            ResourceKind::Package,
            "P",
            READ,
        ),
        (
            "packages/P/files/F/download/",
            ResourceKind::Package,
            "P",
            READ,
        ),
        (
            "packages/P/files//download",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/files/download",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/files/F/download/x",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/finalize",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/links",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/transfer",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/transfers",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        (
            "packages/P/transfers/",
            ResourceKind::Package,
            "P",
            RequiredAccess::ManageElseWrite,
        ),
        ("packages/P/transfers/X", ResourceKind::Transfer, "X", FULL),
        (
            "packages/P/transfers/X/retry",
            ResourceKind::Transfer,
            "X",
            FULL,
        ),
        ("transfers/X", ResourceKind::Transfer, "X", FULL),
        ("transfers/X/", ResourceKind::Transfer, "X", FULL),
        ("transfers/X/cancel", ResourceKind::Transfer, "X", FULL),
        ("links/L", ResourceKind::Link, "L", READ),
        ("links/L/", ResourceKind::Link, "L", READ),
    ];

    #[test]
    fn every_route_has_its_header() {
        for (path, resource_kind, id, required) in ROUTES {
            let target = classify(path, true).unwrap();
            assert_eq!(
                (target.resource_kind, target.id, target.required),
                (*resource_kind, *id, *required),
                "{path}"
            );
            let without_key = classify(path, false).unwrap();
            let expected = if *resource_kind == ResourceKind::Key {
                ResourceKind::User
            } else {
                *resource_kind
            };
            assert_eq!(
                (without_key.resource_kind, without_key.id),
                (expected, *id),
                "{path} without an API key"
            );
        }
    }

    #[test]
    fn a_short_form_names_what_the_same_path_of_a_url_names() {
        for (form, query) in [
            ("user", None),
            ("packages/P", None),
            ("packages/P/transfers/X", None),
            ("transfers/X", None),
            ("links/L", Some("secret=S")),
        ] {
            for has_api_key in [true, false] {
                assert_eq!(
                    classify_short_form(form, query, has_api_key),
                    classify(form, has_api_key).ok(),
                    "{form}"
                );
            }
        }
    }

    #[test]
    fn most_paths_of_urls_are_no_short_forms() {
        let short_forms: Vec<_> = ROUTES
            .iter()
            .map(|(path, ..)| *path)
            .filter(|path| classify_short_form(path, None, true).is_some())
            .collect();
        let documented = [
            "user",
            "packages/01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "packages/P/transfers/X",
            "transfers/X",
        ];
        assert_eq!(short_forms, documented);
        for (path, query) in [
            ("user", Some("")),
            ("packages/P", Some("secret=S")),
            ("transfers/X", Some("x=y")),
            ("packages/P/transfers/X", Some("")),
            ("links/L", Some("")),
            ("links/L", Some("secret=")),
            ("links/L", Some("secret=S&x=y")),
            ("links/L", Some("x=secret=S")),
            ("links/", Some("secret=S")),
            ("packges/P", None),
            ("Packages/P", None),
        ] {
            assert_eq!(classify_short_form(path, query, true), None, "{path}");
        }
    }

    #[test]
    fn a_transfer_carries_its_package_where_the_path_names_it() {
        assert_eq!(
            classify("packages/P/transfers/X", true).unwrap().parent,
            Some("P")
        );
        assert_eq!(classify("transfers/X", true).unwrap().parent, None);
    }

    #[test]
    fn public_routes_take_no_header() {
        for path in [
            "auth",
            "auth/",
            "portals/O/packages",
            "portals/O/packages/",
            "subdomains/portals/acme",
            "subdomains/x",
        ] {
            assert_eq!(
                classify(path, true).unwrap_err().kind,
                ErrorKind::NoHeader,
                "{path}"
            );
        }
    }

    #[test]
    fn an_empty_id_or_an_unknown_word_is_nothing() {
        for path in [
            "",
            "/",
            "//",
            "/user",
            "nosuch",
            "pacakges",
            "packages",
            "packages/",
            "packages//",
            "packages//files",
            "package/P",
            "transfers",
            "transfers/",
            "transfers//X",
            "transfer/X",
            "links",
            "links/",
            "links//",
            "links/L/x",
            "link/L",
            "teams//packages",
            "portals//packages",
            "evil.example/v1/teams",
            "api.massive.app/v1/teams",
            "https//api.massive.app/v1/teams",
            "v1/packages/P",
            "v1.1/teams/T/packages",
        ] {
            assert_eq!(
                classify(path, true).unwrap_err().kind,
                ErrorKind::UnknownService,
                "{path}"
            );
        }
    }

    #[test]
    fn a_pasted_link_is_one_on_exactly_two_hosts() {
        let of = |text: &str| {
            classify_page(&Url::parse(text).unwrap())
                .map(|target| (target.resource_kind, target.id.to_owned()))
        };
        for good in [
            "https://get.massive.io/L1?secret=s",
            "https://GET.massive.app:443/L1/?secret=s",
            "https://get.massive.io/L1",
        ] {
            assert_eq!(of(good), Some((ResourceKind::Link, "L1".into())), "{good}");
        }
        for other in [
            "http://get.massive.io/L1?secret=s",
            "https://get.massive.io:444/L1",
            "https://get.massive.io.evil.example/L1",
            "https://xget.massive.io/L1",
            "https://get.massive.com/L1",
            "https://get.massive.io/",
            "https://get.massive.io//L1",
            "https://get.massive.io/a/L1",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_slash_is_found_wherever_it_is() {
        for at in 0..40 {
            let text = format!("{}/x/y", &"\u{7f}0.".repeat(14)[..at]);
            assert_eq!(position(text.as_bytes(), b'/'), Some(at));
        }
        assert_eq!(position(b"no such thing here", b'/'), None);
        assert_eq!(position(b"", b'/'), None);
    }
}
