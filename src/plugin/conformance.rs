//! The conformance test for authors: a plugin meets every answer that a host can have for it, without any network.
//!
//! It runs the plugin's code: in a process that may end by it.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

use super::handle::Plugin;
use super::instance::Instance;
use super::loader;
use super::routes::Route;
use super::service::Foreign;
use super::stub_context::StubContext;
use crate::config::{Config, DeclaredKind};
use crate::error::{Error, ErrorKind, PluginFault, Result};
use crate::model::key::{Access, ResourceKind};
use crate::ports::http::{Request, Response};
use crate::ports::service::{Service, TokenSpec};
use crate::secret::Secret;

/// What every secret is in the test.
const CANARY: &str = "canary-4fd1c6-never-shown";
const URL: &str = "https://plugin-check.invalid";
/// What one call may take.
const LIMIT_MS: &str = "2000";
const AT_ONCE: usize = 8;

/// What a service may answer.
const ANSWERS: &[(u16, &str)] = &[
    (200, ""),
    (200, "{}"),
    (200, "[]"),
    (200, "null"),
    (200, "{\"token\":null,\"ticket\":7,\"auth\":{}}"),
    (200, "<html><body>Sign in to the hotel's network</body></html>"),
    (200, "{\"token\": \"half an ans"),
    (204, ""),
    (400, "{\"errors\":[\"bad request\"]}"),
    (401, "{}"),
    (403, "{}"),
    (404, "{}"),
    (418, "no teapot"),
];

/// Takes a step's name before it is done, and what is wrong with it afterwards.
pub(super) type Tell<'a> = dyn FnMut(&str, Option<Result<(), String>>) + 'a;

/// Tests the plugin of a path, and tells of each step. Whether all were right.
pub fn check(path: &Path, tell: &mut Tell<'_>) -> bool {
    let mut steps = Steps { tell, right: true };
    if steps.run("stands where nobody else can change it, is whole, and speaks this ABI", || loader::examine(path)).is_none() {
        return false;
    }
    let Some(plugin) = steps.run("is loaded, and describes itself and its settings", || loader::load(path)) else { return false };
    let Some(instance) = steps.run("is initialised, and its tables can be used", || plugin.initialize()) else { return false };
    drop(instance);
    let again = "is initialised once more after its `deinit`";
    let Some(instance) = steps.run(again, || plugin.initialize()) else { return false };
    let opened = ConformanceRun::open(plugin, &instance);
    let Some(rehearsal) = steps.run("takes its settings", || opened) else { return false };
    for act in rehearsal.acts() {
        steps.run(&act.name, || (act.run)(&rehearsal));
    }
    drop(rehearsal);
    drop(instance);
    steps.right
}

struct Steps<'a, 'b> {
    tell: &'a mut Tell<'b>,
    right: bool,
}

impl Steps<'_, '_> {
    fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        (self.tell)(name, None);
        let outcome = step();
        self.right &= outcome.is_ok();
        let (told, value) = match outcome {
            Ok(value) => (Ok(()), Some(value)),
            Err(error) => (Err(error.message().to_owned()), None),
        };
        (self.tell)(name, Some(told));
        value
    }
}

struct Case {
    name: String,
    run: fn(&ConformanceRun) -> Result<()>,
}

/// A plugin on an account of our own.
struct ConformanceRun {
    plugin: &'static Plugin,
    foreign: Foreign,
    wants: Vec<(ResourceKind, Access)>,
    is_source: bool,
}

impl ConformanceRun {
    fn open(plugin: &'static Plugin, instance: &Arc<Instance>) -> Result<Self> {
        let mut config = Config::new();
        config.set("plugins", Secret::new(plugin.path.display().to_string()))?;
        config.set("http.timeout_ms", Secret::from(LIMIT_MS))?;
        for declared in plugin.settings.iter().filter(|declared| declared.kind == DeclaredKind::Url) {
            config.set(&declared.full, Secret::from(URL))?;
        }
        config.admit(&plugin.settings, true)?;
        let foreign = Foreign::open(Arc::clone(instance), &config.profile(config.default_account())?)?;
        let mut wants: Vec<_> =
            instance.extensions.service.iter().flat_map(|service| service.routes.iter().map(Route::kind_and_access)).collect();
        wants.dedup();
        Ok(Self { plugin, foreign, wants, is_source: instance.extensions.secret_source.is_some() })
    }

    fn acts(&self) -> Vec<Case> {
        let mut acts = Vec::new();
        let mut add = |name: &str, play: fn(&Self) -> Result<()>| acts.push(Case { name: name.to_owned(), run: play });
        if !self.wants.is_empty() {
            add("`acquire` ends well where nothing is set", |all| all.acquire(&Fixture::NOTHING_SET));
            add("`acquire` ends well without a network", |all| all.acquire(&Fixture::NO_NETWORK));
            add("`acquire` ends well with every answer", |all| all.each_answer(Self::acquire));
            add("`renew` ends well with every answer", |all| all.each_answer(Self::renew));
            add("eight calls of `acquire` at once end well", Self::crowd);
        }
        if self.is_source {
            add("`get` ends well where nothing is set", |all| all.get(&Fixture::NOTHING_SET));
            add("`get` ends well without a network", |all| all.get(&Fixture::NO_NETWORK));
            add("`get` ends well with every answer", |all| all.each_answer(Self::get));
        }
        acts
    }

    fn each_answer(&self, play: fn(&Self, &Fixture) -> Result<()>) -> Result<()> {
        ANSWERS.iter().try_for_each(|response| play(self, &Fixture { set: true, response: Some(*response) }))
    }

    fn acquire(&self, scene: &Fixture) -> Result<()> {
        self.wants.iter().try_for_each(|spec| self.run_fixture(scene, &|context| self.foreign.acquire(&wanted(*spec), context).map(drop)))
    }

    fn renew(&self, scene: &Fixture) -> Result<()> {
        let renewal = Secret::from("plugin-check-renewal");
        self.wants
            .iter()
            .try_for_each(|spec| self.run_fixture(scene, &|context| self.foreign.renew(&wanted(*spec), &renewal, context).map(drop)))
    }

    fn get(&self, scene: &Fixture) -> Result<()> {
        ["plugin/check#field", "x", "#", " ", "/../../x#y", "a#b#c"]
            .iter()
            .try_for_each(|what| self.run_fixture(scene, &|context| self.foreign.secret(what, context).map(drop)))
    }

    fn crowd(&self) -> Result<()> {
        std::thread::scope(|scope| {
            let scene = || Fixture { set: true, response: Some((200, "{}")) };
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(move || (0..8).try_for_each(|_| self.acquire(&scene())))).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err(Error::new(ErrorKind::Panic, "a fault inside keyferry's own test: report it")))
            })
        })
    }

    /// One call on a scene. An error is as good as a token, unless it is the plugin's own fault.
    fn run_fixture(&self, scene: &Fixture, call: &dyn Fn(&StubContext<'_>) -> Result<()>) -> Result<()> {
        let (failed, leaked) = (Cell::new(false), RefCell::new(None));
        let settings = |name: &str| scene.setting(self.plugin, name);
        let services = |request: &Request| {
            if request.url.as_str().contains(CANARY) {
                *leaked.borrow_mut() = Some("puts a secret into a URL, which logs and proxies keep: put it into a header or the body");
            }
            let response = scene.response();
            failed.set(failed.get() || response.is_err());
            response
        };
        let outcome = call(&StubContext { settings: &settings, services: &services });
        let refuse = |what: String| Err(Error::new(ErrorKind::Plugin, format!("{what} ({})", scene.name())));
        if let Some(what) = leaked.take() {
            return refuse(what.to_owned());
        }
        match outcome {
            Ok(_) if failed.get() => {
                refuse("returned KEYFERRY_PLUGIN_OK although its exchange had failed: return the status of the exchange".into())
            }
            Ok(_) => Ok(()),
            Err(error) if error.message().contains(CANARY) => refuse("tells a secret".into()),
            Err(error) => match error.conduct {
                Some(PluginFault::Misbehaved) => refuse(error.message().to_owned()),
                Some(PluginFault::SaidNothing) => refuse(format!("{}: call `fail` with a sentence", error.message())),
                None => Ok(()),
            },
        }
    }
}

fn wanted(spec: (ResourceKind, Access)) -> TokenSpec<'static> {
    let id = if spec.0 == ResourceKind::Package { "plugin-check" } else { "" };
    TokenSpec { resource_kind: spec.0, id, access: spec.1, parent: None, link_secret: None, link_password: None }
}

/// What a plugin finds.
struct Fixture {
    set: bool,
    response: Option<(u16, &'static str)>,
}

impl Fixture {
    const NOTHING_SET: Self = Self { set: false, response: None };
    const NO_NETWORK: Self = Self { set: true, response: None };

    fn name(&self) -> String {
        match self.response {
            _ if !self.set => "nothing is set".into(),
            None => "no network".into(),
            Some((status, body)) => format!("every exchange answered with status {status} and '{body}'"),
        }
    }

    fn setting(&self, plugin: &Plugin, name: &str) -> Result<Option<Secret>> {
        let kind = plugin.settings.iter().find(|declared| declared.full == name).map(|declared| declared.kind);
        Ok(match kind {
            Some(DeclaredKind::Url) => Some(Secret::from(URL)),
            Some(DeclaredKind::Text) if self.set => Some(Secret::from("plugin-check")),
            Some(DeclaredKind::Secret) if self.set => Some(Secret::from(CANARY)),
            _ => None,
        })
    }

    fn response(&self) -> Result<Response> {
        let (status, body) = self.response.ok_or_else(|| Error::new(ErrorKind::Unreachable, "there is no network in this test"))?;
        Ok(Response { status, date_unix_s: None, retry_after: None, cookies: Vec::new(), body: Secret::from(body) })
    }
}
