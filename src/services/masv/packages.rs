//! Management tokens of packages: one by its id, or a team's whole list.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::user::Reply;
use super::{Masv, PACKAGE_HEADER};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, TokenKind};
use crate::ports::service::{Acquired, Context, FoundToken, TokenSpec};
use crate::services::response;

const SINGLE: &str = "GET /v1.1/teams/TEAM/packages/ID";
/// The service gives at most so many a page.
const PAGE: usize = 50;
/// Where a list ends that doesn't end: ten thousand packages.
const MAX_PAGES: usize = 200;

/// A list of packages. The inbox holds what came in through Portals.
#[derive(Clone, Copy)]
enum Shelf {
    Packages,
    Inbox,
}

impl Shelf {
    fn name(self) -> &'static str {
        match self {
            Self::Packages => "packages",
            Self::Inbox => "inbox",
        }
    }
}

/// Refuses what user credentials can't give: tokens that read or write.
pub(super) fn only_managed(spec: &TokenSpec<'_>) -> Result<()> {
    let id = response::shown(spec.id);
    let what = match spec.access {
        Access::Manage => return Ok(()),
        Access::Read => format!(
            "a management token can't download: make a link with POST /v1/packages/{id}/links and ask for \
             links/LINK?secret=SECRET, or paste the get.massive.io link"
        ),
        Access::Write => format!("only the answer that made package {id} in a Portal holds its write token: adopt that one"),
        Access::Full => "a package's token reads, writes or manages: ask for one of these".into(),
    };
    Err(Error::new(ErrorKind::InsufficientAccess, what))
}

impl Masv {
    /// The management token of a package: the single look-up, else the list, else the inbox.
    pub(super) fn package(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired> {
        let team = self.team(context)?;
        if !self.no_single_lookup.load(Ordering::Relaxed) {
            let reply = self.ask(&format!("/v1.1/teams/{team}/packages/{}", spec.id), context)?;
            if let Some(acquired) = single(spec, &reply)? {
                return Ok(acquired);
            }
            if reply.status() == 405 {
                self.no_single_lookup.store(true, Ordering::Relaxed);
            }
        }
        if let Some(new_token) = self.look_in(Shelf::Packages, &team, spec.id, context)? {
            // The list has what the look-up did not: there is no look-up here.
            self.no_single_lookup.store(true, Ordering::Relaxed);
            return Ok(Acquired::only(spec, new_token));
        }
        if let Some(new_token) = self.look_in(Shelf::Inbox, &team, spec.id, context)? {
            return Ok(Acquired::only(spec, new_token));
        }
        let what = format!(
            "package {} is not among the packages of team {} nor in its inbox: check the id and `masv.team`",
            response::shown(spec.id),
            response::shown(&team)
        );
        Err(Error::new(ErrorKind::NotFound, what))
    }

    /// One listing for all who look at the same time; what else it saw goes to memory.
    fn look_in(&self, shelf: Shelf, team: &str, id: &str, context: &dyn Context) -> Result<Option<NewToken>> {
        let name = match shelf {
            Shelf::Packages => format!("listing {team}"),
            Shelf::Inbox => format!("inbox {team}"),
        };
        let all = context.coalesce(&name, &mut || self.pages(shelf, team, context))?;
        Ok(all.iter().find(|found| found.id == id).map(|found| found.new_token.clone()))
    }

    /// All pages. Ends at the total, at a page that brings nothing new, or where no total is given at a short one.
    fn pages(&self, shelf: Shelf, team: &str, context: &dyn Context) -> Result<Vec<FoundToken>> {
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        for page in 1..=MAX_PAGES {
            let path = format!("/v1.1/teams/{team}/{}?page={page}&limit={PAGE}", shelf.name());
            let reply = self.ask(&path, context)?;
            if !response::is_success(&reply.response) {
                return self.no_page(shelf, team, page, &reply).map(|()| all);
            }
            let document = reply.document()?;
            let records = response::list(&document, &["records", "packages"]).ok_or_else(|| no_field(shelf, "records"))?;
            let before = seen.len();
            let added = read_page(shelf, records, &mut seen)?;
            all.extend(added);
            let total = response::field(&document, "metadata").and_then(|metadata| response::field(metadata, "total")?.as_u64());
            let is_last = total.map_or(records.len() < PAGE, |total| seen.len() as u64 >= total);
            if is_last || seen.len() == before {
                break;
            }
        }
        Ok(all)
    }

    /// An inbox that isn't there is empty; a list that isn't there is an error.
    fn no_page(&self, shelf: Shelf, team: &str, page: usize, reply: &Reply) -> Result<()> {
        let team_shown = response::shown(team);
        match (shelf, reply.status()) {
            (Shelf::Inbox, 403 | 404 | 405 | 410) => Ok(()),
            (Shelf::Packages, 404 | 410) if page == 1 => {
                self.forget_team(team);
                Err(reply.error(ErrorKind::NotFound, format!("MASV knows no team {team_shown}: check `masv.team`")))
            }
            (_, 403) => {
                let what =
                    format!("MASV doesn't show the packages of team {team_shown} to this user: check `masv.team`, and the user's role");
                Err(reply.error(ErrorKind::BadCredentials, what))
            }
            _ => Err(reply.unexpected(&format!("GET /v1.1/teams/TEAM/{}", shelf.name()))),
        }
    }
}

/// What the single look-up says; none if the package has to be looked for elsewhere.
fn single(spec: &TokenSpec<'_>, reply: &Reply) -> Result<Option<Acquired>> {
    let id = response::shown(spec.id);
    match reply.status() {
        404 | 405 => Ok(None),
        410 => Err(reply.error(ErrorKind::NotFound, format!("package {id} is gone: it was deleted or has expired"))),
        403 => {
            let what = format!("MASV doesn't show package {id} to this user: check `masv.team`, and the user's role");
            Err(reply.error(ErrorKind::BadCredentials, what))
        }
        _ if response::is_success(&reply.response) => {
            let document = reply.document()?;
            Ok(Some(Acquired::only(spec, new_token(SINGLE, &document)?)))
        }
        _ => Err(reply.unexpected(SINGLE)),
    }
}

/// The packages of a page that were not seen before. One without a token is passed over; a page of nothing else is wrong.
fn read_page(shelf: Shelf, records: &[Value], seen: &mut HashSet<String>) -> Result<Vec<FoundToken>> {
    let mut all = Vec::new();
    let mut failure = None;
    for record in records {
        let Some(id) = response::id(record, "id") else {
            failure = Some(no_field(shelf, "id"));
            continue;
        };
        if !seen.insert(id.clone()) {
            continue;
        }
        match new_token(&format!("GET /v1.1/teams/TEAM/{}", shelf.name()), record) {
            Ok(new_token) => all.push(FoundToken { resource_kind: ResourceKind::Package, id, access: Access::Manage, new_token }),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(all),
    }
}

/// The `expiry` of a package is not its token's: it is told as a detail and counts for nothing.
fn new_token(route: &str, record: &Value) -> Result<NewToken> {
    let token = response::token(route, record, "access_token")?;
    let expiry = response::expiry(&token, record, &["access_token_expires_at", "token_expires_at"]);
    let mut new_token = NewToken::new(TokenKind::Package, PACKAGE_HEADER, token, expiry);
    let part = |name| response::detail(record, name);
    new_token.details = json!({ "name": part("name"), "state": part("state"), "expiry": part("expiry") });
    Ok(new_token)
}

fn no_field(shelf: Shelf, field: &str) -> Error {
    let what = format!("the answer to GET /v1.1/teams/TEAM/{} has no usable `{field}`: check `masv.url`", shelf.name());
    Error::new(ErrorKind::BadResponse, what)
}
