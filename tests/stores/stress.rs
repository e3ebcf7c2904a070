//! Many processes that load, save, remove, lock and list at once.

use keyferry::ports::store::Store;

use crate::processes::{StoreProcesses, new_harness};
use crate::worker::{generations, intact_generation};

#[test]
fn thirty_two_processes_of_two_hundred_operations_read_nothing_broken() {
    let harness = new_harness();
    let mut workers: Vec<_> = (1..=32)
        .map(|seed| harness.worker(&format!("mixed {seed}")))
        .collect();
    workers
        .iter_mut()
        .for_each(|worker| assert_eq!(worker.line(), "ready"));
    let began = std::time::Instant::now();
    workers.iter_mut().for_each(crate::processes::Worker::go);
    let mut slowest = Vec::new();
    for worker in workers {
        let output = worker.finish();
        // A worker fails at a damaged record. A warning would be about one that could not be read
        // or written.
        assert_eq!(output.len(), 1, "{output:?}");
        slowest.push(output[0].clone());
    }
    println!(
        "32 x 200 operations in {:?}; of each: {slowest:#?}",
        began.elapsed()
    );
    let store = harness.store();
    let left = generations(&store);
    assert!(!left.is_empty());
    for (key, generation) in left {
        let record = store.load(&key).unwrap().unwrap();
        assert!(generation > 0 && intact_generation(&record) == generation);
    }
    let bad = harness
        .names("tokens")
        .into_iter()
        .filter(|name| name.contains('.'))
        .count();
    assert_eq!((bad, harness.names("new").len()), (0, 0));
}
