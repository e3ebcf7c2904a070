//! A plugin's service and its secret source as the engine sees them: like any other.

use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::abi::{KEYFERRY_PLUGIN_E_ARGUMENT, keyferry_plugin_status, keyferry_plugin_want};
use super::call::{self, Given, Slot};
use super::descriptor::{ServiceTable, access_number, class_number};
use super::loader::Instance;
use super::routes;
use crate::config::{DeclaredKind, Profile, Setting};
use crate::error::{Error, Kind, Result};
use crate::model::base_url::Base;
use crate::model::key::{Access, Class};
use crate::model::token::{Draft, Kind as TokenKind};
use crate::ports::service::{Acquired, Context, Found, Service, Target, Want};
use crate::secret::Secret;

/// A plugin as one account has it.
pub struct Foreign {
    instance: Arc<Instance>,
    base: Base,
    account: String,
    limit: Duration,
    /// How many of its functions run now.
    running: AtomicUsize,
}

impl Foreign {
    /// A plugin for an account.
    ///
    /// # Errors
    /// [`Kind::NotConfigured`], [`Kind::Config`] if its URL is not set or can't be used.
    pub fn open(instance: Arc<Instance>, profile: &Profile) -> Result<Self> {
        let plugin = instance.plugin;
        let declared = plugin.settings.iter().find(|declared| declared.key == "url");
        let full = format!("{}.url", plugin.name);
        let set = match profile.setting(&full) {
            Some(Setting::Literal(url)) => Some(url.expose().to_owned()),
            _ => declared.and_then(|declared| declared.fallback.clone()),
        };
        let base = match (set, instance.parts.service) {
            (Some(url), _) => Base::parse(&format!("`{full}`"), &url, &[])?,
            // A source without a service is at no URL: RFC 2606 keeps this one from ever being there.
            (None, None) => Base::parse(&full, &format!("https://{}.invalid", plugin.name), &[])?,
            (None, Some(_)) => {
                return Err(Error::new(Kind::NotConfigured, format!("`{full}` is not set: the plugin {} needs it", plugin.name)));
            }
        };
        let limit = Duration::from_millis(profile.milliseconds("http.timeout_ms"));
        Ok(Self { instance, base, account: profile.account().to_owned(), limit, running: AtomicUsize::new(0) })
    }

    fn table(&self) -> Result<&'static ServiceTable> {
        let what = || format!("the plugin {} has no service: it is a source of secrets", self.instance.plugin.name);
        self.instance.parts.service.ok_or_else(|| Error::new(Kind::NotMine, what()))
    }

    fn run(
        &self,
        name: &'static str,
        context: &dyn Context,
        function: impl FnOnce(u64) -> keyferry_plugin_status + Send + 'static,
    ) -> Result<Given> {
        self.running.fetch_add(1, Ordering::Relaxed);
        // A call that is lost keeps the plugin initialised as long as it runs.
        let held = Arc::clone(&self.instance);
        let whole = move |number| {
            let code = function(number);
            drop(held);
            code
        };
        let outcome = call::run(Slot { plugin: self.instance.plugin, name, limit: self.limit }, context, whole);
        self.running.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    /// The token that a call gave.
    fn acquired(&self, want: &Want<'_>, name: &str, given: Given) -> Result<Acquired> {
        if given.headers.is_empty() {
            let what = format!("`{name}` returned without a header: report it to its author");
            return Err(call::fault(self.instance.plugin, &what));
        }
        let kind = match want.class {
            Class::Key => TokenKind::Key,
            Class::User => TokenKind::User,
            Class::Package => TokenKind::Package,
            _ => TokenKind::Bearer,
        };
        let draft = Draft { kind, headers: given.headers, expires_unix_s: given.expires_unix_s, details: serde_json::Value::Null };
        let found = Found { class: want.class, id: want.id.into(), access: want.access, draft };
        Ok(Acquired { found, renewal: given.renewal, others: Vec::new() })
    }
}

/// What is wanted, in the ABI's terms and in memory of its own.
struct Wanted {
    id: CString,
    account: CString,
    class: u32,
    access: u32,
}

impl Wanted {
    fn with(&self, function: impl FnOnce(*const keyferry_plugin_want) -> keyferry_plugin_status) -> keyferry_plugin_status {
        let Self { id, account, class, access } = self;
        let struct_size = size_of::<keyferry_plugin_want>() as u32;
        let want = keyferry_plugin_want {
            struct_size,
            token_class: *class,
            access: *access,
            reserved: 0,
            id: id.as_ptr(),
            account: account.as_ptr(),
        };
        function(&raw const want)
    }
}

impl Foreign {
    fn wanted(&self, want: &Want<'_>) -> Wanted {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        Wanted { id: text(want.id), account: text(&self.account), class: class_number(want.class), access: access_number(want.access) }
    }
}

impl Service for Foreign {
    fn name(&self) -> &str {
        &self.instance.plugin.name
    }

    fn title(&self) -> &str {
        self.instance.parts.service.map_or(&self.instance.plugin.name, |table| &table.title)
    }

    fn base(&self) -> &Base {
        &self.base
    }

    fn prefixes(&self) -> &[&str] {
        self.instance.parts.service.map_or(&[], |table| &table.prefixes)
    }

    fn owner(&self, _class: Class, _access: Access) -> Vec<&str> {
        let secrets = self.instance.plugin.settings.iter().filter(|declared| declared.kind == DeclaredKind::Secret);
        secrets.map(|declared| declared.full.as_str()).collect()
    }

    fn classify<'a>(&self, path: &'a str) -> Result<Target<'a>> {
        match self.instance.parts.service {
            Some(table) => routes::classify(&table.routes, path),
            None => self.table().and_then(|_| Err(Error::new(Kind::NotMine, "no path is a source's"))),
        }
    }

    fn acquire(&self, want: &Want<'_>, context: &dyn Context) -> Result<Acquired> {
        let (acquire, wanted) = (self.table()?.acquire, self.wanted(want));
        // SAFETY: the header tells plugins what `acquire` is called with; all of it lives until that returns.
        let given = self.run("acquire", context, move |number| wanted.with(|want| unsafe { acquire(number, want) }))?;
        self.acquired(want, "acquire", given)
    }

    fn renew(&self, want: &Want<'_>, renewal: &Secret, context: &dyn Context) -> Result<Acquired> {
        let unsupported = || Error::new(Kind::Unsupported, format!("the plugin {} can't renew: a new token is got instead", self.name()));
        let renew = self.table()?.renew.ok_or_else(unsupported)?;
        let (wanted, renewal) = (self.wanted(want), renewal.clone());
        let whole = move |number| {
            let mut text: Vec<c_char> = renewal.expose().bytes().map(|byte| byte as c_char).collect();
            text.push(0);
            if text.len() != renewal.len() + 1 {
                return KEYFERRY_PLUGIN_E_ARGUMENT;
            }
            // SAFETY: as above.
            wanted.with(|want| unsafe { renew(number, want, text.as_ptr()) })
        };
        let given = self.run("renew", context, whole)?;
        self.acquired(want, "renew", given)
    }

    fn secret(&self, what: &str, context: &dyn Context) -> Result<Secret> {
        let plugin = self.instance.plugin;
        let missing = || Error::new(Kind::SecretSource, format!("the plugin {} is no source of secrets", plugin.name));
        let get = self.instance.parts.source.ok_or_else(missing)?;
        let what = CString::new(what).unwrap_or_default();
        // SAFETY: the header tells plugins what `get` is called with; the text lives until it returns.
        let given = self.run("get", context, move |number| unsafe { get(number, what.as_ptr()) })?;
        given.secret.ok_or_else(|| call::fault(plugin, "`get` returned without a secret: report it to its author"))
    }

    fn is_foreign(&self) -> bool {
        true
    }

    fn stalled(&self) -> Option<String> {
        let runs = self.running.load(Ordering::Relaxed) > 0;
        runs.then(|| format!("the plugin {} has not come back so far", self.name()))
    }
}
