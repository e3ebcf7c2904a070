//! Transfer tokens, which the list of a package's transfers holds.

use serde_json::{Value, json};

use super::user::Reply;
use super::{Masv, TRANSFER_HEADER};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, Token, TokenKind};
use crate::ports::service::{Acquired, Context, FoundToken, TokenSpec};
use crate::services::response;

const ROUTE: &str = "GET /v1/packages/ID/transfer";

impl Masv {
    /// The token of one transfer. All others of the package go to memory.
    pub(super) fn transfer(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired> {
        let id = response::shown(spec.id);
        let Some(package) = spec.parent else {
            let what = format!(
                "a transfer does not tell its package: ask for packages/PACKAGE/transfers/{id}, \
                 or adopt the token of the answer that started the transfer"
            );
            return Err(Error::new(ErrorKind::NotFound, what));
        };
        let all = context.coalesce(&format!("transfers {package}"), &mut || self.transfers(package, context))?;
        match all.iter().find(|found| found.id == spec.id) {
            Some(found) => Ok(Acquired::only(spec, found.new_token.clone())),
            None => {
                let what = format!("package {} has no transfer {id}: check both ids", response::shown(package));
                Err(Error::new(ErrorKind::NotFound, what))
            }
        }
    }

    fn transfers(&self, package: &str, context: &dyn Context) -> Result<Vec<FoundToken>> {
        let reply = self.ask_package(&format!("/v1/packages/{package}/transfer"), package, context)?;
        let shown = response::shown(package);
        match reply.status() {
            204 => Ok(Vec::new()),
            404 | 410 => Err(reply.error(ErrorKind::NotFound, format!("MASV has no transfers of package {shown}: check its id"))),
            403 => {
                let what = format!("MASV doesn't show the transfers of package {shown} to this token: use its owner's credentials");
                Err(reply.error(ErrorKind::InsufficientAccess, what))
            }
            _ if response::is_success(&reply.response) => read(&reply.document()?, package),
            _ => Err(reply.unexpected(ROUTE)),
        }
    }

    /// A 401 means that the package's token has ended early: one more try with a new one.
    fn ask_package(&self, path: &str, package: &str, context: &dyn Context) -> Result<Reply> {
        let first = package_token(package, context)?;
        let reply = self.ask_with(path, &first, context)?;
        if reply.status() != 401 {
            return Ok(reply);
        }
        context.reject(&first);
        self.ask_with(path, &package_token(package, context)?, context)
    }
}

/// The management token, or failing that a read token that is there.
fn package_token(package: &str, context: &dyn Context) -> Result<Token> {
    context.token(ResourceKind::Package, package, Access::Manage).or_else(|error| match error.kind {
        ErrorKind::Cancelled | ErrorKind::Timeout | ErrorKind::Forked => Err(error),
        _ => context.token(ResourceKind::Package, package, Access::Read).map_err(|_| error),
    })
}

fn read(document: &Value, package: &str) -> Result<Vec<FoundToken>> {
    // A single transfer may stand alone.
    let alone = std::slice::from_ref(document);
    let has_token = response::field(document, "access_token").is_some();
    let records = if has_token { Some(alone) } else { response::list(document, &["transfers", "records"]) };
    let records = records.ok_or_else(|| bad("transfers"))?;
    records.iter().map(|record| one(record, package)).collect()
}

fn one(record: &Value, package: &str) -> Result<FoundToken> {
    let id = response::id(record, "id").ok_or_else(|| bad("id"))?;
    let token = response::token(ROUTE, record, "access_token")?;
    let expiry = response::expiry(&token, record, &["access_token_expires_at", "token_expires_at"]);
    let mut new_token = NewToken::new(TokenKind::Transfer, TRANSFER_HEADER, token, expiry);
    new_token.details = json!({ "package_id": package, "state": response::detail(record, "state") });
    Ok(FoundToken { resource_kind: ResourceKind::Transfer, id, access: Access::Full, new_token })
}

fn bad(field: &str) -> Error {
    Error::new(ErrorKind::BadResponse, format!("the answer to {ROUTE} has no usable `{field}`: check `masv.url`"))
}
