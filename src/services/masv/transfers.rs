//! Fetches transfer tokens from the list of a package's transfers.

use serde_json::{Value, json};

use super::api::{ApiResponse, Masv, TRANSFER_HEADER};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, Token, TokenKind};
use crate::ports::service::{Acquired, Context, FoundToken, TokenSpec};
use crate::services::response;

const ROUTE: &str = "GET /v1/packages/ID/transfer";

impl Masv {
    /// Acquires the token of a transfer. The tokens of the package's other transfers are cached.
    pub(super) fn acquire_transfer(
        &self,
        spec: &TokenSpec<'_>,
        context: &dyn Context,
    ) -> Result<Acquired> {
        let id = response::printable(spec.id);
        let Some(package) = spec.parent else {
            let message = format!(
                "the path does not name the package of transfer {id}; request packages/PACKAGE/transfers/{id}, \
                 or adopt the token from the response that started the transfer"
            );
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let transfers = context.coalesce(&format!("transfers {package}"), &mut || {
            self.fetch_transfers(package, context)
        })?;
        match transfers.iter().find(|found| found.id == spec.id) {
            Some(found) => Ok(Acquired::only(spec, found.new_token.clone())),
            None => {
                let message = format!(
                    "package {} has no transfer {id}; check both IDs",
                    response::printable(package)
                );
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }

    fn fetch_transfers(&self, package: &str, context: &dyn Context) -> Result<Vec<FoundToken>> {
        let response = self.get_with_package_token(
            &format!("/v1/packages/{package}/transfer"),
            package,
            context,
        )?;
        let printable_package = response::printable(package);
        match response.status() {
            204 => Ok(Vec::new()),
            404 | 410 => Err(response.error(
                ErrorKind::NotFound,
                format!("MASV has no transfers of package {printable_package}; check its ID"),
            )),
            403 => {
                let message = format!(
                    "MASV does not let this token list the transfers of package {printable_package}; use the credentials of the package's owner"
                );
                Err(response.error(ErrorKind::InsufficientAccess, message))
            }
            _ if response.is_success() => parse_transfers(&response.document()?, package),
            _ => Err(response.unexpected(ROUTE)),
        }
    }

    /// Sends a GET with the package's token. After a 401, retries once with a new token, because
    /// the service may have revoked the first one.
    fn get_with_package_token(
        &self,
        path: &str,
        package: &str,
        context: &dyn Context,
    ) -> Result<ApiResponse> {
        let first = package_token(package, context)?;
        let response = self.get_with_token(path, &first, context)?;
        if response.status() != 401 {
            return Ok(response);
        }
        context.reject(&first);
        self.get_with_token(path, &package_token(package, context)?, context)
    }
}

/// Returns the management token of a package, else a cached or stored read token.
fn package_token(package: &str, context: &dyn Context) -> Result<Token> {
    context
        .token(ResourceKind::Package, package, Access::Manage)
        .or_else(|error| match error.kind {
            ErrorKind::Cancelled | ErrorKind::Timeout | ErrorKind::Forked => Err(error),
            _ => context
                .token(ResourceKind::Package, package, Access::Read)
                .map_err(|_| error),
        })
}

fn parse_transfers(document: &Value, package: &str) -> Result<Vec<FoundToken>> {
    // The service may return a single transfer without a list.
    let single = std::slice::from_ref(document);
    let has_token = response::field(document, "access_token").is_some();
    let records = if has_token {
        Some(single)
    } else {
        response::list(document, &["transfers", "records"])
    };
    let records = records.ok_or_else(|| missing_field("transfers"))?;
    records
        .iter()
        .map(|record| parse_transfer(record, package))
        .collect()
}

fn parse_transfer(record: &Value, package: &str) -> Result<FoundToken> {
    let id = response::id(record, "id").ok_or_else(|| missing_field("id"))?;
    let token = response::token(ROUTE, record, "access_token")?;
    let expiry = response::expiry(
        &token,
        record,
        &["access_token_expires_at", "token_expires_at"],
    );
    let mut new_token = NewToken::new(TokenKind::Transfer, TRANSFER_HEADER, token, expiry);
    new_token.details =
        json!({ "package_id": package, "state": response::detail(record, "state") });
    Ok(FoundToken {
        resource_kind: ResourceKind::Transfer,
        id,
        access: Access::Full,
        new_token,
    })
}

fn missing_field(field: &str) -> Error {
    Error::new(
        ErrorKind::BadResponse,
        format!("the response to {ROUTE} has no valid `{field}`; check `masv.url`"),
    )
}
