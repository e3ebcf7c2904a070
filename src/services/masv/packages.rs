//! Fetches the management token of a package: by its ID, or from the list of a team's packages.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::api::{ApiResponse, Masv, PACKAGE_HEADER};
use crate::error::{Error, ErrorKind, Result};
use crate::model::json::integer;
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, TokenKind};
use crate::ports::service::{Acquired, Context, FoundToken, TokenSpec};
use crate::services::response;

const SINGLE_ROUTE: &str = "GET /v1.1/teams/TEAM/packages/ID";
/// The number of packages in a page. The service returns no larger pages.
const PAGE_SIZE: usize = 50;
/// The maximum number of pages that are fetched from a list: 10,000 packages.
const MAX_PAGES: usize = 200;

/// A list of a team's packages. The inbox contains the packages that were sent through Portals.
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

/// Rejects access other than manage. A user's credentials can fetch only management tokens.
pub(super) fn check_manage_access(spec: &TokenSpec<'_>) -> Result<()> {
    let id = response::printable(spec.id);
    let message = match spec.access {
        Access::Manage => return Ok(()),
        Access::Read => format!(
            "cannot download with a management token; create a link with POST /v1/packages/{id}/links and request \
             links/LINK?secret=SECRET, or paste the get.massive.io link"
        ),
        Access::Write => format!(
            "cannot fetch a write token: MASV sends it only when package {id} is created in a Portal; adopt the token from that response"
        ),
        Access::Full => {
            "a package has no token with full access; request read, write or manage access".into()
        }
    };
    Err(Error::new(ErrorKind::InsufficientAccess, message))
}

impl Masv {
    /// Acquires the management token of a package. Tries the lookup by ID first, then the list of
    /// packages, then the inbox.
    pub(super) fn acquire_package(
        &self,
        spec: &TokenSpec<'_>,
        context: &dyn Context,
    ) -> Result<Acquired> {
        let team = self.team(context)?;
        if !self.single_lookup_unsupported.load(Ordering::Relaxed) {
            let response =
                self.get_as_user(&format!("/v1.1/teams/{team}/packages/{}", spec.id), context)?;
            if let Some(acquired) = parse_single(spec, &response, context)? {
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
            // The list has the package but the lookup by ID did not find it. So the service does
            // not support the lookup.
            self.single_lookup_unsupported
                .store(true, Ordering::Relaxed);
            return Ok(Acquired::only(spec, new_token));
        }
        if let Some(new_token) = self.find_in_list(PackageList::Inbox, &team, spec.id, context)? {
            return Ok(Acquired::only(spec, new_token));
        }
        let message = format!(
            "package {} is neither in the packages nor in the inbox of team {}; check the ID and `masv.team`",
            response::printable(spec.id),
            response::printable(&team)
        );
        Err(Error::new(ErrorKind::NotFound, message))
    }

    /// Looks up a package in a list. The list is fetched only once for all concurrent callers, and
    /// the tokens of its other packages are cached.
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

    /// Fetches all pages of a list. Stops when the total is reached or a page has no new package.
    /// If the response has no total, stops at a page that is not full.
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
                .and_then(|metadata| integer(response::field(metadata, "total")?));
            let is_last = total.map_or(records.len() < PAGE_SIZE, |total| {
                i64::try_from(seen.len()).is_ok_and(|seen| seen >= total)
            });
            if is_last || seen.len() == before {
                break;
            }
        }
        context.keep_connection();
        Ok(all)
    }

    /// Returns the error for the response to a page. A missing inbox is treated as empty. A missing
    /// list of packages is an error.
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
                    format!("MASV has no team {printable_team}; check `masv.team`"),
                ))
            }
            (_, 403) => {
                let message = format!(
                    "MASV does not let this user list the packages of team {printable_team}; check `masv.team` and the user's role"
                );
                Err(response.error(ErrorKind::BadCredentials, message))
            }
            _ => Err(response.unexpected(&format!("GET /v1.1/teams/TEAM/{}", list.name()))),
        }
    }
}

/// Parses the response to the lookup by ID. `None` if the package must be looked up in the lists.
fn parse_single(
    spec: &TokenSpec<'_>,
    response: &ApiResponse,
    context: &dyn Context,
) -> Result<Option<Acquired>> {
    let id = response::printable(spec.id);
    match response.status() {
        404 | 405 => Ok(None),
        410 => Err(response.error(
            ErrorKind::NotFound,
            format!("package {id} was deleted or has expired; check the ID"),
        )),
        403 => {
            let message = format!(
                "MASV does not let this user see package {id}; check `masv.team` and the user's role"
            );
            Err(response.error(ErrorKind::BadCredentials, message))
        }
        _ if response.is_success() => {
            let document = response.document()?;
            let new_token = new_token(SINGLE_ROUTE, &document)?;
            match response::id(&document, "id") {
                Some(returned) if returned == spec.id => context.keep_connection(),
                Some(_) => {
                    let message = format!(
                        "MASV returned another package than {id}; retry, and check `masv.url` and the proxy"
                    );
                    return Err(Error::new(ErrorKind::BadResponse, message));
                }
                None => {}
            }
            Ok(Some(Acquired::only(spec, new_token)))
        }
        _ => Err(response.unexpected(SINGLE_ROUTE)),
    }
}

/// Returns the new packages of a page. Packages in `seen` are skipped. Packages without a token are
/// skipped too, but a page with only such packages is an error.
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

/// Parses the token in a package's JSON object. The object's `expiry` is the package's expiry, not
/// the token's, so it is used only as a detail.
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
        "the response to GET /v1.1/teams/TEAM/{} has no valid `{field}`; check `masv.url`",
        list.name()
    );
    Error::new(ErrorKind::BadResponse, message)
}
