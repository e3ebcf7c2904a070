//! Power cuts, modelled: a worker's changes of the file system are recorded, and each state in which
//! a power cut could leave the store is built and opened.
//!
//! The model is a journalling file system. Changes of names (create, rename, remove) reach the disk
//! in their order. So after a cut, the names are those of some moment between the last `fsync` of a
//! directory and the cut. The bytes of a file reach the disk with the file's own `fsync`. Without
//! it, the file may be complete, short or empty.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

use crate::processes::{StoreProcesses, Worker, new_harness};
use crate::syscalls::syscalls;

/// A change of the store's directory, or what the worker says between two changes.
#[derive(Debug)]
enum Step {
    /// A directory or an empty file got this name.
    MakeDir(String),
    Create(String),
    Write(String, Vec<u8>),
    Sync(String),
    Rename(String, String),
    Remove(String),
    Say(String),
}

/// The bytes of `\xNN` sequences, which is how strace writes strings with `-xx`.
fn decoded(text: &str) -> Vec<u8> {
    text.split("\\x")
        .skip(1)
        .map(|digits| u8::from_str_radix(digits, 16).unwrap())
        .collect()
}

/// A system call as strace writes it with `-y -xx`.
struct Traced<'a>(&'a str);

impl Traced<'_> {
    fn name(&self) -> &str {
        self.0.split('(').next().unwrap()
    }

    /// The bytes of its string number `at`.
    fn bytes(&self, at: usize) -> Vec<u8> {
        decoded(self.0.split('"').nth(2 * at + 1).unwrap())
    }

    fn text(&self, at: usize) -> String {
        String::from_utf8(self.bytes(at)).unwrap()
    }

    /// The path of its descriptor number `at`.
    fn path(&self, at: usize) -> String {
        let path = self.0.split('<').nth(at + 1).unwrap();
        String::from_utf8(decoded(path.split('>').next().unwrap())).unwrap()
    }

    /// The path of the file that its string number `at` names, in the directory of its descriptor
    /// number `at`.
    fn target(&self, at: usize) -> String {
        format!("{}/{}", self.path(at), self.text(at))
    }

    fn step(&self) -> Option<Step> {
        Some(match self.name() {
            "mkdirat" => Step::MakeDir(self.target(0)),
            "openat" if self.0.contains("O_CREAT") => Step::Create(self.target(0)),
            "write" => Step::Write(self.path(0), self.bytes(0)),
            "fsync" => Step::Sync(self.path(0)),
            "renameat" | "renameat2" => Step::Rename(self.target(0), self.target(1)),
            "unlinkat" => Step::Remove(self.target(0)),
            "statx" | "newfstatat" => Step::Say(self.text(0).strip_prefix("/say ")?.to_owned()),
            _ => return None,
        })
    }
}

/// The steps of a worker below the store's directory, with relative paths. An empty path is the
/// directory itself.
fn record(harness: &Harness, task: &str) -> Vec<Step> {
    let log = harness.path("strace.log");
    let options = ["-f", "-y", "-xx", "-s", "65536", "-e"];
    let calls = "trace=mkdirat,openat,write,fsync,renameat,renameat2,unlinkat,statx,newfstatat";
    let options = [&options[..], &[calls, "-o", log.to_str().unwrap()]].concat();
    Worker::start(&mut syscalls(harness, task, &options)).finish();
    let text = std::fs::read_to_string(&log).unwrap();
    let store = harness.path("store");
    let below = |path: &str| {
        let path = path.strip_prefix(store.to_str().unwrap())?;
        Some(path.trim_start_matches('/').to_owned())
    };
    let steps = text.lines().filter_map(|line| {
        let call = line.split_once(' ').unwrap().1.trim_start();
        if call.contains(" = -1 ") && !call.contains("\"\\x2f\\x73\\x61\\x79\\x20") {
            return None;
        }
        Some(match Traced(call).step()? {
            Step::MakeDir(path) => Step::MakeDir(below(&path)?),
            Step::Create(path) => Step::Create(below(&path)?),
            Step::Write(path, bytes) => Step::Write(below(&path)?, bytes),
            Step::Sync(path) => Step::Sync(below(&path)?),
            Step::Rename(from, to) => Step::Rename(below(&from)?, below(&to)?),
            Step::Remove(path) => Step::Remove(below(&path)?),
            Step::Say(text) => Step::Say(text),
        })
    });
    steps.collect()
}

/// The names in the store's directory. A name without a file is a directory.
type Names = BTreeMap<String, Option<usize>>;

/// A file: its bytes, and how many of them are surely on the disk.
#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
}

impl File {
    /// Returns the contents that the file may have after a power cut.
    fn remains(&self) -> Vec<Vec<u8>> {
        let lengths = BTreeSet::from([
            self.synced,
            self.synced.max(self.bytes.len() / 2),
            self.bytes.len(),
        ]);
        let part = |length| self.bytes[..length].to_vec();
        lengths.into_iter().map(part).collect()
    }
}

/// The file system of the model.
#[derive(Default)]
struct Disk {
    files: Vec<File>,
    /// The names after each change of a name.
    history: Vec<Names>,
    /// The index in `history` of the names that are surely on the disk.
    synced: usize,
}

impl Disk {
    fn new() -> Self {
        Self {
            history: vec![Names::new()],
            ..Self::default()
        }
    }

    fn names(&self) -> &Names {
        self.history.last().unwrap()
    }

    fn file(&mut self, path: &str) -> Option<&mut File> {
        let file = (*self.names().get(path)?)?;
        self.files.get_mut(file)
    }

    fn rename(&mut self, change: impl FnOnce(&mut Names)) {
        let mut names = self.names().clone();
        change(&mut names);
        self.history.push(names);
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::MakeDir(path) => self.rename(|names| {
                names.insert(path.clone(), None);
            }),
            Step::Create(path) if self.names().contains_key(path) => {}
            Step::Create(path) => {
                let file = self.files.len();
                self.files.push(File::default());
                self.rename(|names| {
                    names.insert(path.clone(), Some(file));
                });
            }
            Step::Write(path, bytes) => {
                let file = self.file(path).unwrap();
                file.bytes.extend(bytes);
            }
            Step::Sync(path) => match self.file(path) {
                Some(file) => file.synced = file.bytes.len(),
                None => self.synced = self.history.len() - 1,
            },
            Step::Rename(from, to) => self.rename(|names| {
                let file = names.remove(from).unwrap();
                names.insert(to.clone(), file);
            }),
            Step::Remove(path) => self.rename(|names| {
                names.remove(path);
            }),
            Step::Say(_) => {}
        }
    }

    /// The states in which a power cut at this moment may leave the directory: names, each with its
    /// bytes.
    fn remains(&self) -> Vec<State> {
        let histories = self.history[self.synced..].iter();
        histories.flat_map(|names| self.contents(names)).collect()
    }

    fn contents(&self, names: &Names) -> Vec<State> {
        names
            .iter()
            .fold(vec![State::new()], |states, (name, file)| {
                let remains = match file {
                    Some(file) => self.files[*file].remains().into_iter().map(Some).collect(),
                    None => vec![None],
                };
                let with = |content: &Option<Vec<u8>>| {
                    let add = |state: &State| {
                        let mut state = state.clone();
                        state.insert(name.clone(), content.clone());
                        state
                    };
                    states.iter().map(add).collect::<Vec<_>>()
                };
                remains.iter().flat_map(with).collect()
            })
    }
}

/// The files and directories on the disk after a power cut. A name without bytes is a directory.
type State = BTreeMap<String, Option<Vec<u8>>>;

/// What must hold after a power cut, by what the worker has said until then.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Expected {
    /// The generations whose renewal secrets may have been sent.
    sent: BTreeSet<u64>,
    /// The generation of the record that must not be lost, and whether its renewal secret is in it.
    kept: Option<(u64, bool)>,
    /// Whether the other record was forgotten.
    forgotten: bool,
}

impl Expected {
    fn hear(&mut self, text: &str) {
        let (word, number) = text.split_once(' ').unwrap_or((text, "0"));
        let generation = number.parse().unwrap();
        match word {
            "kept" => self.kept = Some((generation, true)),
            "taking" => self.kept = Some((generation, false)),
            "unsynced" => self.kept = None,
            "sent" => drop(self.sent.insert(generation)),
            "returning" => drop(self.sent.remove(&generation)),
            "forgotten" => self.forgotten = true,
            _ => panic!("{text}"),
        }
    }

    /// Checks that no secret that may have been sent is found again.
    fn check_sent(&self, found: &Found, what: &str) {
        let sent = &self.sent;
        assert!(
            found.renewal.is_none_or(|renewal| !sent.contains(&renewal)),
            "{what}: {found:?} has a secret that was sent: {sent:?}"
        );
    }

    /// Checks that what the disk must keep is found, and what was forgotten is not.
    fn check_kept(&self, found: &Found, what: &str) {
        if let Some((generation, has_renewal)) = self.kept {
            let is_kept = |found: Option<u64>| found.is_some_and(|found| found >= generation);
            assert!(
                is_kept(found.generation) && (!has_renewal || is_kept(found.renewal)),
                "{what}: {found:?} lost {:?}",
                self.kept
            );
        }
        assert!(!(self.forgotten && found.has_other), "{what}: {found:?}");
    }
}

/// What a worker finds in the store after a power cut.
#[derive(Debug)]
pub(crate) struct Found {
    /// The generation of the record `01A`.
    pub(crate) generation: Option<u64>,
    /// The generation of its renewal secret.
    pub(crate) renewal: Option<u64>,
    /// Whether there is a record `01B`.
    pub(crate) has_other: bool,
}

impl Found {
    pub(crate) fn to_line(&self) -> String {
        let number = |generation: Option<u64>| generation.unwrap_or(0);
        let (generation, renewal) = (number(self.generation), number(self.renewal));
        format!("found {generation} {renewal} {}", self.has_other)
    }

    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let &["found", generation, renewal, has_other] = words.as_slice() else {
            panic!("a warning, or a failure: {line}")
        };
        let number = |text: &str| Some(text.parse().unwrap()).filter(|number| *number > 0);
        Self {
            generation: number(generation),
            renewal: number(renewal),
            has_other: has_other.parse().unwrap(),
        }
    }
}

fn build(path: &Path, state: &State) {
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    std::fs::create_dir_all(path).unwrap();
    set_mode(path, 0o700);
    for (name, content) in state.iter().filter(|(name, _)| !name.is_empty()) {
        let path = path.join(name);
        match content {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::create_dir(&path).unwrap(),
        }
        set_mode(&path, if content.is_some() { 0o600 } else { 0o700 });
    }
}

#[test]
fn a_power_cut_brings_no_renewal_secret_back_and_loses_only_what_can_be_had_again() {
    if skip::without_strace() {
        return;
    }
    let harness = new_harness();
    let steps = record(&harness, "power-cuts");
    let (mut disk, mut expected) = (Disk::new(), Expected::default());
    let mut cuts: Vec<(State, Expected, usize)> = Vec::new();
    let mut seen = HashSet::new();
    for (at, step) in steps.iter().enumerate() {
        disk.apply(step);
        if let Step::Say(text) = step {
            expected.hear(text);
        }
        for state in disk.remains() {
            if seen.insert((state.clone(), expected.clone())) {
                cuts.push((state, expected.clone(), at));
            }
        }
    }
    let renames = steps.iter().filter(|step| matches!(step, Step::Rename(..)));
    println!("{} renames, {} states", renames.clone().count(), cuts.len());
    assert!(renames.count() >= 9, "{steps:#?}");
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    for (number, (state, _, _)) in cuts.iter().enumerate() {
        build(&folder.path().join(number.to_string()), state);
    }
    let task = format!("open-after-cuts {} {}", folder.path().display(), cuts.len());
    let lines = harness.run(&task);
    for check in [Expected::check_sent, Expected::check_kept] {
        for ((_, expected, at), line) in cuts.iter().zip(&lines) {
            let what = format!("a cut after step {at}, {:?}", steps[*at]);
            check(expected, &Found::parse(line), &what);
        }
    }
    assert_eq!(lines.len(), cuts.len(), "a warning, or a failure");
}
