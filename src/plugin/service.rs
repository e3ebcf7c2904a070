//! A plugin's service and its secret source as the engine sees them: like any other.

use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::abi::{KEYFERRY_PLUGIN_E_ARGUMENT, keyferry_plugin_status, keyferry_plugin_want};
use super::call::{self, CallState, Slot};
use super::descriptor::{ServiceTable, access_number, class_number};
use super::instance::Instance;
use super::routes;
use crate::config::{DeclaredKind, Profile, Setting};
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, TokenKind};
use crate::ports::service::{Acquired, Context, FoundToken, Service, Target, TokenSpec};
use crate::secret::Secret;

/// A plugin as one account has it.
pub struct Foreign {
    instance: Arc<Instance>,
    base: BaseUrl,
    account: String,
    limit: Duration,
    /// How many of its functions run now.
    running: AtomicUsize,
}

impl Foreign {
    /// A plugin for an account.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`], [`ErrorKind::Config`] if its URL is not set or can't be used.
    pub fn open(instance: Arc<Instance>, profile: &Profile) -> Result<Self> {
        let plugin = instance.plugin;
        let declared = plugin.settings.iter().find(|declared| declared.key == "url");
        let full = format!("{}.url", plugin.name);
        let set = match profile.setting(&full) {
            Some(Setting::Literal(url)) => Some(url.expose().to_owned()),
            _ => declared.and_then(|declared| declared.fallback.clone()),
        };
        let base = match (set, instance.extensions.service) {
            (Some(url), _) => BaseUrl::parse(&format!("`{full}`"), &url, &[])?,
            // A source without a service is at no URL: RFC 2606 keeps this one from ever being there.
            (None, None) => BaseUrl::parse(&full, &format!("https://{}.invalid", plugin.name), &[])?,
            (None, Some(_)) => {
                return Err(Error::new(ErrorKind::NotConfigured, format!("`{full}` is not set: the plugin {} needs it", plugin.name)));
            }
        };
        let limit = Duration::from_millis(profile.milliseconds("http.timeout_ms"));
        Ok(Self { instance, base, account: profile.account().to_owned(), limit, running: AtomicUsize::new(0) })
    }

    fn table(&self) -> Result<&'static ServiceTable> {
        let what = || format!("the plugin {} has no service: it is a source of secrets", self.instance.plugin.name);
        self.instance.extensions.service.ok_or_else(|| Error::new(ErrorKind::UnknownService, what()))
    }

    fn run(
        &self,
        name: &'static str,
        context: &dyn Context,
        function: impl FnOnce(u64) -> keyferry_plugin_status + Send + 'static,
    ) -> Result<CallState> {
        self.running.fetch_add(1, Ordering::Relaxed);
        // A call that is lost keeps the plugin initialised as long as it runs.
        let cached = Arc::clone(&self.instance);
        let whole = move |number| {
            let code = function(number);
            drop(cached);
            code
        };
        let outcome = call::run(Slot { plugin: self.instance.plugin, name, limit: self.limit }, context, whole);
        self.running.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    /// The token that a call gave.
    fn acquired(&self, spec: &TokenSpec<'_>, name: &str, state: CallState) -> Result<Acquired> {
        if state.headers.is_empty() {
            let what = format!("`{name}` returned without a header: report it to its author");
            return Err(self.instance.plugin.misbehaved(&what));
        }
        let kind = match spec.resource_kind {
            ResourceKind::Key => TokenKind::Key,
            ResourceKind::User => TokenKind::User,
            ResourceKind::Package => TokenKind::Package,
            _ => TokenKind::Bearer,
        };
        let new_token = NewToken { kind, headers: state.headers, expires_unix_s: state.expires_unix_s, details: serde_json::Value::Null };
        let found = FoundToken { resource_kind: spec.resource_kind, id: spec.id.into(), access: spec.access, new_token };
        Ok(Acquired { found, renewal: state.renewal, others: Vec::new() })
    }
}

/// What is wanted, in the ABI's terms and in memory of its own.
struct Wanted {
    id: CString,
    account: CString,
    resource_kind: u32,
    access: u32,
}

impl Wanted {
    fn with(&self, function: impl FnOnce(*const keyferry_plugin_want) -> keyferry_plugin_status) -> keyferry_plugin_status {
        let Self { id, account, resource_kind, access } = self;
        let struct_size = size_of::<keyferry_plugin_want>() as u32;
        let spec = keyferry_plugin_want {
            struct_size,
            token_class: *resource_kind,
            access: *access,
            reserved: 0,
            id: id.as_ptr(),
            account: account.as_ptr(),
        };
        function(&raw const spec)
    }
}

impl Foreign {
    fn wanted(&self, spec: &TokenSpec<'_>) -> Wanted {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        Wanted {
            id: text(spec.id),
            account: text(&self.account),
            resource_kind: class_number(spec.resource_kind),
            access: access_number(spec.access),
        }
    }
}

impl Service for Foreign {
    fn name(&self) -> &str {
        &self.instance.plugin.name
    }

    fn title(&self) -> &str {
        self.instance.extensions.service.map_or(&self.instance.plugin.name, |table| &table.title)
    }

    fn base(&self) -> &BaseUrl {
        &self.base
    }

    fn prefixes(&self) -> &[&str] {
        self.instance.extensions.service.map_or(&[], |table| &table.prefixes)
    }

    fn owner(&self, _class: ResourceKind, _access: Access) -> Vec<&str> {
        let secrets = self.instance.plugin.settings.iter().filter(|declared| declared.kind == DeclaredKind::Secret);
        secrets.map(|declared| declared.full.as_str()).collect()
    }

    fn classify<'a>(&self, path: &'a str) -> Result<Target<'a>> {
        match self.instance.extensions.service {
            Some(table) => routes::classify(&table.routes, path),
            None => self.table().and_then(|_| Err(Error::new(ErrorKind::UnknownService, "no path is a source's"))),
        }
    }

    fn acquire(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired> {
        let (acquire, wanted) = (self.table()?.acquire, self.wanted(spec));
        // SAFETY: the header tells plugins what `acquire` is called with; all of it lives until that returns.
        let state = self.run("acquire", context, move |number| wanted.with(|spec| unsafe { acquire(number, spec) }))?;
        self.acquired(spec, "acquire", state)
    }

    fn renew(&self, spec: &TokenSpec<'_>, renewal: &Secret, context: &dyn Context) -> Result<Acquired> {
        let unsupported =
            || Error::new(ErrorKind::Unsupported, format!("the plugin {} can't renew: a new token is got instead", self.name()));
        let renew = self.table()?.renew.ok_or_else(unsupported)?;
        let (wanted, renewal) = (self.wanted(spec), renewal.clone());
        let whole = move |number| {
            let mut text: Vec<c_char> = renewal.expose().bytes().map(|byte| byte as c_char).collect();
            text.push(0);
            if text.len() != renewal.len() + 1 {
                return KEYFERRY_PLUGIN_E_ARGUMENT;
            }
            // SAFETY: as above.
            wanted.with(|spec| unsafe { renew(number, spec, text.as_ptr()) })
        };
        let state = self.run("renew", context, whole)?;
        self.acquired(spec, "renew", state)
    }

    fn secret(&self, what: &str, context: &dyn Context) -> Result<Secret> {
        let plugin = self.instance.plugin;
        let missing = || Error::new(ErrorKind::SecretSource, format!("the plugin {} is no source of secrets", plugin.name));
        let get = self.instance.extensions.secret_source.ok_or_else(missing)?;
        let what = CString::new(what).unwrap_or_default();
        // SAFETY: the header tells plugins what `get` is called with; the text lives until it returns.
        let state = self.run("get", context, move |number| unsafe { get(number, what.as_ptr()) })?;
        state.secret.ok_or_else(|| plugin.misbehaved("`get` returned without a secret: report it to its author"))
    }

    fn is_foreign(&self) -> bool {
        true
    }

    fn stalled(&self) -> Option<String> {
        let runs = self.running.load(Ordering::Relaxed) > 0;
        runs.then(|| format!("the plugin {} has not come back so far", self.name()))
    }
}
