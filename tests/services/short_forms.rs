//! The short forms of the built-in services: each documented one names its token, and no other
//! spelling names any.

use keyferry::config::Config;
use keyferry::engine::accounts::Accounts;
use keyferry::error::{Error, ErrorKind};
use keyferry::ffi::status::KEYFERRY_E_INVALID_RESOURCE;
use keyferry::model::key::ResourceKind;
use keyferry::secret::Secret;
use proptest::prelude::*;

use crate::origins;

/// A secret that no message may repeat.
const LINK_SECRET: &str = "s3cr3tOfTheLink";

/// What a spelling must do.
enum Outcome {
    /// It names this kind of token, with this id.
    Names(ResourceKind, &'static str),
    /// It is refused, and the message says this.
    Refused(&'static str),
    /// It is refused because no service has this name, and the message says this.
    NoService(&'static str),
    /// It is the URL of a service, and refused like one.
    UnknownUrl,
    /// It needs no header.
    NoHeader,
}

use Outcome::{Names, NoHeader, NoService, Refused, UnknownUrl};
use ResourceKind::{Bearer, Key, Link, Package, Session, Transfer};

fn accounts() -> Accounts {
    let mut config = Config::new();
    for (key, value) in [
        ("masv.api_key", "key"),
        ("fileverbs.secret_key", "secret"),
        ("fileverbs.api_key", "key"),
    ] {
        config.set(key, Secret::from(value)).unwrap();
    }
    Accounts::open(&config, &keyferry::plugin::Plugins::default()).unwrap()
}

/// Returns the kind and the id of the token that a resource names.
fn named(accounts: &Accounts, text: &str) -> Result<(ResourceKind, String), Error> {
    accounts.resolve(0, text, |resolved| {
        let target = resolved.target;
        Ok((target.resource_kind, target.id.to_owned()))
    })
}

const DOCUMENTED: &[(&str, Outcome)] = &[
    ("user", Names(Key, "")),
    ("masv:user", Names(Key, "")),
    ("packages/01ABC", Names(Package, "01ABC")),
    ("masv:packages/01ABC", Names(Package, "01ABC")),
    ("packages/a-b_c", Names(Package, "a-b_c")),
    ("packages/.x", Names(Package, ".x")),
    ("packages/a|b", Names(Package, "a|b")),
    // An ID is taken as it is written.
    ("packages/%30%31", Names(Package, "%30%31")),
    ("packages/a%2Fb", Names(Package, "a%2Fb")),
    ("packages/transfers", Names(Package, "transfers")),
    ("packages/P/transfers/X", Names(Transfer, "X")),
    ("masv:packages/P/transfers/X", Names(Transfer, "X")),
    ("transfers/X", Names(Transfer, "X")),
    ("masv:transfers/X", Names(Transfer, "X")),
    ("links/L?secret=s3cr3tOfTheLink", Names(Link, "L")),
    ("masv:links/L?secret=s3cr3tOfTheLink", Names(Link, "L")),
    ("links/L?secret=a%2Bb", Names(Link, "L")),
    ("fileverbs:bearer", Names(Bearer, "")),
    ("fileverbs:secret-key", Names(Key, "")),
    ("agent:session", Names(Session, "")),
    // The path of a URL, below a service.
    ("masv:/v1/user", Names(Key, "")),
    ("masv:/v1/teams/T/packages?page=2", Names(Key, "")),
    ("masv:/v1.1/teams/T/packages", Names(Key, "")),
    ("masv:/v1/packages/P", Names(Package, "P")),
    ("masv:/v1/packages/P/files/F", Names(Package, "P")),
    ("masv:/v1/transfers/X/retry", Names(Transfer, "X")),
    ("fileverbs:/api/v1/fileuploads", Names(Bearer, "")),
    ("agent:/api/v1/login", Names(Session, "")),
    ("https://api.massive.app/v1/packages/P", Names(Package, "P")),
    ("masv:/v1/auth", NoHeader),
    ("fileverbs:/api/v1/accounts/access-token", NoHeader),
    // In a URL, these words of FileVerbs have no meaning of their own.
    ("fileverbs:/api/v1/secret-key", Names(Bearer, "")),
    ("fileverbs:/api/v1/bearer", Names(Bearer, "")),
];

const MISSPELT: &[(&str, Outcome)] = &[
    (
        "packges/01ABC",
        Refused("`packges/…`; did you mean `packages/01ABC`?"),
    ),
    (
        "Packages/01ABC",
        Refused("`Packages/…`; did you mean `packages/01ABC`?"),
    ),
    ("PACKAGES/01ABC", Refused("did you mean `packages/01ABC`?")),
    ("pacakges/01ABC", Refused("did you mean `packages/01ABC`?")),
    ("package/01ABC", Refused("did you mean `packages/01ABC`?")),
    ("packagess/01ABC", Refused("did you mean `packages/01ABC`?")),
    ("package-s/01ABC", Refused("did you mean `packages/01ABC`?")),
    (
        "masv:packges/01ABC",
        Refused("did you mean `packages/01ABC`?"),
    ),
    (
        "masv:foo/bar",
        Refused("masv has no short form `foo/…`; use one of: user,"),
    ),
    (
        "foo/bar",
        Refused("masv has no short form `foo/…`; use one of: user,"),
    ),
    (
        "foo",
        Refused("masv has no short form `foo`; use one of: user,"),
    ),
    ("masv:masv:user", Refused("use one of: user,")),
    ("pack%61ges/01ABC", Refused("use one of: user,")),
    ("packages%2F01ABC", Refused("use one of: user,")),
    ("us%65r", Refused("use one of: user,")),
    (
        "packages",
        Refused("`packages`; did you mean `packages/ID`?"),
    ),
    (
        "packages/",
        Refused("`packages/…`; did you mean `packages/ID`?"),
    ),
    ("masv:packages/", Refused("did you mean `packages/ID`?")),
    ("packages//", Refused("did you mean `packages/ID`?")),
    (
        "packages//01ABC",
        Refused("did you mean `masv:/v1/packages/…`?"),
    ),
    ("packages/01ABC/", Refused("did you mean `packages/01ABC`?")),
    (
        "packages/01ABC//",
        Refused("did you mean `packages/01ABC`?"),
    ),
    (
        "packages/01ABC/files",
        Refused("did you mean `masv:/v1/packages/…`?"),
    ),
    (
        "packages/01ABC/files/F/download",
        Refused("did you mean `masv:/v1/packages/…`?"),
    ),
    (
        "Packages/01ABC/files",
        Refused("did you mean `masv:/v1/packages/…`?"),
    ),
    (
        "packages/01ABC?x=y",
        Refused("`packages/…?…`; did you mean `packages/01ABC`?"),
    ),
    ("packages/01ABC?", Refused("did you mean `packages/01ABC`?")),
    (
        "packages/P/transfers",
        Refused("did you mean `packages/P/transfers/ID`?"),
    ),
    (
        "packages/P/transfers/",
        Refused("did you mean `packages/P/transfers/ID`?"),
    ),
    (
        "packages/P/transfers/X/",
        Refused("did you mean `packages/P/transfers/X`?"),
    ),
    (
        "packages/P/transfer/X",
        Refused("did you mean `packages/P/transfers/X`?"),
    ),
    (
        "packages/P/Transfers/X",
        Refused("did you mean `packages/P/transfers/X`?"),
    ),
    (
        "package/P/transfers/X",
        Refused("did you mean `packages/P/transfers/X`?"),
    ),
    (
        "packages/P/transfers/X/retry",
        Refused("did you mean `masv:/v1/packages/…`?"),
    ),
    (
        "packages//transfers/X",
        Refused("did you mean `packages/ID/transfers/X`?"),
    ),
    (
        "packages/P/transfers/X?x=y",
        Refused("did you mean `packages/P/transfers/X`?"),
    ),
    (
        "packages/P/transfers//X",
        Refused("did you mean `packages/P/transfers/ID`?"),
    ),
    ("transfer/X", Refused("did you mean `transfers/X`?")),
    ("Transfers/X", Refused("did you mean `transfers/X`?")),
    ("tranfsers/X", Refused("did you mean `transfers/X`?")),
    ("transfers", Refused("did you mean `transfers/ID`?")),
    ("transfers/", Refused("did you mean `transfers/ID`?")),
    ("transfers/X/", Refused("did you mean `transfers/X`?")),
    (
        "transfers/X/retry",
        Refused("did you mean `masv:/v1/transfers/…`?"),
    ),
    ("transfers//X", Refused("did you mean `transfers/ID`?")),
    (
        "transfers/X?secret=s3cr3tOfTheLink",
        Refused("did you mean `transfers/X`?"),
    ),
    ("links/L", Refused("did you mean `links/ID?secret=SECRET`?")),
    ("links", Refused("links/ID?secret=SECRET")),
    ("links/", Refused("did you mean `links/ID?secret=SECRET`?")),
    (
        "links/L?",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/L?secret",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/L?secret=",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/?secret=s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links?secret=s3cr3tOfTheLink",
        Refused("links/ID?secret=SECRET"),
    ),
    (
        "links/L?Secret=s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/L?secrt=s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/L?secret=s3cr3tOfTheLink&x=y",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/L?x=y&secret=s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/L/?secret=s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/L/x?secret=s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/L/s3cr3tOfTheLink",
        Refused("did you mean `masv:/v1/links/…`?"),
    ),
    (
        "links/L&secret=s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "links/L%3Fsecret=s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "link/L?secret=s3cr3tOfTheLink",
        Refused("`link/…?…`; did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "Links/L?secret=s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "lniks/s3cr3tOfTheLink",
        Refused("did you mean `links/ID?secret=SECRET`?"),
    ),
    (
        "s3cr3tOfTheLink",
        Refused("masv has no short form of this spelling; use one of: user,"),
    ),
    (
        "secret=s3cr3tOfTheLink",
        Refused("masv has no short form of this spelling; use one of: user,"),
    ),
    (
        "L?secret=s3cr3tOfTheLink",
        Refused("masv has no short form `L?…`; use one of: user,"),
    ),
    ("User", Refused("did you mean `user`?")),
    ("USER", Refused("did you mean `user`?")),
    ("usr", Refused("did you mean `user`?")),
    ("uesr", Refused("did you mean `user`?")),
    ("users", Refused("did you mean `user`?")),
    ("masv:users", Refused("did you mean `user`?")),
    ("user/", Refused("did you mean `user`?")),
    ("user//", Refused("use one of: user,")),
    (
        "user/profile",
        Refused("masv has no short form `user/…`; use one of: user,"),
    ),
    ("user?x=y", Refused("`user?…`; did you mean `user`?")),
    ("user?", Refused("did you mean `user`?")),
    ("user:", Refused("cannot be parsed")),
    ("user.", Refused("did you mean `user`?")),
    ("*", Refused("masv has no short form of this spelling")),
    (
        "users/U",
        Refused("write any other path as a URL or as masv:/v1/…"),
    ),
    (
        "teams",
        Refused("write any other path as a URL or as masv:/v1/…"),
    ),
    (
        "teams/T/packages",
        Refused("write any other path as a URL or as masv:/v1/…"),
    ),
    (
        "masv:teams/T/api_keys",
        Refused("write any other path as a URL or as masv:/v1/…"),
    ),
    (
        "portals/O",
        Refused("write any other path as a URL or as masv:/v1/…"),
    ),
    (
        "cloud_connections/C",
        Refused("write any other path as a URL or as masv:/v1/…"),
    ),
    (
        "auth",
        Refused("write any other path as a URL or as masv:/v1/…"),
    ),
    (
        "v1/packages/P",
        Refused("add https://, or write any other path as a URL or as masv:/v1/…"),
    ),
    ("v1.1/teams/T/packages", Refused("add https://")),
    ("evil.example/v1/teams", Refused("add https://")),
    ("api.massive.app/v1/teams", Refused("add https://")),
    ("https//api.massive.app/v1/teams", Refused("add https://")),
    ("bearer", Refused("did you mean `fileverbs:bearer`?")),
    (
        "secret-key",
        Refused("did you mean `fileverbs:secret-key`?"),
    ),
    ("session", Refused("did you mean `agent:session`?")),
    ("masv:bearer", Refused("did you mean `fileverbs:bearer`?")),
    (
        "fileverbs:beerer",
        Refused("fileverbs has no short form `beerer`; did you mean `fileverbs:bearer`?"),
    ),
    (
        "fileverbs:Bearer",
        Refused("did you mean `fileverbs:bearer`?"),
    ),
    (
        "fileverbs:bearer/",
        Refused("did you mean `fileverbs:bearer`?"),
    ),
    (
        "fileverbs:bearer?x=y",
        Refused("did you mean `fileverbs:bearer`?"),
    ),
    (
        "fileverbs:bearer/x/y",
        Refused("use one of: fileverbs:bearer, fileverbs:secret-key;"),
    ),
    (
        "fileverbs:secret_key",
        Refused("did you mean `fileverbs:secret-key`?"),
    ),
    (
        "fileverbs:secretkey",
        Refused("did you mean `fileverbs:secret-key`?"),
    ),
    (
        "fileverbs:secret-key/",
        Refused("did you mean `fileverbs:secret-key`?"),
    ),
    (
        "fileverbs:git",
        Refused("write any other path as a URL or as fileverbs:/api/v1/…"),
    ),
    (
        "fileverbs:jobrequests/1",
        Refused("write any other path as a URL or as fileverbs:/api/v1/…"),
    ),
    (
        "fileverbs:accounts/access-token",
        Refused("as fileverbs:/api/v1/…"),
    ),
    ("fileverbs:user", Refused("did you mean `user`?")),
    (
        "fileverbs:packages/01ABC",
        Refused("did you mean `packages/01ABC`?"),
    ),
    (
        "agent:sesion",
        Refused("agent has no short form `sesion`; did you mean `agent:session`?"),
    ),
    ("agent:session/", Refused("did you mean `agent:session`?")),
    ("agent:Session", Refused("did you mean `agent:session`?")),
    (
        "agent:login",
        Refused("write any other path as a URL or as agent:/api/v1/…"),
    ),
    (
        "agent:session?x=y",
        Refused("did you mean `agent:session`?"),
    ),
    ("/user", Refused("cannot be parsed")),
    ("/v1/user", Refused("cannot be parsed")),
    ("//user", Refused("cannot be parsed")),
    ("masv:", Refused("cannot be parsed")),
    (":user", Refused("cannot be parsed")),
    ("", Refused("is empty")),
    (" user", Refused("contains a space")),
    ("user ", Refused("contains a space")),
    ("packages/01 ABC", Refused("contains a space")),
    (
        "user\t",
        Refused("contains a space, a line break or another control character"),
    ),
    (
        "user\n",
        Refused("contains a space, a line break or another control character"),
    ),
    (
        "packages/01ABC\r",
        Refused("contains a space, a line break or another control character"),
    ),
    ("user\u{a0}", Refused("percent-encode it")),
    ("\u{feff}user", Refused("the resource ")),
    ("ｕser", Refused("percent-encode it")),
    ("user#x", Refused("percent-encode it")),
    ("packages\\01ABC", Refused("percent-encode it")),
    ("packages/../user", Refused("a . or .. segment")),
    ("packages/.", Refused("a . or .. segment")),
    ("masv:../user", Refused("a . or .. segment")),
    ("masv:/v1/../user", Refused("a . or .. segment")),
    ("MASV:user", NoService("did you mean masv:?")),
    ("Masv:packages/01ABC", NoService("did you mean masv:?")),
    ("msav:user", NoService("did you mean masv:?")),
    ("fileverb:bearer", NoService("did you mean fileverbs:?")),
    ("FileVerbs:bearer", NoService("did you mean fileverbs:?")),
    ("agnet:session", NoService("did you mean agent:?")),
    (
        "nosuch:user",
        NoService("colon; use one of: masv, agent, fileverbs"),
    ),
    (
        "packages:01ABC",
        NoService("use one of: masv, agent, fileverbs"),
    ),
    (
        "localhost:8080/v1/teams",
        NoService("use one of: masv, agent, fileverbs"),
    ),
    ("masv:/user", UnknownUrl),
    ("masv:/packages/01ABC", UnknownUrl),
    ("masv:/v2/user", UnknownUrl),
    ("masv:/V1/user", UnknownUrl),
    ("masv://v1/user", UnknownUrl),
    ("masv:/v1/", UnknownUrl),
    ("masv:/v1/pacakges", UnknownUrl),
    ("masv:/v1//user", UnknownUrl),
    ("masv:/v1/packages/", UnknownUrl),
    ("fileverbs:/v1/bearer", UnknownUrl),
    ("fileverbs:/api/v1/", UnknownUrl),
    ("agent:/api/v1/", UnknownUrl),
    ("agent:/session", UnknownUrl),
];

#[test]
fn a_short_form_is_a_documented_word_and_nothing_else() {
    assert!(DOCUMENTED.len() + MISSPELT.len() >= 100);
    let accounts = accounts();
    let mut wrong = Vec::new();
    for (text, outcome) in DOCUMENTED.iter().chain(MISSPELT) {
        let refused_with =
            |error: &Error, kind, said: &str| error.kind == kind && error.message().contains(said);
        let found = named(&accounts, text);
        let is_right = match (&found, outcome) {
            (Ok((kind, id)), Names(expected, expected_id)) => kind == expected && id == expected_id,
            (Err(error), Refused(said)) => refused_with(error, ErrorKind::InvalidResource, said),
            (Err(error), NoService(said)) => refused_with(error, ErrorKind::UnknownService, said),
            (Err(error), UnknownUrl) => refused_with(error, ErrorKind::UnknownService, ""),
            (Err(error), NoHeader) => refused_with(error, ErrorKind::NoHeader, ""),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{text:?}: {found:?}"));
        }
        if let Err(error) = &found {
            assert!(!error.message().contains(LINK_SECRET), "{text}: {error}");
        }
        let fast = accounts.resolve_fast(0, text);
        assert!(fast.is_none() || found.is_ok(), "{text:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a resource is written as docs/resources.md writes it. It shares no code with the library.
fn is_documented(text: &str) -> bool {
    let is_id = |id: &str| !id.is_empty() && !id.contains(['/', '?']);
    let text = text.strip_prefix("masv:").unwrap_or(text);
    let words: Vec<&str> = text.split('/').collect();
    match words.as_slice() {
        ["user" | "fileverbs:bearer" | "fileverbs:secret-key" | "agent:session"] => true,
        ["packages" | "transfers", id] => is_id(id),
        ["packages", package, "transfers", id] => is_id(package) && is_id(id),
        ["links", ..] => {
            let link = text.strip_prefix("links/").unwrap_or_default();
            link.split_once("?secret=")
                .is_some_and(|(id, secret)| is_id(id) && !secret.is_empty())
        }
        _ => false,
    }
}

/// A short form with a few changed characters, or pieces of short forms in any order.
fn misspelt() -> impl Strategy<Value = String> {
    let form = prop::sample::select(vec![
        "user",
        "packages/01ABC",
        "packages/P/transfers/X",
        "transfers/X",
        "links/L?secret=s3cr3tOfTheLink",
        "fileverbs:bearer",
        "fileverbs:secret-key",
        "agent:session",
        "masv:user",
        "masv:packages/01ABC",
    ]);
    let edit = (0_u8..4, any::<prop::sample::Index>(), "[ -~]");
    let edited = (form, prop::collection::vec(edit, 0..4)).prop_map(|(form, edits)| {
        let mut text: Vec<char> = form.chars().collect();
        for (kind, at, other) in edits {
            let at = at.index(text.len().max(1));
            let other = other.chars().next().unwrap_or('x');
            match kind {
                0 => text.insert(at, other),
                1 if at < text.len() => drop(text.remove(at)),
                2 if at < text.len() => text[at] = other,
                _ if at + 1 < text.len() => text.swap(at, at + 1),
                _ => {}
            }
        }
        text.into_iter().collect::<String>()
    });
    let piece = prop::sample::select(vec![
        "user",
        "packages",
        "transfers",
        "links",
        "bearer",
        "session",
        "teams",
        "files",
        "users",
        "api_keys",
        "/",
        "/",
        "/",
        "01ABC",
        "masv:",
        "fileverbs:",
        "agent:",
        "?secret=s",
        "secret-key",
        "?",
        "%2f",
        "v1",
        "x",
    ]);
    let pieces = prop::collection::vec(piece, 1..7).prop_map(|pieces| pieces.concat());
    prop_oneof![
        3 => edited,
        2 => pieces,
        1 => "[a-z]{1,10}(/[a-z0-9]{0,6}){0,3}",
        1 => "(masv|fileverbs|agent):[a-z-]{1,12}(/[a-z0-9]{0,6}){0,3}",
    ]
}

#[test]
fn no_undocumented_word_names_a_token() {
    let accounts = accounts();
    let named_some = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases: 40_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(text in misspelt())| {
        let found = named(&accounts, &text);
        // The path of a URL is no short form.
        let is_path = ["masv:/", "fileverbs:/", "agent:/"]
            .iter()
            .any(|service| text.starts_with(service));
        if found.is_ok() && !is_path {
            named_some.set(named_some.get() + 1);
            prop_assert!(is_documented(&text), "{text:?} names {found:?}");
        }
        if let Err(error) = found {
            prop_assert!(!error.message().contains(LINK_SECRET), "{text:?}: {error}");
        }
    });
    assert!(
        named_some.get() > 1000,
        "only {} were documented",
        named_some.get()
    );
}

/// Each of these printed the strongest token of its service.
const DANGEROUS: &[(&str, &str)] = &[
    ("packges/01ABC", "did you mean `packages/01ABC`?"),
    ("Packages/01ABC", "did you mean `packages/01ABC`?"),
    ("masv:packges/01ABC", "did you mean `packages/01ABC`?"),
    ("masv:foo/bar", "use one of: user, packages/ID,"),
    ("teams/T", "as masv:/v1/…"),
    ("fileverbs:beerer", "did you mean `fileverbs:bearer`?"),
    ("agent:sesion", "did you mean `agent:session`?"),
];

#[test]
fn every_function_refuses_a_misspelt_short_form() {
    let session = origins::session("https://api.massive.app");
    for (resource, said) in DANGEROUS {
        origins::assert_refused(&session, resource);
        let error = session.token(resource).err().unwrap();
        assert_eq!(error.status, KEYFERRY_E_INVALID_RESOURCE, "{resource}");
        assert!(error.message.contains(said), "{resource}: {error:?}");
    }
}

#[test]
fn the_documentation_has_the_short_forms_of_the_services() {
    let accounts = accounts();
    let page = keyferry_testing::documents::read("docs/resources.md");
    let mut forms = 0;
    for bound in &accounts.account(0).services {
        let service = bound.service.name();
        for form in bound.service.short_forms() {
            let written = match service {
                "masv" => form.replace("=SECRET", "=S"),
                _ => format!("{service}:{form}"),
            };
            assert!(page.contains(&format!("`{written}`")), "{written}");
            assert!(named(&accounts, &written).is_ok(), "{written}");
            forms += 1;
        }
    }
    assert_eq!(forms, 8);
}
