//! Management tokens of packages: one by its id, or a team's whole list.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::api::{ApiResponse, Masv, PACKAGE_HEADER};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, TokenKind};
use crate::ports::service::{Acquired, Context, FoundToken, TokenSpec};
use crate::services::response;

const SINGLE_ROUTE: &str = "GET /v1.1/teams/TEAM/packages/ID";
/// The most packages that the service returns in a page.
const PAGE_SIZE: usize = 50;
/// The most pages that are fetched of a list: ten thousand packages.
const MAX_PAGES: usize = 200;

/// A list of packages. The inbox holds what came in through Portals.
#[derive(Clone, Copy)]
enum PackageList {
    Packages,
    Inbox,
}

impl PackageList {
    fn name(self) -> &'static str {
        match self {
            Self::Packages => "packages",
            Self::Inbox => "inbox",
        }
    }
}

/// Rejects access that user credentials can't give: read and write.
pub(super) fn check_manage_access(spec: &TokenSpec<'_>) -> Result<()> {
    let id = response::printable(spec.id);
    let message = match spec.access {
        Access::Manage => return Ok(()),
        Access::Read => format!(
            "a management token can't download: make a link with POST /v1/packages/{id}/links and ask for \
             links/LINK?secret=SECRET, or paste the get.massive.io link"
        ),
        Access::Write => format!(
            "only the answer that made package {id} in a Portal holds its write token: adopt that one"
        ),
        Access::Full => "a package's token reads, writes or manages: ask for one of these".into(),
    };
    Err(Error::new(ErrorKind::InsufficientAccess, message))
}

impl Masv {
    /// The management token of a package: the single look-up, else the list, else the inbox.
    pub(super) fn acquire_package(
        &self,
        spec: &TokenSpec<'_>,
        context: &dyn Context,
    ) -> Result<Acquired> {
        let team = self.team(context)?;
        if !self.single_lookup_unsupported.load(Ordering::Relaxed) {
            let response =
                self.get_as_user(&format!("/v1.1/teams/{team}/packages/{}", spec.id), context)?;
            if let Some(acquired) = parse_single(spec, &response)? {
                return Ok(acquired);
            }
            if response.status() == 405 {
                self.single_lookup_unsupported
                    .store(true, Ordering::Relaxed);
            }
        }
        if let Some(new_token) =
            self.find_in_list(PackageList::Packages, &team, spec.id, context)?
        {
            // The list has what the look-up did not: there is no look-up here.
            self.single_lookup_unsupported
                .store(true, Ordering::Relaxed);
            return Ok(Acquired::only(spec, new_token));
        }
        if let Some(new_token) = self.find_in_list(PackageList::Inbox, &team, spec.id, context)? {
            return Ok(Acquired::only(spec, new_token));
        }
        let message = format!(
            "package {} is not among the packages of team {} nor in its inbox: check the id and `masv.team`",
            response::printable(spec.id),
            response::printable(&team)
        );
        Err(Error::new(ErrorKind::NotFound, message))
    }

    /// Looks a package up in a list, which is fetched once for all concurrent callers. The other
    /// packages of the list are cached.
    fn find_in_list(
        &self,
        list: PackageList,
        team: &str,
        id: &str,
        context: &dyn Context,
    ) -> Result<Option<NewToken>> {
        let name = match list {
            PackageList::Packages => format!("listing {team}"),
            PackageList::Inbox => format!("inbox {team}"),
        };
        let all = context.coalesce(&name, &mut || self.fetch_list(list, team, context))?;
        Ok(all
            .iter()
            .find(|found| found.id == id)
            .map(|found| found.new_token.clone()))
    }

    /// Fetches all pages. Ends at the total, at a page without new packages, or without a total at
    /// a short page.
    fn fetch_list(
        &self,
        list: PackageList,
        team: &str,
        context: &dyn Context,
    ) -> Result<Vec<FoundToken>> {
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        for page in 1..=MAX_PAGES {
            let path = format!(
                "/v1.1/teams/{team}/{}?page={page}&limit={PAGE_SIZE}",
                list.name()
            );
            let response = self.get_as_user(&path, context)?;
            if !response.is_success() {
                return self.page_error(list, team, page, &response).map(|()| all);
            }
            let document = response.document()?;
            let records = response::list(&document, &["records", "packages"])
                .ok_or_else(|| missing_field(list, "records"))?;
            let before = seen.len();
            let added = parse_page(list, records, &mut seen)?;
            all.extend(added);
            let total = response::field(&document, "metadata")
                .and_then(|metadata| response::field(metadata, "total")?.as_u64());
            let is_last = total.map_or(records.len() < PAGE_SIZE, |total| {
                seen.len() as u64 >= total
            });
            if is_last || seen.len() == before {
                break;
            }
        }
        Ok(all)
    }

    /// The error of a page. A missing inbox is an empty one; a missing list is an error.
    fn page_error(
        &self,
        list: PackageList,
        team: &str,
        page: usize,
        response: &ApiResponse,
    ) -> Result<()> {
        let printable_team = response::printable(team);
        match (list, response.status()) {
            (PackageList::Inbox, 403 | 404 | 405 | 410) => Ok(()),
            (PackageList::Packages, 404 | 410) if page == 1 => {
                self.forget_team(team);
                Err(response.error(
                    ErrorKind::NotFound,
                    format!("MASV knows no team {printable_team}: check `masv.team`"),
                ))
            }
            (_, 403) => {
                let message = format!(
                    "MASV doesn't show the packages of team {printable_team} to this user: check `masv.team`, and the user's role"
                );
                Err(response.error(ErrorKind::BadCredentials, message))
            }
            _ => Err(response.unexpected(&format!("GET /v1.1/teams/TEAM/{}", list.name()))),
        }
    }
}

/// Parses the single look-up. None if the package has to be looked up elsewhere.
fn parse_single(spec: &TokenSpec<'_>, response: &ApiResponse) -> Result<Option<Acquired>> {
    let id = response::printable(spec.id);
    match response.status() {
        404 | 405 => Ok(None),
        410 => Err(response.error(
            ErrorKind::NotFound,
            format!("package {id} is gone: it was deleted or has expired"),
        )),
        403 => {
            let message = format!(
                "MASV doesn't show package {id} to this user: check `masv.team`, and the user's role"
            );
            Err(response.error(ErrorKind::BadCredentials, message))
        }
        _ if response.is_success() => {
            let document = response.document()?;
            Ok(Some(Acquired::only(
                spec,
                new_token(SINGLE_ROUTE, &document)?,
            )))
        }
        _ => Err(response.unexpected(SINGLE_ROUTE)),
    }
}

/// The packages of a page that were not seen before. Those without a token are skipped; a page of
/// nothing else is an error.
fn parse_page(
    list: PackageList,
    records: &[Value],
    seen: &mut HashSet<String>,
) -> Result<Vec<FoundToken>> {
    let mut all = Vec::new();
    let mut failure = None;
    for record in records {
        let Some(id) = response::id(record, "id") else {
            failure = Some(missing_field(list, "id"));
            continue;
        };
        if !seen.insert(id.clone()) {
            continue;
        }
        match new_token(&format!("GET /v1.1/teams/TEAM/{}", list.name()), record) {
            Ok(new_token) => all.push(FoundToken {
                resource_kind: ResourceKind::Package,
                id,
                access: Access::Manage,
                new_token,
            }),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(all),
    }
}

/// The token of a package's record. The record's `expiry` is the package's, not the token's: it is
/// only a detail.
fn new_token(route: &str, record: &Value) -> Result<NewToken> {
    let token = response::token(route, record, "access_token")?;
    let expiry = response::expiry(
        &token,
        record,
        &["access_token_expires_at", "token_expires_at"],
    );
    let mut new_token = NewToken::new(TokenKind::Package, PACKAGE_HEADER, token, expiry);
    let detail = |name| response::detail(record, name);
    new_token.details =
        json!({ "name": detail("name"), "state": detail("state"), "expiry": detail("expiry") });
    Ok(new_token)
}

fn missing_field(list: PackageList, field: &str) -> Error {
    let message = format!(
        "the answer to GET /v1.1/teams/TEAM/{} has no usable `{field}`: check `masv.url`",
        list.name()
    );
    Error::new(ErrorKind::BadResponse, message)
}
