//! The state of MASV cloud, with made-up data: accounts, teams, keys, packages, links and
//! transfers.
//!
//! Ids and names are fixed. Times follow the virtual clock.

use std::collections::BTreeMap;

use crate::clock::rfc3339_ms;
use crate::credentials as c;
use crate::storage::data::SAMPLE_BYTES;

const DAY_MS: i64 = 86_400_000;

/// The `expiry` of a key that never expires.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00.000Z";

/// The `lvl` claim of a package token that permits everything except downloads.
pub(crate) const MANAGE: &str = "f";
/// The `lvl` claim of a package token that permits reading, listing and downloading.
pub(crate) const READ: &str = "d";
/// The `lvl` claim of a package token that permits adding files. MASV doesn't document the letter
/// of this claim, so clients must not rely on the letter `u`.
pub(crate) const WRITE: &str = "u";

pub(crate) struct Account {
    pub(crate) email: &'static str,
    pub(crate) password: &'static str,
    pub(crate) id: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) name: String,
}

#[derive(Clone)]
pub(crate) struct Team {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) subdomain: String,
}

pub(crate) struct ApiKey {
    pub(crate) id: String,
    pub(crate) value: String,
    pub(crate) team: String,
    pub(crate) account: usize,
    pub(crate) name: String,
    pub(crate) active: bool,
    /// `None` if the key never expires.
    pub(crate) expires_ms: Option<i64>,
}

pub(crate) struct Package {
    pub(crate) team: String,
    pub(crate) inbox: bool,
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) expiry: String,
    pub(crate) files: Vec<PackageFile>,
    pub(crate) transfers: Vec<String>,
}

/// A file of a package.
pub(crate) struct PackageFile {
    pub(crate) id: String,
    /// `None` if the request that added the file named none.
    pub(crate) name: Option<String>,
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) content: FileContent,
}

/// Where the bytes of a file are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileContent {
    /// The client hasn't finalized the file yet.
    Missing,
    /// The storage has them.
    Uploaded,
    /// The file has the content of the storage's sample file.
    Sample,
}

pub(crate) struct Link {
    pub(crate) package: String,
    pub(crate) secret: String,
    pub(crate) password: Option<String>,
    pub(crate) archived: bool,
    pub(crate) expiry: String,
}

pub(crate) struct Transfer {
    pub(crate) package: String,
    pub(crate) state: &'static str,
}

impl Package {
    /// Returns the size of all files that have content.
    pub(crate) fn size(&self) -> u64 {
        let files = self.files.iter();
        files
            .filter(|file| file.content != FileContent::Missing)
            .map(|file| file.size)
            .fold(0, u64::saturating_add)
    }
}

/// The state of MASV cloud.
pub(crate) struct MasvData {
    pub(crate) accounts: Vec<Account>,
    pub(crate) api_keys: Vec<ApiKey>,
    pub(crate) packages: BTreeMap<String, Package>,
    pub(crate) links: BTreeMap<String, Link>,
    pub(crate) transfers: BTreeMap<String, Transfer>,
    created_ids: u64,
}

impl MasvData {
    pub(crate) fn new(now_ms: i64) -> MasvData {
        let mut data = MasvData {
            accounts: accounts(),
            api_keys: vec![
                fixed_api_key("01J0SANDB0XKEY000000000001", c::API_KEY, c::TEAM_ID, 0),
                fixed_api_key(
                    "01J0SANDB0XKEY000000000002",
                    c::SECOND_API_KEY,
                    c::SECOND_TEAM_ID,
                    1,
                ),
            ],
            packages: BTreeMap::new(),
            links: links(now_ms),
            transfers: BTreeMap::new(),
            created_ids: 0,
        };
        for (id, package) in [
            (c::TRANSFER_ID, c::PACKAGE_ID),
            (c::OTHER_TRANSFER_ID, c::OTHER_PACKAGE_ID),
        ] {
            data.transfers.insert(
                id.to_owned(),
                Transfer {
                    package: package.to_owned(),
                    state: "running",
                },
            );
        }
        data.fill_packages(205, now_ms);
        data.fill_inbox(3, now_ms);
        for number in 1..=3 {
            let package = new_package(
                c::SECOND_TEAM_ID,
                false,
                format!("second {number}"),
                "finalized",
                now_ms,
            );
            data.packages
                .insert(format!("01J0SANDB0XSECPACK{number:08}"), package);
        }
        data
    }

    /// Replaces the first team's packages with `count` new ones, numbered from 1.
    pub(crate) fn fill_packages(&mut self, count: usize, now_ms: i64) {
        self.packages
            .retain(|_, package| package.inbox || package.team != c::TEAM_ID);
        for number in 1..=count {
            let state = match number % 10 {
                4 => "archived",
                7 => "expired",
                9 => "new",
                _ => "finalized",
            };
            let name = format!("Reel {number:03}");
            let mut package = new_package(c::TEAM_ID, false, name, state, now_ms);
            if let Some(transfer) = [c::TRANSFER_ID, c::OTHER_TRANSFER_ID].get(number - 1) {
                package.transfers.push((*transfer).to_owned());
            }
            self.packages
                .insert(format!("01J0SANDB0XPACKAGE{number:08}"), package);
        }
    }

    /// Replaces the packages in the first team's inbox with `count` new ones.
    pub(crate) fn fill_inbox(&mut self, count: usize, now_ms: i64) {
        self.packages.retain(|_, package| !package.inbox);
        for number in 1..=count {
            let package = new_package(
                c::TEAM_ID,
                true,
                format!("Sent in {number}"),
                "finalized",
                now_ms,
            );
            self.packages
                .insert(format!("01J0SANDB0XNB0XPKG{number:08}"), package);
        }
    }

    /// Returns an id that is not in use.
    pub(crate) fn new_id(&mut self, type_name: &str) -> String {
        self.created_ids += 1;
        let prefix = format!("01J0SANDB0X{type_name}");
        format!(
            "{prefix}9{:0width$}",
            self.created_ids,
            width = 25_usize.saturating_sub(prefix.len())
        )
    }

    /// Returns the teams of an account. The first account has `count` of them.
    pub(crate) fn teams(&self, account: usize, count: usize) -> Vec<Team> {
        let team = |id: &str, name: &str, subdomain: &str| Team {
            id: id.to_owned(),
            name: name.to_owned(),
            subdomain: subdomain.to_owned(),
        };
        let numbered_team = |number: usize| {
            let id = format!("01J0SANDB0XTEAM{:011}", number + 100);
            team(&id, &format!("Team {number}"), &format!("team{number}"))
        };
        let first_team = || team(c::TEAM_ID, c::TEAM_NAME, c::TEAM_SUBDOMAIN);
        match account {
            0 => std::iter::once(first_team())
                .chain((2..=count).map(numbered_team))
                .take(count)
                .collect(),
            1 => vec![team(
                c::SECOND_TEAM_ID,
                "Second Team",
                c::SECOND_TEAM_SUBDOMAIN,
            )],
            _ => Vec::new(),
        }
    }
}

fn accounts() -> Vec<Account> {
    let account = |email, password, id, subject, name: &str| Account {
        email,
        password,
        id,
        subject,
        name: name.to_owned(),
    };
    vec![
        account(c::EMAIL, c::PASSWORD, c::USER_ID, c::USER_SUBJECT, "Fer Ry"),
        account(
            c::SECOND_EMAIL,
            c::SECOND_PASSWORD,
            c::SECOND_USER_ID,
            c::SECOND_SUBJECT,
            "Sec Ond",
        ),
        account(
            c::TEAMLESS_EMAIL,
            c::PASSWORD,
            "01J0SANDB0XVSER00000000003",
            "01J0SANDB0XSVBJECT00000003",
            "Nobody",
        ),
    ]
}

fn fixed_api_key(id: &str, value: &str, team: &str, account: usize) -> ApiKey {
    let (id, value, team) = (id.to_owned(), value.to_owned(), team.to_owned());
    ApiKey {
        id,
        value,
        team,
        account,
        name: "fixed".to_owned(),
        active: true,
        expires_ms: None,
    }
}

/// Returns a package with one file. If its state is `expired`, its expiry is in the past.
pub(crate) fn new_package(
    team: &str,
    inbox: bool,
    name: String,
    state: &'static str,
    now_ms: i64,
) -> Package {
    let days = if state == "expired" { -1 } else { 10 };
    Package {
        team: team.to_owned(),
        inbox,
        name,
        state,
        expiry: rfc3339_ms(now_ms.saturating_add(days * DAY_MS)),
        files: vec![PackageFile {
            id: c::FILE_ID.to_owned(),
            name: Some(format!("{}.mov", c::FILE_ID)),
            path: String::new(),
            size: SAMPLE_BYTES as u64,
            content: FileContent::Sample,
        }],
        transfers: Vec::new(),
    }
}

fn links(now_ms: i64) -> BTreeMap<String, Link> {
    let link = |package: &str, secret: &str, password: Option<&str>, archived| Link {
        package: package.to_owned(),
        secret: secret.to_owned(),
        password: password.map(str::to_owned),
        archived,
        expiry: rfc3339_ms(now_ms.saturating_add(5 * DAY_MS)),
    };
    BTreeMap::from([
        (
            c::LINK_ID.to_owned(),
            link(c::PACKAGE_ID, c::LINK_SECRET, None, false),
        ),
        (
            c::PROTECTED_LINK_ID.to_owned(),
            link(
                c::PACKAGE_ID,
                c::PROTECTED_LINK_SECRET,
                Some(c::LINK_PASSWORD),
                false,
            ),
        ),
        (
            c::ENCODED_LINK_ID.to_owned(),
            link(c::PACKAGE_ID, c::ENCODED_LINK_SECRET, None, false),
        ),
        (
            c::ARCHIVED_LINK_ID.to_owned(),
            link(c::ARCHIVED_PACKAGE_ID, c::ARCHIVED_LINK_SECRET, None, true),
        ),
    ])
}

/// Parses the `expiry` in a request. Returns `None` if the string is empty, malformed or in year 1.
/// The item then never expires.
pub(crate) fn parse_expiry_ms(text: &str) -> Option<i64> {
    use time::format_description::well_known::Rfc3339;
    if text.is_empty() || text.starts_with("0001-01-01") {
        return None;
    }
    let expiry = time::OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(expiry.unix_timestamp().saturating_mul(1000))
}
