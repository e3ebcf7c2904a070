//! The accounts, the services of each, and which service a resource belongs to.
//!
//! A URL in its usual spelling is matched without allocation; any odd byte sends it through the
//! `url` crate. Both ways end in the same [`Service::classify`], and a test holds them together.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use url::Url;

use crate::config::{Config, Profile, is_account};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, ResourceKind, Scope, TokenKey};
use crate::model::resource::{self, DEFAULT_SERVICE, Resource};
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
    /// How far the service's clock is ahead of this machine's, in microseconds.
    skew_us: AtomicI64,
    /// Source of the skew: none (0), a record's generation, or a `Date` header ([`FROM_DATE_HEADER`]).
    skew_source: Mutex<u64>,
}

/// Greater than every generation: a `Date` header wins over all records.
const FROM_DATE_HEADER: u64 = u64::MAX;
/// A smaller difference of clocks counts as none: the `Date` header has whole seconds, and
/// responses take time.
const SKEW_FLOOR_US: i64 = 2_000_000;
/// A greater difference is a mistake of the server.
///
/// Rationale: it was a day once. A machine whose clock is two days off then had the wrong day for
/// every token: ended ones were handed out as good, or good ones refused as ended. A month is what
/// TLS certificates forgive as well.
const SKEW_LIMIT_US: i64 = 31 * 24 * 3600 * 1_000_000;

impl BoundService {
    /// The key of something of this service and account.
    pub fn key(&self, resource_kind: ResourceKind, id: &str, access: Access) -> TokenKey {
        self.scope.key(resource_kind, id, access)
    }

    /// How far the service's clock is ahead.
    #[inline]
    pub fn skew_us(&self) -> i64 {
        self.skew_us.load(Ordering::Relaxed)
    }

    /// Learns the skew from the `Date` header of an exchange. The server wrote it at some moment of
    /// the exchange: the present skew stays if it fits.
    ///
    /// Rationale: without this, a response that took half a minute looked like a clock half a
    /// minute behind.
    pub fn learn_skew(&self, date_unix_s: i64, began_us: i64, ended_us: i64) {
        let date_us = date_unix_s.saturating_mul(1_000_000);
        let least = date_us.saturating_sub(ended_us);
        let most = date_us.saturating_add(1_000_000).saturating_sub(began_us);
        let ahead = self.skew_us().min(most).max(least);
        let believed = if ahead.abs() < SKEW_FLOOR_US {
            0
        } else {
            ahead.clamp(-SKEW_LIMIT_US, SKEW_LIMIT_US)
        };
        self.set_skew(believed, FROM_DATE_HEADER);
    }

    /// Takes the skew from the record of a generation, unless a `Date` header or a later record has
    /// set it.
    ///
    /// Rationale: a program that ends at once asks the store, and hears no `Date`. Without this
    /// each of them handed out what had ended by the service's clock, or refreshed what had not.
    pub fn set_stored_skew(&self, skew_us: i64, generation: u64) {
        self.set_skew(
            skew_us.clamp(-SKEW_LIMIT_US, SKEW_LIMIT_US),
            generation.min(FROM_DATE_HEADER - 1),
        );
    }

    /// How far the service's clock is ahead, if anybody told it.
    pub fn known_skew_us(&self) -> Option<i64> {
        let by = self.skew_source.lock();
        (*by > 0).then(|| self.skew_us())
    }

    fn set_skew(&self, skew_us: i64, teller: u64) {
        let mut by = self.skew_source.lock();
        if teller == FROM_DATE_HEADER || teller > *by {
            *by = teller;
            self.skew_us.store(skew_us, Ordering::Relaxed);
        }
    }
}

/// One profile and its services.
pub struct Account {
    /// Its settings.
    pub profile: Profile,
    /// Its services, MASV first, those of plugins last.
    pub services: Vec<BoundService>,
    /// Why plugins are left out here.
    pub faults: Vec<UnusablePlugin>,
}

/// All accounts of a configuration.
pub struct Accounts {
    all: Vec<Account>,
    default: usize,
}

/// A resource: the account, the service, and what it names there.
#[derive(Clone, Copy)]
pub struct ResolvedResource<'a> {
    /// Which account.
    pub account: usize,
    /// Which of its services.
    pub service: usize,
    /// What.
    pub target: Target<'a>,
    /// What stood behind the question mark.
    pub query: Option<&'a str>,
}

/// A resource whose id was not checked yet.
pub struct FastMatch<'a> {
    /// The resource.
    pub resolved: ResolvedResource<'a>,
    /// What of the text was neither compared to the letter nor is the id.
    pub rest: &'a str,
}

/// What follows the id; everything, where more than the id was taken from the text.
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
    /// [`ErrorKind::Config`] if a setting can't be used.
    pub fn open(config: &Config, plugins: &Plugins) -> Result<Self> {
        let names = config.accounts();
        // Rationale: a misspelt KEYFERRY_PROFILE once meant the default account, whose tokens then
        // went where another's belonged.
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

    /// The number of an account; the default one where there is no name.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`] naming the accounts there are.
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
                        "there is no profile {shown}: known are {}",
                        known.join(", ")
                    ),
                )
            })
    }

    /// An account.
    pub fn account(&self, number: usize) -> &Account {
        &self.all[number]
    }

    /// A service of an account.
    #[inline]
    pub fn bound(&self, account: usize, service: usize) -> &BoundService {
        &self.all[account].services[service]
    }

    /// The number of a plugin among the services of an account.
    ///
    /// # Errors
    /// Why it is not there.
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

    /// The service and account of a scope, by [`Scope::fingerprint`].
    pub fn at_scope(&self, fingerprint: u64) -> Option<&BoundService> {
        self.all
            .iter()
            .flat_map(|account| &account.services)
            .find(|bound| bound.scope.fingerprint() == fingerprint)
    }

    /// Finds what a resource names, and calls `then` with it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResource`], [`ErrorKind::UnknownService`], [`ErrorKind::NoHeader`], and
    /// those of `then`.
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

    /// The quick way, for text that every reader of URLs leaves as it is. None sends it the long
    /// way, also for the error's sake.
    #[inline]
    pub fn resolve_fast<'a>(&self, account: usize, text: &'a str) -> Option<ResolvedResource<'a>> {
        if resource::is_plain(text.as_bytes()) {
            self.match_prefix(account, text)
                .map(|fast_match| fast_match.resolved)
        } else {
            None
        }
    }

    /// The quickest way, for a look-up that compares the id with one that is known: everything
    /// before the id is compared to the letter here, and what follows it is [`FastMatch::rest`],
    /// for the caller to check.
    #[inline(always)]
    pub fn match_prefix<'a>(&self, account: usize, text: &'a str) -> Option<FastMatch<'a>> {
        if text.len() > resource::MAX_BYTES {
            return None;
        }
        let (head, query) = resource::split_query(text);
        let services = &self.all[account].services;
        let (service, path) = if text.starts_with("http") {
            services.iter().enumerate().find_map(|(service, bound)| {
                let rest = head.strip_prefix(bound.scope.base.as_str())?;
                Some((service, below_version(bound, rest)?))
            })?
        } else {
            let (name, path) = resource::split_service(head);
            if path.is_empty() {
                return None;
            }
            // MASV is the first of them.
            (
                name.map_or(Some(0), |name| {
                    services
                        .iter()
                        .position(|bound| bound.scope.service == name)
                })?,
                path,
            )
        };
        if path.starts_with(['/', '.']) {
            return None;
        }
        let target = services[service].service.classify(path).ok()?;
        Some(FastMatch {
            rest: rest_of(text, &target),
            resolved: ResolvedResource {
                account,
                service,
                target,
                query,
            },
        })
    }

    /// The long way, through the `url` crate.
    ///
    /// # Errors
    /// Those of [`Accounts::resolve`].
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
                then(ResolvedResource {
                    account,
                    service,
                    target: bound.service.classify(path)?,
                    query,
                })
            }
            Resource::Url(url) => {
                let mut is_near = false;
                for (service, bound) in services() {
                    let Some(rest) = bound.service.base().below(&url) else {
                        continue;
                    };
                    // Several services may live at one origin: another one's base may be longer, or
                    // its version prefix another.
                    is_near = true;
                    let Some(path) = below_version(bound, rest) else {
                        continue;
                    };
                    return then(ResolvedResource {
                        account,
                        service,
                        target: bound.service.classify(path)?,
                        query: url.query(),
                    });
                }
                let page = services().find_map(|(service, bound)| {
                    Some((service, bound.service.classify_page(&url)?))
                });
                let (service, target) = page.ok_or_else(|| {
                    if is_near {
                        not_api()
                    } else {
                        not_mine(&self.all[account].faults)
                    }
                })?;
                then(ResolvedResource {
                    account,
                    service,
                    target,
                    query: url.query(),
                })
            }
        }
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
        Error::new(
            ErrorKind::UnknownService,
            format!(
                "the resource names no service before its colon: there are {}",
                names.join(", ")
            ),
        )
    }
}

impl Account {
    /// Why a plugin of this name is not there: the reason of the unusable plugin that may be it,
    /// else of the first one, for a file may have any name in it.
    fn missing(&self, name: &str) -> Error {
        let may_be = self.faults.iter().find(|plugin| plugin.may_be(name));
        let found = may_be.or(self.faults.first());
        found.map(|plugin| plugin.error.clone()).unwrap_or_else(|| {
            Error::new(
                ErrorKind::SecretSource,
                format!("there is no plugin {name}: name its file in `plugins`"),
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
            skew_source: Mutex::new(0),
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

/// Refuses a plugin whose URLs are those of a service that is there already, also where only a web
/// page of it would be.
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
            "the plugin {name} claims URLs of {} ({base}): set `{name}.url` to its own, or take it out of `plugins`",
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

fn not_api() -> Error {
    Error::new(
        ErrorKind::UnknownService,
        "the URL is at a configured service, but below none of its version prefixes: check its path, it begins with /v1/, /v1.1/ or /api/v1/",
    )
}

fn not_mine(faults: &[UnusablePlugin]) -> Error {
    let what = "the URL belongs to no configured service: check its host and port against `masv.url`, `fileverbs.url` and `agent.url`";
    match faults.first() {
        None => Error::new(ErrorKind::UnknownService, what),
        Some(fault) => Error::new(
            ErrorKind::UnknownService,
            format!("{what}; a plugin is left out: {}", fault.error),
        ),
    }
}
