//! Checks that no program receives a secret as an argument, which other users could read.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::secrets::secrets_in;

/// Reads the arguments of all descendants of this process every 2 ms until it is dropped.
pub(crate) struct ArgvWatch {
    stop: Arc<AtomicBool>,
    found: Arc<Mutex<HashSet<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl ArgvWatch {
    pub(crate) fn start() -> Self {
        let (stop, found) = (
            Arc::<AtomicBool>::default(),
            Arc::<Mutex<HashSet<String>>>::default(),
        );
        let (until, seen) = (Arc::clone(&stop), Arc::clone(&found));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                seen.lock().unwrap().extend(
                    descendants()
                        .into_iter()
                        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()),
                );
                std::thread::park_timeout(Duration::from_millis(2));
            }
        });
        Self {
            stop,
            found,
            thread: Some(thread),
        }
    }

    /// Panics if an argument seen so far contains a secret.
    pub(crate) fn check(&self) {
        for line in self.found.lock().unwrap().iter() {
            let secrets = secrets_in(line);
            assert!(
                secrets.is_empty(),
                "{secrets:?} in an argument list: {line:?}"
            );
        }
    }
}

impl Drop for ArgvWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        if !std::thread::panicking() {
            self.check();
        }
    }
}

fn descendants() -> Vec<u32> {
    let mut found = vec![std::process::id()];
    let mut at = 0;
    while at < found.len() {
        for task in fs::read_dir(format!("/proc/{}/task", found[at]))
            .into_iter()
            .flatten()
            .flatten()
        {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    found.split_off(1)
}
