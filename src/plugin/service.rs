//! [`Service`] for a plugin: its service and its secret source, with the settings of one account.

#![expect(unsafe_code, reason = "calls plugins, and is called by them")]

use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::abi::{
    KEYFERRY_PLUGIN_E_INVALID_ARGUMENT, keyferry_plugin_status, keyferry_plugin_token_spec,
};
use super::call::{self, CallState, PluginFunction};
use super::descriptor::{ServiceTable, access_number, token_kind_number};
use super::instance::Instance;
use super::routes;
use crate::config::{DeclaredKind, Profile, Setting};
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, TokenKind};
use crate::ports::service::{Acquired, Context, FoundToken, Service, Target, TokenSpec};
use crate::secret::Secret;

/// A plugin with the settings of one account.
pub struct PluginService {
    instance: Arc<Instance>,
    base: BaseUrl,
    account: String,
    timeout: Duration,
    /// The number of calls that callers wait for now.
    running_calls: AtomicUsize,
}

impl PluginService {
    /// Opens a plugin for an account.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`] if the plugin's URL is not set; [`ErrorKind::Config`] if the
    /// URL is invalid.
    #[expect(
        clippy::disallowed_methods,
        reason = "the URL of the service is no secret"
    )]
    pub fn open(instance: Arc<Instance>, profile: &Profile) -> Result<Self> {
        let plugin = instance.plugin;
        let declared = plugin
            .settings
            .iter()
            .find(|declared| declared.key == "url");
        let key = format!("{}.url", plugin.name);
        let configured = match profile.setting(&key) {
            Some(Setting::Literal(url)) => Some(url.expose().to_owned()),
            _ => declared.and_then(|declared| declared.fallback.clone()),
        };
        let base = match (configured, instance.extensions.service) {
            (Some(url), _) => BaseUrl::parse(&format!("`{key}`"), &url, &[])?,
            // A secret source without a service has no URL, so it gets one that never exists:
            // RFC 2606 reserves `.invalid`.
            (None, None) => BaseUrl::parse(&key, &format!("https://{}.invalid", plugin.name), &[])?,
            (None, Some(_)) => {
                return Err(Error::new(
                    ErrorKind::NotConfigured,
                    format!(
                        "the plugin {} needs `{key}`, which is not set; set it",
                        plugin.name
                    ),
                ));
            }
        };
        let timeout = Duration::from_millis(profile.milliseconds("http.timeout_ms"));
        Ok(Self {
            instance,
            base,
            account: profile.account().to_owned(),
            timeout,
            running_calls: AtomicUsize::new(0),
        })
    }

    fn service_table(&self) -> Result<&'static ServiceTable> {
        let what = || {
            let name = &self.instance.plugin.name;
            format!(
                "the plugin {name} is a secret source, not a service; use it in a setting as `{{ plugin = [\"{name}\", \"...\"] }}`"
            )
        };
        self.instance
            .extensions
            .service
            .ok_or_else(|| Error::new(ErrorKind::UnknownService, what()))
    }

    fn run(
        &self,
        name: &'static str,
        context: &dyn Context,
        function: impl FnOnce(u64) -> keyferry_plugin_status + Send + 'static,
    ) -> Result<CallState> {
        self.running_calls.fetch_add(1, Ordering::Relaxed);
        // The plugin stays initialised until a hung call returns.
        let instance = Arc::clone(&self.instance);
        let body = move |id| {
            let code = function(id);
            drop(instance);
            code
        };
        let outcome = call::run(
            PluginFunction {
                plugin: self.instance.plugin,
                name,
                timeout: self.timeout,
            },
            context,
            body,
        );
        self.running_calls.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    /// Returns the token that a call has passed to the host.
    fn acquired_token(
        &self,
        spec: &TokenSpec<'_>,
        name: &str,
        state: CallState,
    ) -> Result<Acquired> {
        if state.headers.is_empty() {
            let what = format!(
                "`{name}` returned KEYFERRY_PLUGIN_OK without a header; report this to the plugin's author"
            );
            return Err(self.instance.plugin.misbehaved(&what));
        }
        let kind = match spec.resource_kind {
            ResourceKind::Key => TokenKind::Key,
            ResourceKind::User => TokenKind::User,
            ResourceKind::Package => TokenKind::Package,
            _ => TokenKind::Bearer,
        };
        let new_token = NewToken {
            kind,
            headers: state.headers,
            expiry: state.expires_unix_s.into(),
            details: serde_json::Value::Null,
        };
        let found = FoundToken {
            resource_kind: spec.resource_kind,
            id: spec.id.into(),
            access: spec.access,
            new_token,
        };
        Ok(Acquired {
            found,
            renewal: state.renewal,
            others: Vec::new(),
        })
    }
}

/// A token spec for the plugin. It owns the strings that the C struct points to.
struct CTokenSpec {
    id: CString,
    account: CString,
    resource_kind: u32,
    access: u32,
}

impl CTokenSpec {
    fn with_pointer(
        &self,
        function: impl FnOnce(*const keyferry_plugin_token_spec) -> keyferry_plugin_status,
    ) -> keyferry_plugin_status {
        let Self {
            id,
            account,
            resource_kind,
            access,
        } = self;
        let struct_size = size_of::<keyferry_plugin_token_spec>() as u32;
        let spec = keyferry_plugin_token_spec {
            struct_size,
            token_kind: *resource_kind,
            access: *access,
            reserved: 0,
            id: id.as_ptr(),
            account: account.as_ptr(),
        };
        function(&raw const spec)
    }
}

impl PluginService {
    fn c_token_spec(&self, spec: &TokenSpec<'_>) -> CTokenSpec {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        CTokenSpec {
            id: text(spec.id),
            account: text(&self.account),
            resource_kind: token_kind_number(spec.resource_kind),
            access: access_number(spec.access),
        }
    }
}

impl Service for PluginService {
    fn name(&self) -> &str {
        &self.instance.plugin.name
    }

    fn title(&self) -> &str {
        self.instance
            .extensions
            .service
            .map_or(&self.instance.plugin.name, |service_table| {
                &service_table.title
            })
    }

    fn base(&self) -> &BaseUrl {
        &self.base
    }

    fn prefixes(&self) -> &[&str] {
        self.instance
            .extensions
            .service
            .map_or(&[], |service_table| &service_table.prefixes)
    }

    fn owner_settings(&self, _resource_kind: ResourceKind, _access: Access) -> Vec<&str> {
        let secrets = self
            .instance
            .plugin
            .settings
            .iter()
            .filter(|declared| declared.kind == DeclaredKind::Secret);
        secrets.map(|declared| declared.full_key.as_str()).collect()
    }

    fn settings_without_default(&self) -> Vec<&str> {
        let settings = self.instance.plugin.settings.iter();
        settings
            .filter(|declared| declared.fallback.is_none())
            .map(|declared| declared.full_key.as_str())
            .collect()
    }

    fn sample_path(&self) -> Option<String> {
        let service_table = self.instance.extensions.service?;
        let pattern = service_table.patterns.first()?;
        Some(
            pattern
                .replace("{id}", "keyferry")
                .replace("{rest}", "keyferry"),
        )
    }

    fn classify<'a>(&self, path: &'a str) -> Result<Target<'a>> {
        match self.instance.extensions.service {
            Some(service_table) => routes::classify(&service_table.routes, path),
            None => self.service_table().and_then(|_| {
                Err(Error::new(
                    ErrorKind::UnknownService,
                    "a secret source has no paths",
                ))
            }),
        }
    }

    fn acquire(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired> {
        let (acquire, c_spec) = (self.service_table()?.acquire, self.c_token_spec(spec));
        let body = move |id| {
            c_spec.with_pointer(|spec| {
                // SAFETY: the arguments are those that the header promises for `acquire`, and are
                // valid until it returns.
                unsafe { acquire(id, spec) }
            })
        };
        self.run("acquire", context, body)
            .and_then(|state| self.acquired_token(spec, "acquire", state))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the plugin refreshes the token with the renewal secret"
    )]
    fn renew(
        &self,
        spec: &TokenSpec<'_>,
        renewal: &Secret,
        context: &dyn Context,
    ) -> Result<Acquired> {
        let unsupported = || {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the plugin {} has no `renew`; a new token is fetched instead",
                    self.name()
                ),
            )
        };
        let renew = self.service_table()?.renew.ok_or_else(unsupported)?;
        let (c_spec, renewal) = (self.c_token_spec(spec), renewal.clone());
        let body = move |id| {
            let mut text: Vec<c_char> = renewal
                .expose()
                .bytes()
                .map(|byte| byte as c_char)
                .collect();
            text.push(0);
            if text.len() != renewal.len() + 1 {
                return KEYFERRY_PLUGIN_E_INVALID_ARGUMENT;
            }
            // SAFETY: as above, for `renew`. `text` ends in NUL.
            c_spec.with_pointer(|spec| unsafe { renew(id, spec, text.as_ptr()) })
        };
        let state = self.run("renew", context, body)?;
        self.acquired_token(spec, "renew", state)
    }

    fn secret(&self, what: &str, context: &dyn Context) -> Result<Secret> {
        let plugin = self.instance.plugin;
        let missing = || {
            Error::new(
                ErrorKind::SecretSource,
                format!(
                    "the plugin {} is not a secret source; name another plugin in the setting",
                    plugin.name
                ),
            )
        };
        let get = self.instance.extensions.secret_source.ok_or_else(missing)?;
        let what = CString::new(what).unwrap_or_default();
        // SAFETY: the arguments are those that the header promises for `get`, and the string is
        // valid until it returns.
        let state = self.run("get", context, move |id| unsafe { get(id, what.as_ptr()) })?;
        state.secret.ok_or_else(|| {
            plugin.misbehaved(
                "`get` returned KEYFERRY_PLUGIN_OK without a secret; report this to the plugin's author",
            )
        })
    }

    fn is_foreign(&self) -> bool {
        true
    }

    fn stalled(&self) -> Option<String> {
        let is_running = self.running_calls.load(Ordering::Relaxed) > 0;
        is_running.then(|| format!("the plugin {} has not returned yet", self.name()))
    }
}
