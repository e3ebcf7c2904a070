//! The conformance test for authors: a plugin meets every answer that a host can have for it, without any network.
//!
//! It runs the plugin's code: in a process that may end by it.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

use super::loader::{self, Instance, Plugin};
use super::service::Foreign;
use super::stub_context::Alone;
use crate::config::{Config, DeclaredKind};
use crate::error::{Conduct, Error, Kind, Result};
use crate::model::key::{Access, Class};
use crate::ports::http::{Answer, Request};
use crate::ports::service::{Need, Service, Want};
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
    let Some(instance) = steps.run("is initialised, and its tables can be used", || plugin.enter()) else { return false };
    drop(instance);
    let again = "is initialised once more after its `deinit`";
    let Some(instance) = steps.run(again, || plugin.enter()) else { return false };
    let opened = Rehearsal::open(plugin, &instance);
    let Some(rehearsal) = steps.run("takes its settings", || opened) else { return false };
    for act in rehearsal.acts() {
        steps.run(&act.name, || (act.play)(&rehearsal));
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
            Err(error) => (Err(error.what().to_owned()), None),
        };
        (self.tell)(name, Some(told));
        value
    }
}

struct Act {
    name: String,
    play: fn(&Rehearsal) -> Result<()>,
}

/// A plugin on an account of our own.
struct Rehearsal {
    plugin: &'static Plugin,
    foreign: Foreign,
    wants: Vec<(Class, Access)>,
    is_source: bool,
}

impl Rehearsal {
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
            instance.parts.service.iter().flat_map(|service| service.routes.iter().map(super::routes::Route::gives)).collect();
        wants.dedup();
        Ok(Self { plugin, foreign, wants, is_source: instance.parts.source.is_some() })
    }

    fn acts(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        let mut add = |name: &str, play: fn(&Self) -> Result<()>| acts.push(Act { name: name.to_owned(), play });
        if !self.wants.is_empty() {
            add("`acquire` ends well where nothing is set", |all| all.acquire(&Scene::NOTHING_SET));
            add("`acquire` ends well without a network", |all| all.acquire(&Scene::NO_NETWORK));
            add("`acquire` ends well with every answer", |all| all.each_answer(Self::acquire));
            add("`renew` ends well with every answer", |all| all.each_answer(Self::renew));
            add("eight calls of `acquire` at once end well", Self::crowd);
        }
        if self.is_source {
            add("`get` ends well where nothing is set", |all| all.get(&Scene::NOTHING_SET));
            add("`get` ends well without a network", |all| all.get(&Scene::NO_NETWORK));
            add("`get` ends well with every answer", |all| all.each_answer(Self::get));
        }
        acts
    }

    fn each_answer(&self, play: fn(&Self, &Scene) -> Result<()>) -> Result<()> {
        ANSWERS.iter().try_for_each(|answer| play(self, &Scene { set: true, answer: Some(*answer) }))
    }

    fn acquire(&self, scene: &Scene) -> Result<()> {
        self.wants.iter().try_for_each(|want| self.play(scene, &|context| self.foreign.acquire(&wanted(*want), context).map(drop)))
    }

    fn renew(&self, scene: &Scene) -> Result<()> {
        let renewal = Secret::from("plugin-check-renewal");
        self.wants.iter().try_for_each(|want| self.play(scene, &|context| self.foreign.renew(&wanted(*want), &renewal, context).map(drop)))
    }

    fn get(&self, scene: &Scene) -> Result<()> {
        ["plugin/check#field", "x", "#", " ", "/../../x#y", "a#b#c"]
            .iter()
            .try_for_each(|what| self.play(scene, &|context| self.foreign.secret(what, context).map(drop)))
    }

    fn crowd(&self) -> Result<()> {
        std::thread::scope(|scope| {
            let scene = || Scene { set: true, answer: Some((200, "{}")) };
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(move || (0..8).try_for_each(|_| self.acquire(&scene())))).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err(Error::new(Kind::Panic, "a fault inside keyferry's own test: report it")))
            })
        })
    }

    /// One call on a scene. An error is as good as a token, unless it is the plugin's own fault.
    fn play(&self, scene: &Scene, call: &dyn Fn(&Alone<'_>) -> Result<()>) -> Result<()> {
        let (failed, leaked) = (Cell::new(false), RefCell::new(None));
        let settings = |name: &str| scene.setting(self.plugin, name);
        let services = |request: &Request| {
            if request.url.as_str().contains(CANARY) {
                *leaked.borrow_mut() = Some("puts a secret into a URL, which logs and proxies keep: put it into a header or the body");
            }
            let answer = scene.answer();
            failed.set(failed.get() || answer.is_err());
            answer
        };
        let outcome = call(&Alone { settings: &settings, services: &services });
        let refuse = |what: String| Err(Error::new(Kind::Plugin, format!("{what} ({})", scene.name())));
        if let Some(what) = leaked.take() {
            return refuse(what.to_owned());
        }
        match outcome {
            Ok(_) if failed.get() => {
                refuse("returned KEYFERRY_PLUGIN_OK although its exchange had failed: return the status of the exchange".into())
            }
            Ok(_) => Ok(()),
            Err(error) if error.what().contains(CANARY) => refuse("tells a secret".into()),
            Err(error) => match error.conduct {
                Some(Conduct::Misbehaved) => refuse(error.what().to_owned()),
                Some(Conduct::SaidNothing) => refuse(format!("{}: call `fail` with a sentence", error.what())),
                None => Ok(()),
            },
        }
    }
}

fn wanted(want: (Class, Access)) -> Want<'static> {
    let id = if want.0 == Class::Package { "plugin-check" } else { "" };
    Want { class: want.0, id, access: want.1, parent: None, link_secret: None, link_password: None }
}

impl super::routes::Route {
    /// What its tokens are.
    fn gives(&self) -> (Class, Access) {
        let target = self.target("");
        let Need::Only(access) = target.need else { return (target.class, Access::Full) };
        (target.class, access)
    }
}

/// What a plugin finds.
struct Scene {
    set: bool,
    answer: Option<(u16, &'static str)>,
}

impl Scene {
    const NOTHING_SET: Self = Self { set: false, answer: None };
    const NO_NETWORK: Self = Self { set: true, answer: None };

    fn name(&self) -> String {
        match self.answer {
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

    fn answer(&self) -> Result<Answer> {
        let (status, body) = self.answer.ok_or_else(|| Error::new(Kind::Unreachable, "there is no network in this test"))?;
        Ok(Answer { status, date_unix_s: None, retry_after: None, cookies: Vec::new(), body: Secret::from(body) })
    }
}
