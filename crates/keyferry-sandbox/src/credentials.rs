//! The sandbox's fixed, made-up credentials and ids.

/// E-mail address of the account that owns the data.
pub const EMAIL: &str = "ferry@example.com";
/// Password of [`EMAIL`]. It contains `=`, `:`, `$`, `#` and a space, which careless `.env` parsers
/// get wrong.
pub const PASSWORD: &str = "s4nd=box:$Pass#1 word";
/// `user.id` of [`EMAIL`]. The `sub` claim of its tokens is a different id, as on MASV.
pub const USER_ID: &str = "01J0SANDB0XVSER00000000001";
/// `sub` claim of the user tokens of [`EMAIL`].
pub const USER_SUBJECT: &str = "01J0SANDB0XSVBJECT00000001";
/// E-mail address of a second account, which owns [`SECOND_TEAM_ID`] and nothing else.
pub const SECOND_EMAIL: &str = "second@example.com";
/// Password of the second account.
pub const SECOND_PASSWORD: &str = "second \u{fc}ber-Pa$$w0rd";
/// `user.id` of the second account.
pub const SECOND_USER_ID: &str = "01J0SANDB0XVSER00000000002";
/// `sub` claim of the second account's user tokens.
pub const SECOND_SUBJECT: &str = "01J0SANDB0XSVBJECT00000002";
/// An account with a second factor. Its login fails with any password.
pub const MFA_EMAIL: &str = "mfa@example.com";
/// An account in a team that uses SSO. Its login fails with any password.
pub const SSO_EMAIL: &str = "sso@example.com";
/// An account without a team. Its password is [`PASSWORD`].
pub const TEAMLESS_EMAIL: &str = "teamless@example.com";

/// A MASV API key in the documented format: 64 symbols without a prefix. It contains characters
/// that a shell interprets unless they are quoted.
pub const API_KEY: &str = "kF$1!a(b)c{d}e[f]g=h:i@j/k<l,m.n+o*p~q_r-s=t:u$v!wSANDB0X000001=";
/// The second account's API key.
pub const SECOND_API_KEY: &str = "zQ=9$s(e)c{o}n[d]!:@/<,.+*~_-aBcDeFgHiJkLmNoPqRsTuVwXyZ00000002$";
/// Team of the first account.
pub const TEAM_ID: &str = "01J0SANDB0XTEAM00000000001";
/// Subdomain of [`TEAM_ID`], which also identifies the team.
pub const TEAM_SUBDOMAIN: &str = "sandbox";
/// Display name of [`TEAM_ID`]. It is not an id: a request that uses it as an id gets a 404.
pub const TEAM_NAME: &str = "Sandbox Pictures";
/// Team of the second account.
pub const SECOND_TEAM_ID: &str = "01J0SANDB0XTEAM00000000002";
/// Subdomain of [`SECOND_TEAM_ID`].
pub const SECOND_TEAM_SUBDOMAIN: &str = "second";

/// The team's first package. All links below lead to it, except the archived one.
pub const PACKAGE_ID: &str = "01J0SANDB0XPACKAGE00000001";
/// The team's second package.
pub const OTHER_PACKAGE_ID: &str = "01J0SANDB0XPACKAGE00000002";
/// An archived package.
pub const ARCHIVED_PACKAGE_ID: &str = "01J0SANDB0XPACKAGE00000004";
/// A package of the second team.
pub const SECOND_PACKAGE_ID: &str = "01J0SANDB0XSECPACK00000001";
/// A package that was received through a Portal. Only the inbox lists it.
pub const INBOX_PACKAGE_ID: &str = "01J0SANDB0XNB0XPKG00000001";
/// A file in every package.
pub const FILE_ID: &str = "01J0SANDB0XF1LE00000000001";
/// A transfer of [`PACKAGE_ID`].
pub const TRANSFER_ID: &str = "01J0SANDB0XTRANSFER0000001";
/// A transfer of [`OTHER_PACKAGE_ID`].
pub const OTHER_TRANSFER_ID: &str = "01J0SANDB0XTRANSFER0000002";

/// A link without a password.
pub const LINK_ID: &str = "01J0SANDB0X11NK00000000001";
/// The secret of [`LINK_ID`].
pub const LINK_SECRET: &str = "sandboxLinkSecret0001";
/// A link with a password.
pub const PROTECTED_LINK_ID: &str = "01J0SANDB0X11NK00000000002";
/// The secret of [`PROTECTED_LINK_ID`].
pub const PROTECTED_LINK_SECRET: &str = "sandboxLinkSecret0002";
/// The password of [`PROTECTED_LINK_ID`].
pub const LINK_PASSWORD: &str = "link=pass:$word!";
/// A link whose secret must be percent-encoded in a query.
pub const ENCODED_LINK_ID: &str = "01J0SANDB0X11NK00000000003";
/// The secret of [`ENCODED_LINK_ID`], not encoded.
pub const ENCODED_LINK_SECRET: &str = "s+a/n%d&b=o x?#\u{e9}";
/// [`ENCODED_LINK_SECRET`], percent-encoded for a URL.
pub const ENCODED_LINK_SECRET_IN_URL: &str = "s%2Ba%2Fn%25d%26b%3Do%20x%3F%23%C3%A9";
/// An archived link. Opening it returns a 410.
pub const ARCHIVED_LINK_ID: &str = "01J0SANDB0X11NK00000000004";
/// The secret of [`ARCHIVED_LINK_ID`].
pub const ARCHIVED_LINK_SECRET: &str = "sandboxLinkSecret0004";

/// A Portal, which accepts packages without a credential.
pub const PORTAL_ID: &str = "01J0SANDB0XP0RTA1000000001";
/// Subdomain of [`PORTAL_ID`].
pub const PORTAL_SUBDOMAIN: &str = "sandbox-portal";

/// FileVerbs' SecretKey, for machine-to-machine requests.
pub const SECRET_KEY: &str = "fv-sandbox-secret=key/0001+==";
/// FileVerbs' API key, which a login sends in its body.
pub const FV_API_KEY: &str = "fv-sandbox-api-key:0001$";
/// A job request of the sandbox's FileVerbs account.
pub const JOB_ID: &str = "5f0c1d2e-0000-4000-8000-000000000001";
/// A job request of another account. Requests for it get a 404.
pub const FOREIGN_JOB_ID: &str = "5f0c1d2e-0000-4000-8000-0000000000ff";

const _: () = assert!(
    API_KEY.len() == 64 && SECOND_API_KEY.len() == 64,
    "MASV keys are 64 symbols long"
);
