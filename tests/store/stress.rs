//! Many processes that do everything at once.

use keyferry::ports::store::Store;

use crate::harness::Stage;
use crate::worker::whole;

#[test]
fn thirty_two_processes_of_two_hundred_operations_read_nothing_broken() {
    let stage = Stage::new();
    let mut actors: Vec<_> = (1..=32).map(|seed| stage.actor(&format!("mixed {seed}"))).collect();
    actors.iter_mut().for_each(|actor| assert_eq!(actor.line(), "ready"));
    let began = std::time::Instant::now();
    actors.iter_mut().for_each(crate::harness::Actor::go);
    let mut slowest = Vec::new();
    for actor in actors {
        let said = actor.finish();
        // An actor fails at a record that is not whole; a warning would tell of one that could not be read or written.
        assert_eq!(said.len(), 1, "{said:?}");
        slowest.push(said[0].clone());
    }
    println!("32 x 200 operations in {:?}; of each: {slowest:#?}", began.elapsed());
    let left = stage.files().list().unwrap();
    assert!(left.iter().all(|(_, record)| whole(record) > 0));
    let bad = stage.names("tokens").into_iter().filter(|name| name.contains('.')).count();
    assert_eq!((bad, stage.names("new").len()), (0, 0));
}
