//! The rows of MASV cloud: API key, login, packages, links, transfers, and a token that expires.
//!
//! The routes are those of the sandbox.

use serde_json::{Value, json};

use crate::demo::demo_run::{DemoRun, RowSpec, ServiceCall};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry::secret::Secret;
use keyferry::session::Session;
use keyferry_sandbox::credentials as c;

const API_KEY_HEADER: &str = "X-API-KEY";
const USER_HEADER: &str = "X-User-Token";
const PACKAGE_HEADER: &str = "X-Package-Token";
const TRANSFER_HEADER: &str = "X-Transfer-Token";

const HOUR_S: i64 = 3600;
/// The lifetime of the sandbox's user tokens.
const USER_TOKEN_LIFE_S: i64 = 72 * HOUR_S;
/// The number of threads that reject the same token at once.
const REJECTING_THREADS: usize = 8;

pub(super) fn add_rows(demo: &mut DemoRun) {
    demo.begin_service("MASV cloud");
    let masv = demo.sandbox.masv_url().to_owned();
    user_rows(demo, &masv);
    let managed = package_rows(demo, &masv);
    link_rows(demo, &masv);
    portal_row(demo, &masv);
    transfer_rows(demo, &masv, managed.as_ref());
    download_row(demo, &masv, managed.as_ref());
    expiry_rows(demo, &masv);
}

fn profile_call(masv: &str) -> ServiceCall {
    ServiceCall::send(
        "PUT",
        format!("{masv}/v1/users/{}", c::USER_ID),
        r#"{"name":"Fer Ry"}"#,
        200,
    )
}

fn user_rows(demo: &mut DemoRun, masv: &str) {
    let key = RowSpec {
        request: Request::new("user"),
        header: API_KEY_HEADER,
        access: Access::Full,
        source: "settings",
        requests: &[],
        call: ServiceCall::get(format!("{masv}/v1/teams")),
        note: "the API key from the settings, without a login",
    };
    demo.add_row(key);
    let list = format!("{masv}/v1.1/teams/{}/packages?page=1&limit=1", c::TEAM_ID);
    let by_url = RowSpec {
        request: Request::new(&list),
        header: API_KEY_HEADER,
        access: Access::Full,
        source: "memory",
        requests: &[],
        call: ServiceCall::get(list),
        note: "a program can name the URL that it calls; keyferry knows that the API key works there",
    };
    demo.add_row(by_url);
    let profile = RowSpec {
        request: Request::new(format!("{masv}/v1/users/{}", c::USER_ID)),
        header: USER_HEADER,
        access: Access::Full,
        source: "login",
        requests: &[("login", 1)],
        call: profile_call(masv),
        note: "this route rejects API keys, so keyferry logs in with the password",
    };
    demo.add_row(profile);
}

fn managed_row<'a>(
    resource: String,
    source: &'static str,
    requests: &'a [(&'static str, u64)],
    call: ServiceCall,
    note: &'static str,
) -> RowSpec<'a> {
    RowSpec {
        request: Request::new(resource),
        header: PACKAGE_HEADER,
        access: Access::Manage,
        source,
        requests,
        call,
        note,
    }
}

/// Adds the rows of management tokens, one for each way to get one. Returns the token of the first
/// package.
fn package_rows(demo: &mut DemoRun, masv: &str) -> Option<Token> {
    let at = |id: &str| format!("{masv}/v1/packages/{id}");
    let rename = ServiceCall::send("PUT", at(c::PACKAGE_ID), r#"{"name":"Reel 001"}"#, 200);
    let name = |id: &str| format!("packages/{id}");
    let first = demo.add_row(managed_row(
        name(c::PACKAGE_ID),
        "look-up",
        &[("teams", 1), ("lookup", 1)],
        rename,
        "keyferry finds the team, looks up the package there and gets its management token",
    ));
    let files = format!("{}/files", at(c::PACKAGE_ID));
    demo.add_row(managed_row(
        files.clone(),
        "memory",
        &[],
        ServiceCall::get(files),
        "the cached token works for every route of the package, so keyferry sends no request",
    ));
    demo.sandbox.configure("single_lookup", json!(false));
    let note = "look-ups of single packages now fail, so keyferry searches the list: 205 packages on 5 pages";
    let listed = ServiceCall::get(at(c::OTHER_PACKAGE_ID));
    demo.add_row(managed_row(
        name(c::OTHER_PACKAGE_ID),
        "list",
        &[("lookup", 1), ("list_page", 5)],
        listed,
        note,
    ));
    let seen = at("01J0SANDB0XPACKAGE00000200");
    demo.add_row(managed_row(
        seen.clone(),
        "memory",
        &[],
        ServiceCall::get(seen),
        "the list contained the tokens of all these packages, so this one is already cached",
    ));
    let inbox = ServiceCall::get(at(c::INBOX_PACKAGE_ID));
    demo.add_row(managed_row(
        name(c::INBOX_PACKAGE_ID),
        "inbox",
        &[("list_page", 5), ("inbox", 1)],
        inbox,
        "a package received through a Portal: keyferry searches the list, then finds it in the inbox",
    ));
    first
}

/// Adds the rows of read tokens. No other tokens allow downloads.
fn link_rows(demo: &mut DemoRun, masv: &str) {
    let download = format!(
        "{masv}/v1/packages/{}/files/{}/download",
        c::PACKAGE_ID,
        c::FILE_ID
    );
    let read = |request: Request, source, requests, note| {
        let call = ServiceCall::get(download.clone());
        RowSpec {
            request,
            header: PACKAGE_HEADER,
            access: Access::Read,
            source,
            requests,
            call,
            note,
        }
    };
    let open = Request::new(format!("links/{}?secret={}", c::LINK_ID, c::LINK_SECRET));
    demo.add_row(read(
        open,
        "link",
        &[("link", 1)],
        "downloads need a read token, which keyferry gets by opening a link",
    ));
    demo.add_row(read(
        Request::new(&download),
        "memory",
        &[],
        "the same file by its download URL: the cached read token works",
    ));
    let pasted = Request::new(format!(
        "https://get.massive.io/{}?secret={}",
        c::ENCODED_LINK_ID,
        c::ENCODED_LINK_SECRET_IN_URL
    ));
    demo.add_row(read(
        pasted,
        "link",
        &[("link", 1)],
        "a link as pasted from an e-mail: keyferry decodes the secret in it",
    ));
    let resource = format!(
        "links/{}?secret={}",
        c::PROTECTED_LINK_ID,
        c::PROTECTED_LINK_SECRET
    );
    let protected = Request {
        link_password: Some(Secret::from(c::LINK_PASSWORD)),
        ..Request::new(resource)
    };
    demo.add_row(read(
        protected,
        "link",
        &[("link", 1)],
        "a link with a password, which the program gives to keyferry",
    ));
}

/// Makes a call whose response contains a token, adopts that token and returns its resource below
/// `class`.
fn adopt(
    demo: &mut DemoRun,
    call: &ServiceCall,
    headers: &[(&str, &str)],
    class: &str,
) -> Result<String> {
    let reply = demo.call(call, headers)?;
    let document: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let resource = format!("{class}/{}", text("id"));
    demo.session
        .adopt(&resource, Secret::new(text("access_token")), None)?;
    Ok(resource)
}

/// Returns the request for an adopted token. If adopting it failed, the row shows that error.
fn adopted_request(
    resource: Result<String>,
) -> (Request, impl FnOnce(&Session, &Request) -> Result<Token>) {
    let (name, failed) = match resource {
        Ok(name) => (name, None),
        Err(error) => ("adopt".into(), Some(error)),
    };
    (
        Request::new(name),
        move |session: &Session, request: &Request| {
            failed.map_or_else(|| session.token_for(request), Err)
        },
    )
}

fn portal_row(demo: &mut DemoRun, masv: &str) {
    let make = ServiceCall::send(
        "POST",
        format!("{masv}/v1/portals/{}/packages", c::PORTAL_ID),
        r#"{"name":"From the demo"}"#,
        201,
    );
    let (request, obtain) = adopted_request(adopt(demo, &make, &[], "packages"));
    let call = ServiceCall::send(
        "POST",
        format!("{masv}/v1/{}/files", &*request.resource),
        r#"{"name":"a.mov"}"#,
        201,
    );
    let note =
        "the program created this package itself, through a Portal, and gave the token to keyferry";
    demo.add_row_with(
        RowSpec {
            request,
            header: PACKAGE_HEADER,
            access: Access::Write,
            source: "adopted",
            requests: &[],
            call,
            note,
        },
        obtain,
    );
}

fn transfer_rows(demo: &mut DemoRun, masv: &str, managed: Option<&Token>) {
    let row = |request, source, requests, call, note| RowSpec {
        request,
        header: TRANSFER_HEADER,
        access: Access::Full,
        source,
        requests,
        call,
        note,
    };
    let at = format!("{masv}/v1/transfers/{}", c::TRANSFER_ID);
    let of_package = Request::new(format!(
        "packages/{}/transfers/{}",
        c::PACKAGE_ID,
        c::TRANSFER_ID
    ));
    demo.add_row(row(
        of_package,
        "list",
        &[("transfer_list", 1)],
        ServiceCall::get(&at),
        "transfers have their own tokens, which keyferry gets from the package's list of transfers",
    ));
    let by_id = Request::new(format!("transfers/{}", c::TRANSFER_ID));
    demo.add_row(row(
        by_id,
        "memory",
        &[],
        ServiceCall::send("POST", format!("{at}/retry"), "{}", 200),
        "the same transfer by its ID: its token is cached",
    ));
    let retry = format!("{at}/retry");
    demo.add_row(row(
        Request::new(&retry),
        "memory",
        &[],
        ServiceCall::get(at),
        "the same transfer by its URL: the cached token works here too",
    ));
    let start = ServiceCall::send(
        "POST",
        format!("{masv}/v1/packages/{}/transfer", c::PACKAGE_ID),
        "{}",
        201,
    );
    let headers: Vec<_> = managed.iter().flat_map(|token| token.headers()).collect();
    let (request, obtain) = adopted_request(adopt(demo, &start, &headers, "transfers"));
    let cancel = ServiceCall::delete(format!("{masv}/v1/{}", &*request.resource));
    demo.add_row_with(
        row(
            request,
            "adopted",
            &[],
            cancel,
            "the program started this transfer itself and gave the token to keyferry",
        ),
        obtain,
    );
}

/// Adds the row of a package whose link was not opened, so that no token allows downloads from it.
fn download_row(demo: &mut DemoRun, masv: &str, managed: Option<&Token>) {
    let url = |package: &str| format!("{masv}/v1/packages/{package}/files/{}/download", c::FILE_ID);
    let call = ServiceCall::get(url(c::PACKAGE_ID)).expecting(403);
    demo.add_refused_row(
        &url(c::OTHER_PACKAGE_ID),
        ErrorKind::InsufficientAccess,
        Access::Read,
        managed,
        call,
    );
}

/// Adds the rows of a token that is cached, expires and is rejected.
fn expiry_rows(demo: &mut DemoRun, masv: &str) {
    let resource = format!("{masv}/v1/users/{}", c::USER_ID);
    let row = |source, requests, note| {
        let request = Request::new(&resource);
        RowSpec {
            request,
            header: USER_HEADER,
            access: Access::Full,
            source,
            requests,
            call: profile_call(masv),
            note,
        }
    };
    demo.advance_clock(HOUR_S);
    let Some(old) = demo.add_row(row(
        "memory",
        &[],
        "one hour later: the cached token is still valid",
    )) else {
        return;
    };
    demo.advance_clock(USER_TOKEN_LIFE_S);
    let was_refused = demo.has_status(&old, &profile_call(masv), 401);
    let Some(next) = demo.add_row(row(
        "login",
        &[("login", 1)],
        "three days later the old token has expired (status 401), so keyferry logs in again",
    )) else {
        return;
    };
    if !was_refused || next.meta().generation <= old.meta().generation {
        demo.fail_last_row("the old token did not expire, or the new one has no higher generation");
    }
    demo.sandbox.reject_token(next.value());
    let was_refused = demo.has_status(&next, &profile_call(masv), 401);
    let note = "the service revokes the token: 8 threads report this at once; keyferry asks the service, and logs in once for all";
    let reject_at_once = |session: &Session, request: &Request| all_reject(session, request, &next);
    let last = demo.add_row_with(
        row("login", &[("teams", 1), ("login", 1)], note),
        reject_at_once,
    );
    if !was_refused || last.is_some_and(|last| last.meta().generation <= next.meta().generation) {
        demo.fail_last_row(
            "the service accepted the revoked token, or the new one has no higher generation",
        );
    }
}

/// Rejects a token in several threads at once. Each thread then asks for a new token.
fn all_reject(session: &Session, request: &Request, refused: &Token) -> Result<Token> {
    let one = || {
        session
            .reject_value(&request.resource, &refused.value().into())
            .and_then(|()| session.token_for(request))
    };
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..REJECTING_THREADS).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| {
                    Err(Error::new(
                        ErrorKind::Panic,
                        "a thread of the demo panicked",
                    ))
                })
            })
            .collect()
    });
    let mut tokens = all.into_iter().collect::<Result<Vec<_>>>()?;
    let last = tokens
        .pop()
        .ok_or_else(|| Error::new(ErrorKind::Panic, "the demo started no threads"))?;
    let all_equal = tokens
        .iter()
        .all(|token| token.meta().generation == last.meta().generation);
    if all_equal {
        Ok(last)
    } else {
        Err(Error::new(
            ErrorKind::Panic,
            "the threads got different tokens",
        ))
    }
}
