//! Opens the services of each account, and finds the service that a resource belongs to.
//!
//! A URL in its normal form is matched without allocation. Any other URL is parsed by the `url`
//! crate. Examples are a URL with upper-case letters in its host, and a URL with bytes that are not
//! in [`resource::PLAIN`]. Both ways end in the same [`Service::classify`], and a test checks that
//! both give the same result.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use url::Url;

use crate::config::{Config, Profile, is_account};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, Fingerprint, ResourceKind, Scope, TokenKey};
use crate::model::nearest::{did_you_mean, nearest_name};
use crate::model::resource::{self, DEFAULT_SERVICE, Resource};
use crate::model::short_form;
use crate::model::token::Token;
use crate::plugin::{PluginService, Plugins, UnusablePlugin};
use crate::ports::service::{Service, Target};
use crate::services;
use crate::sys::sync::Mutex;

/// A service with the settings of one account.
pub struct BoundService {
    /// The service.
    pub service: Box<dyn Service>,
    /// The service, origin and account of its tokens.
    pub scope: Arc<Scope>,
    /// The settings of the account.
    pub profile: Profile,
    /// How far the service's clock is ahead of [`crate::clock::SteadyClock`], in microseconds.
    skew_us: AtomicI64,
    /// The source of the skew.
    skew_source: Mutex<SkewSource>,
    /// Maps the name of a setting that identifies a user, such as `masv.email`, to the fingerprint of
    /// the user whose tokens this process uses.
    owners: Mutex<HashMap<String, Fingerprint>>,
}

/// Where the skew of a service is from.
#[derive(Default)]
struct SkewSource {
    /// 0 for none, the generation of a stored record, or [`FROM_DATE_HEADER`] for a `Date` header.
    number: u64,
    /// Whether the skew is from a `Date` header that this process or another process received.
    is_dated: bool,
}

/// The source number of a `Date` header. It is greater than every generation, so a `Date` header
/// overrides all stored records.
const FROM_DATE_HEADER: u64 = u64::MAX;
/// The smallest skew that keyferry applies. It treats a smaller skew as 0, because the `Date`
/// header has whole seconds and responses take time.
const SKEW_FLOOR_US: i64 = 2_000_000;
/// The largest skew that keyferry applies. A greater skew is the server's mistake, so keyferry
/// limits it to this value.
///
/// Rationale: in an earlier version, this limit was 24 hours. If a machine's clock was 48 hours
/// off, keyferry handed out expired tokens as valid, or rejected valid tokens as expired. Most TLS
/// certificates can still be verified if the clock is up to 31 days off, so keyferry can still
/// reach the service.
const SKEW_LIMIT_US: i64 = 31 * 24 * 3600 * 1_000_000;

/// Limits the skew between a service's clock and the wall clock to 31 days in either direction.
pub fn limited_skew(skew_us: i64) -> i64 {
    skew_us.clamp(-SKEW_LIMIT_US, SKEW_LIMIT_US)
}

impl BoundService {
    /// Returns the key of a resource of this service and account.
    pub fn key(&self, resource_kind: ResourceKind, id: &str, access: Access) -> TokenKey {
        self.scope.key(resource_kind, id, access)
    }

    /// Returns the key of a token of this service and account.
    pub fn key_of(&self, token: &Token) -> TokenKey {
        let meta = token.meta();
        self.key(meta.resource_kind, token.id(), meta.access)
    }

    /// Returns the user whose tokens this process uses, if known. `setting` identifies the user.
    pub fn used_owner(&self, setting: &str) -> Option<Fingerprint> {
        self.owners.lock().get(setting).copied()
    }

    /// Notes the user whose tokens this process uses from now on.
    pub fn use_owner(&self, setting: &str, owner: Fingerprint) {
        self.owners.lock().insert(setting.to_owned(), owner);
    }

    /// Returns how far the service's clock is ahead of [`crate::clock::SteadyClock`], in
    /// microseconds. Setting this machine's wall clock back does not change the skew, because the
    /// steady clock goes on.
    #[inline]
    pub fn skew_us(&self) -> i64 {
        self.skew_us.load(Ordering::Relaxed)
    }

    /// Learns the skew from the `Date` header of an exchange. The server wrote the header at an
    /// unknown time during the exchange, so the header only limits the skew to a range. If the
    /// present skew is within this range, it stays.
    ///
    /// `during` is the time of the exchange. `set_back_us` is how far the wall clock was set back.
    /// The skew between the service's clock and the wall clock is limited by [`SKEW_LIMIT_US`]. If
    /// the header confirms the present skew, no limit applies.
    ///
    /// Rationale: a response may take half a minute to arrive. A header that is half a minute old
    /// does not mean that the service's clock is slow.
    pub fn learn_skew(&self, date_unix_s: i64, during: RangeInclusive<i64>, set_back_us: i64) {
        let date_us = date_unix_s.saturating_mul(1_000_000);
        let least = date_us.saturating_sub(*during.end());
        let most = date_us
            .saturating_add(1_000_000)
            .saturating_sub(*during.start());
        let present = self.skew_us();
        let learned = present.min(most).max(least);
        let ahead = learned.saturating_add(set_back_us);
        let believed = if ahead.abs() < SKEW_FLOOR_US {
            0
        } else if learned == present {
            ahead
        } else {
            limited_skew(ahead)
        };
        let source = SkewSource {
            number: FROM_DATE_HEADER,
            is_dated: true,
        };
        self.set_skew(believed.saturating_sub(set_back_us), source);
    }

    /// Handles a response without a `Date` header. If the service has never sent a `Date` header,
    /// keyferry compares the expiry of its tokens with the wall clock from now on. It does so even
    /// if the wall clock was set back.
    ///
    /// Rationale: some services send no `Date` header. Without this function, each new token of
    /// such a service would look expired after a user corrected a wall clock that was ahead.
    pub fn learn_no_date(&self, set_back_us: i64) {
        if !self.skew_source.lock().is_dated {
            self.skew_us.store(-set_back_us, Ordering::Relaxed);
        }
    }

    /// Sets the skew from a stored record. `generation` is the generation of the record's token,
    /// and `is_dated` says whether the skew in the record is from a `Date` header. Does nothing if
    /// a `Date` header or a record with the same or a later generation has already set the skew.
    ///
    /// Rationale: a program that runs only for one call reads a token from the store and receives no
    /// `Date` header. Without the stored skew, such a program returned tokens that had expired by the
    /// service's clock, or refreshed tokens that had not expired.
    pub fn set_stored_skew(&self, skew_us: i64, generation: u64, is_dated: bool) {
        let source = SkewSource {
            number: generation.min(FROM_DATE_HEADER - 1),
            is_dated,
        };
        self.set_skew(skew_us, source);
    }

    /// Returns the skew if it was learned from a `Date` header, in this process or another.
    pub fn known_skew_us(&self) -> Option<i64> {
        let source = self.skew_source.lock();
        source.is_dated.then(|| self.skew_us())
    }

    fn set_skew(&self, skew_us: i64, source: SkewSource) {
        let mut present = self.skew_source.lock();
        if source.number == FROM_DATE_HEADER || source.number > present.number {
            *present = source;
            self.skew_us.store(skew_us, Ordering::Relaxed);
        }
    }
}

/// One profile and its services.
pub struct Account {
    /// The settings of the profile.
    pub profile: Profile,
    /// The services of the account: MASV first, the services of plugins last.
    pub services: Vec<BoundService>,
    /// The plugins that this account cannot use, and why.
    pub faults: Vec<UnusablePlugin>,
}

/// All accounts of a configuration.
pub struct Accounts {
    all: Vec<Account>,
    default: usize,
}

/// A resource, resolved to its account, its service, and the target in that service.
#[derive(Clone, Copy)]
pub struct ResolvedResource<'a> {
    /// The number of the account.
    pub account: usize,
    /// The number of the service in that account.
    pub service: usize,
    /// The resource that the path names.
    pub target: Target<'a>,
    /// The path below the version prefix. If a caller rejects a token, it is rejected for this path.
    pub path: &'a str,
    /// The query of the URL, without its question mark.
    pub query: Option<&'a str>,
}

/// A resource whose id is not checked yet.
pub struct FastMatch<'a> {
    /// The resource.
    pub resolved: ResolvedResource<'a>,
    /// The service of the resource.
    pub bound: &'a BoundService,
    /// The part of the string that this match has not looked at, and that the caller must check. Normally this is the part after the
    /// id. In two cases it is the whole string: the target has no id, or the string also contains
    /// the id of a parent, such as the package of a transfer.
    pub rest: &'a str,
}

/// Returns the part of the string that the caller must still check: see [`FastMatch::rest`].
#[inline]
fn rest_of<'a>(text: &'a str, target: &Target<'a>) -> &'a str {
    if target.id.is_empty() || target.parent.is_some() {
        return text;
    }
    let end = (target.id.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize) + target.id.len();
    text.get(end..).unwrap_or(text)
}

impl Accounts {
    /// Opens the services of every account.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if a setting is invalid.
    pub fn open(config: &Config, plugins: &Plugins) -> Result<Self> {
        let names = config.accounts();
        // Rationale: a misspelt KEYFERRY_PROFILE once selected the default account. keyferry then sent
        // the tokens of the default account in place of another account's tokens.
        config.profile(config.selected_account())?;
        let default = names
            .iter()
            .position(|name| name == config.selected_account())
            .unwrap_or(0);
        let all = names
            .iter()
            .map(|name| open(config.profile(name)?, plugins))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { all, default })
    }

    /// Returns the number of an account, or of the default account if there is no name.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`] if there is no such account; the message names the accounts.
    pub fn number(&self, name: Option<&str>) -> Result<usize> {
        let Some(name) = name else {
            return Ok(self.default);
        };
        self.all
            .iter()
            .position(|account| account.profile.account() == name)
            .ok_or_else(|| {
                let known: Vec<_> = self
                    .all
                    .iter()
                    .map(|account| account.profile.account())
                    .collect();
                let shown = if is_account(name) {
                    name
                } else {
                    "of that name"
                };
                Error::new(
                    ErrorKind::NotConfigured,
                    format!(
                        "there is no profile {shown}; use one of: {}",
                        known.join(", ")
                    ),
                )
            })
    }

    /// Returns an account.
    pub fn account(&self, number: usize) -> &Account {
        &self.all[number]
    }

    /// Returns a service of an account.
    #[inline]
    pub fn bound(&self, account: usize, service: usize) -> &BoundService {
        &self.all[account].services[service]
    }

    /// Returns the number of a plugin's service in an account.
    ///
    /// # Errors
    /// Returns the error that says why the plugin is missing.
    pub fn plugin(&self, account: usize, name: &str) -> Result<usize> {
        let account = &self.all[account];
        let is_it =
            |bound: &BoundService| bound.service.is_foreign() && bound.service.name() == name;
        account
            .services
            .iter()
            .position(is_it)
            .ok_or_else(|| account.missing(name))
    }

    /// Returns the service whose scope has this [`Scope::fingerprint`].
    pub fn at_scope(&self, fingerprint: u64) -> Option<&BoundService> {
        self.all
            .iter()
            .flat_map(|account| &account.services)
            .find(|bound| bound.scope.fingerprint() == fingerprint)
    }

    /// Resolves a resource, and calls `then` with the result.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResource`] if the string is malformed; [`ErrorKind::UnknownService`] if
    /// no service owns the resource; [`ErrorKind::NoHeader`] if the resource needs no header; the
    /// errors of `then`.
    #[inline]
    pub fn resolve<T>(
        &self,
        account: usize,
        text: &str,
        then: impl FnOnce(ResolvedResource<'_>) -> Result<T>,
    ) -> Result<T> {
        match self.resolve_fast(account, text) {
            Some(resolved) => then(resolved),
            None => self.resolve_slow(account, text, then),
        }
    }

    /// Resolves a string that every URL parser leaves unchanged. After `None`, the caller must use
    /// [`Accounts::resolve_slow`], which also returns the right error.
    #[inline]
    pub fn resolve_fast<'a>(
        &'a self,
        account: usize,
        text: &'a str,
    ) -> Option<ResolvedResource<'a>> {
        if resource::is_plain(text.as_bytes()) {
            self.match_prefix(account, text)
                .map(|fast_match| fast_match.resolved)
        } else {
            None
        }
    }

    /// Resolves a string for a lookup in the cache. Compares the part before the id literally with
    /// the prefixes of the services. The cache compares the id. The caller must check the part after
    /// the id, [`FastMatch::rest`].
    #[inline(always)]
    pub fn match_prefix<'a>(&'a self, account: usize, text: &'a str) -> Option<FastMatch<'a>> {
        if text.len() > resource::MAX_BYTES {
            return None;
        }
        let (head, query) = resource::split_query(text);
        let services = &self.all[account].services;
        let (service, path, is_short_form) = if text.starts_with("http") {
            services.iter().enumerate().find_map(|(service, bound)| {
                let rest = head.strip_prefix(bound.scope.base.as_str())?;
                Some((service, below_version(bound, rest)?, false))
            })?
        } else {
            let (name, path) = resource::split_service(head);
            if path.is_empty() {
                return None;
            }
            // A path without a service's name belongs to MASV, the first service.
            let service = name.map_or(Some(0), |name| {
                services
                    .iter()
                    .position(|bound| bound.scope.service == name)
            })?;
            match name {
                Some(_) if path.starts_with('/') => {
                    (service, below_version(&services[service], path)?, false)
                }
                _ => (service, path, true),
            }
        };
        if path.starts_with(['/', '.']) {
            return None;
        }
        let bound = &services[service];
        let target = if is_short_form {
            bound.service.classify_short_form(path, query)?
        } else {
            bound.service.classify(path).ok()?
        };
        Some(FastMatch {
            rest: rest_of(text, &target),
            bound,
            resolved: ResolvedResource {
                account,
                service,
                target,
                path,
                query,
            },
        })
    }

    /// Resolves a string with the `url` crate.
    ///
    /// # Errors
    /// Returns the errors of [`Accounts::resolve`].
    pub fn resolve_slow<T>(
        &self,
        account: usize,
        text: &str,
        then: impl FnOnce(ResolvedResource<'_>) -> Result<T>,
    ) -> Result<T> {
        let services = || self.all[account].services.iter().enumerate();
        match Resource::parse(text)? {
            Resource::Path {
                service: name,
                path,
                query,
            } => {
                let (service, bound) = services()
                    .find(|(_, bound)| bound.service.name() == name)
                    .ok_or_else(|| self.unknown_service(account, name))?;
                let (path, target) = if path.starts_with('/') {
                    let path = below_version(bound, path)
                        .ok_or_else(|| no_version_prefix([bound].into_iter()))?;
                    (path, bound.service.classify(path)?)
                } else {
                    (path, self.short_form_target(account, bound, path, query)?)
                };
                then(ResolvedResource {
                    account,
                    service,
                    target,
                    path,
                    query,
                })
            }
            Resource::Url(url) => {
                let mut is_below_a_base = false;
                let below = |bound: &&BoundService| bound.service.base().below(&url).is_some();
                for (service, bound) in services() {
                    let Some(rest) = bound.service.base().below(&url) else {
                        continue;
                    };
                    // Several services may share an origin: another service may have a longer base
                    // URL or another version prefix.
                    is_below_a_base = true;
                    let Some(path) = below_version(bound, rest) else {
                        continue;
                    };
                    return then(ResolvedResource {
                        account,
                        service,
                        target: bound.service.classify(path)?,
                        path,
                        query: url.query(),
                    });
                }
                let page = services().find_map(|(service, bound)| {
                    Some((service, bound.service.classify_page(&url)?))
                });
                let (service, target) = page.ok_or_else(|| {
                    if is_below_a_base {
                        no_version_prefix(services().map(|(_, bound)| bound).filter(below))
                    } else {
                        no_service_for_url(&self.all[account].faults)
                    }
                })?;
                then(ResolvedResource {
                    account,
                    service,
                    target,
                    path: url.path(),
                    query: url.query(),
                })
            }
        }
    }

    /// Classifies a short form, or returns the error that says how to write the resource.
    fn short_form_target<'a>(
        &self,
        account: usize,
        bound: &BoundService,
        path: &'a str,
        query: Option<&str>,
    ) -> Result<Target<'a>> {
        let service = &bound.service;
        if service.short_forms().is_empty() {
            return service.classify(path);
        }
        service.classify_short_form(path, query).ok_or_else(|| {
            let services = self.all[account].services.iter();
            let known = services.flat_map(|bound| {
                let forms = bound.service.short_forms().iter();
                forms.map(|form| (bound.service.name(), *form))
            });
            let prefix = service.prefixes().first().copied().unwrap_or("/");
            short_form::unknown((service.name(), prefix), (path, query), known)
        })
    }

    fn unknown_service(&self, account: usize, name: &str) -> Error {
        if !self.all[account].faults.is_empty() && name != DEFAULT_SERVICE {
            return self.all[account].missing(name);
        }
        let names: Vec<_> = self.all[account]
            .services
            .iter()
            .map(|bound| bound.service.name())
            .collect();
        let nearest = nearest_name(name, &names).map(|name| format!("{name}:"));
        let nearest = did_you_mean(nearest.as_deref());
        Error::new(
            ErrorKind::UnknownService,
            format!(
                "the resource has an unknown service before its colon; {nearest}use one of: {}",
                names.join(", ")
            ),
        )
    }
}

impl Account {
    /// Returns the reason why the plugin of this name is missing. If the name of an unusable plugin
    /// is unknown, its file name is compared instead. If no unusable plugin matches, returns the
    /// error of the first unusable plugin: it may be the one, because the names of a plugin and of its
    /// file may differ.
    fn missing(&self, name: &str) -> Error {
        let may_be = self.faults.iter().find(|plugin| plugin.may_be(name));
        let found = may_be.or(self.faults.first());
        found.map(|plugin| plugin.error.clone()).unwrap_or_else(|| {
            let services = self.services.iter().map(|bound| &bound.service);
            let plugins = services.filter(|service| service.is_foreign());
            let names: Vec<_> = plugins.map(|service| service.name()).collect();
            let nearest = did_you_mean(nearest_name(name, &names));
            Error::new(
                ErrorKind::SecretSource,
                format!("there is no plugin {name}; {nearest}add its file to `plugins`"),
            )
        })
    }
}

fn open(profile: Profile, plugins: &Plugins) -> Result<Account> {
    let bind = |service: Box<dyn Service>| {
        let scope = Arc::new(Scope::new(
            service.name(),
            service.base().as_str(),
            profile.account(),
        ));
        BoundService {
            service,
            scope,
            profile: profile.clone(),
            skew_us: AtomicI64::new(0),
            skew_source: Mutex::default(),
            owners: Mutex::default(),
        }
    };
    let mut services: Vec<_> = services::open(&profile)?.into_iter().map(bind).collect();
    let mut faults = plugins.faults.clone();
    for instance in &plugins.instances {
        match PluginService::open(Arc::clone(instance), &profile)
            .and_then(|plugin| unclaimed(plugin, &services))
        {
            Ok(plugin) => services.push(bind(Box::new(plugin))),
            Err(error) => {
                log::write(Level::Error, format_args!("{error}"));
                let (path, name) = (
                    instance.plugin().path.clone(),
                    instance.plugin().name.clone(),
                );
                faults.push(UnusablePlugin {
                    path,
                    name: Some(name),
                    error,
                });
            }
        }
    }
    Ok(Account {
        profile,
        services,
        faults,
    })
}

/// Rejects a plugin whose URLs belong to another service of the account, either to its API or to
/// its web site.
fn unclaimed(plugin: PluginService, services: &[BoundService]) -> Result<PluginService> {
    let (name, base) = (plugin.name(), plugin.base());
    let page = Url::parse(&format!("{}/x", base.origin())).ok();
    let claims = |bound: &&BoundService| {
        let other = bound.service.base();
        let nests = |outer: &BaseUrl, inner: &BaseUrl| {
            Url::parse(inner.as_str()).is_ok_and(|inner| outer.below(&inner).is_some())
        };
        nests(other, base)
            || nests(base, other)
            || page
                .as_ref()
                .is_some_and(|page| bound.service.classify_page(page).is_some())
    };
    if let Some(other) = services.iter().find(claims) {
        let what = format!(
            "the plugin {name} claims URLs of {} ({base}); set `{name}.url` to the plugin's own URL, or remove the plugin from `plugins`",
            other.service.name()
        );
        return Err(Error::new(ErrorKind::Plugin, what));
    }
    Ok(plugin)
}

#[inline]
fn below_version<'a>(bound: &BoundService, rest: &'a str) -> Option<&'a str> {
    bound
        .service
        .prefixes()
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))
}

/// Builds the error for a path below the base URLs of these services that begins with none of their
/// version prefixes.
fn no_version_prefix<'a>(services: impl Iterator<Item = &'a BoundService>) -> Error {
    let (mut names, mut prefixes) = (Vec::<&str>::new(), Vec::<&str>::new());
    for bound in services {
        names.push(bound.service.name());
        prefixes.extend(bound.service.prefixes());
    }
    let what = format!(
        "the URL belongs to {}, but its path has no known version prefix; check that the path begins with {}",
        names.join(" or "),
        prefixes.join(" or ")
    );
    Error::new(ErrorKind::UnknownService, what)
}

fn no_service_for_url(faults: &[UnusablePlugin]) -> Error {
    let what = "the URL belongs to no configured service; check its host and port against `masv.url`, `fileverbs.url` and `agent.url`";
    match faults.first() {
        None => Error::new(ErrorKind::UnknownService, what),
        Some(fault) => Error::new(
            ErrorKind::UnknownService,
            format!("{what}; one plugin cannot be used: {}", fault.error),
        ),
    }
}
