//! The table of `examples/README.md`.

use std::fs;

use keyferry_testing::{documents, files};

#[test]
fn every_example_is_in_the_table() {
    let table = documents::read("examples/README.md");
    let mut count = 0;
    for folder in fs::read_dir(files::file("examples")).unwrap() {
        let folder = folder.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(files::file("examples")).unwrap();
            let link = format!("]({})", name.display());
            assert!(
                table.contains(&link),
                "{} is not in the table",
                name.display()
            );
            count += 1;
        }
    }
    assert!(count >= 11, "only {count} examples were found");
}
