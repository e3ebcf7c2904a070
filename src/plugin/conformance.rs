//! The conformance test for plugin authors.
//!
//! The test calls the plugin with missing settings, without a network, and with every kind of
//! response that a service can send. It sends nothing to the network. It runs in this process,
//! which a faulty plugin may crash.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

use super::handle::Plugin;
use super::instance::Instance;
use super::loader;
use super::routes::Route;
use super::service::PluginService;
use super::stub_context::StubContext;
use crate::config::{Config, DeclaredKind};
use crate::error::{Error, ErrorKind, PluginFault, Result};
use crate::model::key::{Access, ResourceKind};
use crate::ports::http::{Request, Response};
use crate::ports::service::{Service, TokenSpec};
use crate::secret::Secret;

/// The value of every secret setting in the test.
const CANARY_SECRET: &str = "canary-4fd1c6-never-shown";
const URL: &str = "https://plugin-check.invalid";
/// The timeout of one call, in milliseconds.
const TIMEOUT_MS: &str = "2000";
const CONCURRENT_CALLS: usize = 8;

/// The responses that the plugin gets: status and body.
const RESPONSES: &[(u16, &str)] = &[
    (200, ""),
    (200, "{}"),
    (200, "[]"),
    (200, "null"),
    (200, "{\"token\":null,\"ticket\":7,\"auth\":{}}"),
    (
        200,
        "<html><body>Sign in to the hotel's network</body></html>",
    ),
    (200, "{\"token\": \"half an ans"),
    (204, ""),
    (400, "{\"errors\":[\"bad request\"]}"),
    (401, "{}"),
    (403, "{}"),
    (404, "{}"),
    (418, "no teapot"),
];

/// The callback that reports a step. Before the step, it gets the name of the step and `None`.
/// After the step, it gets the name and the result.
pub(super) type Report<'a> = dyn FnMut(&str, Option<Result<(), String>>) + 'a;

/// Tests the plugin at `path` and reports each step. Returns whether all steps passed.
pub fn check(path: &Path, report: &mut Report<'_>) -> bool {
    let mut steps = Steps {
        report,
        passed: true,
    };
    if steps
        .run("its file is safe, complete, and built for this ABI", || {
            loader::examine(path)
        })
        .is_none()
    {
        return false;
    }
    let Some(plugin) = steps.run("it loads, and its entry is valid", || loader::load(path)) else {
        return false;
    };
    let Some(instance) = steps.run("`init` succeeds, and its tables are valid", || {
        plugin.initialize()
    }) else {
        return false;
    };
    drop(instance);
    let again = "`init` succeeds again after `deinit`";
    let Some(instance) = steps.run(again, || plugin.initialize()) else {
        return false;
    };
    let opened = ConformanceRun::open(plugin, &instance);
    let Some(run) = steps.run("it accepts its settings", || opened) else {
        return false;
    };
    for case in run.cases() {
        steps.run(&case.name, || (case.run)(&run));
    }
    drop(run);
    drop(instance);
    steps.passed
}

struct Steps<'a, 'b> {
    report: &'a mut Report<'b>,
    passed: bool,
}

impl Steps<'_, '_> {
    fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        (self.report)(name, None);
        let outcome = step();
        self.passed &= outcome.is_ok();
        let (result, value) = match outcome {
            Ok(value) => (Ok(()), Some(value)),
            Err(error) => (Err(error.message().to_owned()), None),
        };
        (self.report)(name, Some(result));
        value
    }
}

/// One test step for an initialised plugin.
struct Case {
    name: String,
    run: fn(&ConformanceRun) -> Result<()>,
}

/// A plugin with the settings of the test.
struct ConformanceRun {
    plugin: &'static Plugin,
    service: PluginService,
    token_kinds: Vec<(ResourceKind, Access)>,
    can_renew: bool,
    is_source: bool,
}

impl ConformanceRun {
    fn open(plugin: &'static Plugin, instance: &Arc<Instance>) -> Result<Self> {
        let mut config = Config::new();
        config.set("plugins", Secret::new(plugin.path.display().to_string()))?;
        config.set("http.timeout_ms", Secret::from(TIMEOUT_MS))?;
        for declared in plugin
            .settings
            .iter()
            .filter(|declared| declared.kind == DeclaredKind::Url)
        {
            config.set(&declared.full_key, Secret::from(URL))?;
        }
        config.apply_declared(&plugin.settings, true)?;
        let service = PluginService::open(
            Arc::clone(instance),
            &config.profile(config.default_account())?,
        )?;
        let mut token_kinds: Vec<_> = instance
            .extensions
            .service
            .iter()
            .flat_map(|service| service.routes.iter().map(Route::kind_and_access))
            .collect();
        token_kinds.dedup();
        Ok(Self {
            plugin,
            service,
            token_kinds,
            can_renew: (instance.extensions.service.as_ref())
                .is_some_and(|service| service.renew.is_some()),
            is_source: instance.extensions.secret_source.is_some(),
        })
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        let mut add = |name: &str, run: fn(&Self) -> Result<()>| {
            cases.push(Case {
                name: name.to_owned(),
                run,
            })
        };
        if !self.token_kinds.is_empty() {
            add("`acquire` handles missing settings", |test| {
                test.acquire(&Fixture::NOTHING_SET)
            });
            add("`acquire` handles a missing network", |test| {
                test.acquire(&Fixture::NO_NETWORK)
            });
            add("`acquire` handles every response", |test| {
                test.with_each_response(Self::acquire)
            });
            if self.can_renew {
                add("`renew` handles every response", |test| {
                    test.with_each_response(Self::renew)
                });
            }
            add(
                "`acquire` handles 8 calls at the same time",
                Self::acquire_concurrently,
            );
        }
        if self.is_source {
            add("`get` handles missing settings", |test| {
                test.get(&Fixture::NOTHING_SET)
            });
            add("`get` handles a missing network", |test| {
                test.get(&Fixture::NO_NETWORK)
            });
            add("`get` handles every response", |test| {
                test.with_each_response(Self::get)
            });
        }
        cases
    }

    fn with_each_response(&self, run: fn(&Self, &Fixture) -> Result<()>) -> Result<()> {
        RESPONSES.iter().try_for_each(|response| {
            run(
                self,
                &Fixture {
                    has_settings: true,
                    response: Some(*response),
                },
            )
        })
    }

    fn acquire(&self, fixture: &Fixture) -> Result<()> {
        self.token_kinds.iter().try_for_each(|kind_and_access| {
            self.run_fixture(fixture, &|context| {
                self.service
                    .acquire(&token_spec(*kind_and_access), context)
                    .map(drop)
            })
        })
    }

    fn renew(&self, fixture: &Fixture) -> Result<()> {
        let renewal = Secret::from("plugin-check-renewal");
        self.token_kinds.iter().try_for_each(|kind_and_access| {
            self.run_fixture(fixture, &|context| {
                self.service
                    .renew(&token_spec(*kind_and_access), &renewal, context)
                    .map(drop)
            })
        })
    }

    fn get(&self, fixture: &Fixture) -> Result<()> {
        ["plugin/check#field", "x", "#", " ", "/../../x#y", "a#b#c"]
            .iter()
            .try_for_each(|what| {
                self.run_fixture(fixture, &|context| {
                    self.service.secret(what, context).map(drop)
                })
            })
    }

    fn acquire_concurrently(&self) -> Result<()> {
        std::thread::scope(|scope| {
            let fixture = || Fixture {
                has_settings: true,
                response: Some((200, "{}")),
            };
            let threads: Vec<_> = (0..CONCURRENT_CALLS)
                .map(|_| scope.spawn(move || (0..8).try_for_each(|_| self.acquire(&fixture()))))
                .collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| {
                    Err(Error::new(
                        ErrorKind::Panic,
                        "a thread of keyferry's own test panicked; report it to the keyferry project",
                    ))
                })
            })
        })
    }

    /// Makes one call. A call that returns an error passes too, unless the plugin broke its
    /// contract.
    fn run_fixture(
        &self,
        fixture: &Fixture,
        call: &dyn Fn(&StubContext<'_>) -> Result<()>,
    ) -> Result<()> {
        let (failed, leaked) = (Cell::new(false), RefCell::new(None));
        let settings = |name: &str| fixture.setting(self.plugin, name);
        let services = |request: &Request| {
            if request.url.as_str().contains(CANARY_SECRET) {
                *leaked.borrow_mut() = Some(
                    "it puts a secret into a URL, which logs and proxies record; put the secret into a header or the body",
                );
            }
            let response = fixture.response();
            failed.set(failed.get() || response.is_err());
            response
        };
        let outcome = call(&StubContext {
            settings: &settings,
            services: &services,
        });
        let fail = |reason: String| {
            Err(Error::new(
                ErrorKind::Plugin,
                format!("{reason} ({})", fixture.name()),
            ))
        };
        if let Some(what) = leaked.take() {
            return fail(what.to_owned());
        }
        match outcome {
            Ok(_) if failed.get() => {
                fail("it returned KEYFERRY_PLUGIN_OK although `exchange` had failed; return the status of `exchange`".into())
            }
            Ok(_) => Ok(()),
            Err(error) if error.message().contains(CANARY_SECRET) => fail("its error message contains a secret; remove the secret".into()),
            Err(error) => match error.plugin_fault {
                Some(PluginFault::Misbehaved) => fail(error.message().to_owned()),
                Some(PluginFault::SaidNothing) => fail("it returned KEYFERRY_PLUGIN_E_FAILED without an error message; call `set_error_message` first".into()),
                None => Ok(()),
            },
        }
    }
}

fn token_spec((resource_kind, access): (ResourceKind, Access)) -> TokenSpec<'static> {
    let id = if resource_kind == ResourceKind::Package {
        "plugin-check"
    } else {
        ""
    };
    TokenSpec {
        resource_kind,
        id,
        access,
        parent: None,
        link_secret: None,
        link_password: None,
    }
}

/// The settings and the response that one call gets.
struct Fixture {
    has_settings: bool,
    response: Option<(u16, &'static str)>,
}

impl Fixture {
    const NOTHING_SET: Self = Self {
        has_settings: false,
        response: None,
    };
    const NO_NETWORK: Self = Self {
        has_settings: true,
        response: None,
    };

    fn name(&self) -> String {
        match self.response {
            _ if !self.has_settings => "if no setting is set".into(),
            None => "if there is no network".into(),
            Some((status, body)) => {
                format!("if each response has status {status} and body '{body}'")
            }
        }
    }

    fn setting(&self, plugin: &Plugin, name: &str) -> Result<Option<Secret>> {
        let kind = plugin
            .settings
            .iter()
            .find(|declared| declared.full_key == name)
            .map(|declared| declared.kind);
        Ok(match kind {
            Some(DeclaredKind::Url) => Some(Secret::from(URL)),
            Some(DeclaredKind::Text) if self.has_settings => Some(Secret::from("plugin-check")),
            Some(DeclaredKind::Secret) if self.has_settings => Some(Secret::from(CANARY_SECRET)),
            _ => None,
        })
    }

    fn response(&self) -> Result<Response> {
        let (status, body) = self
            .response
            .ok_or_else(|| Error::new(ErrorKind::Unreachable, "this step has no network"))?;
        Ok(Response {
            status,
            date_unix_s: None,
            retry_after: None,
            cookies: Vec::new(),
            body: Secret::from(body),
        })
    }
}
