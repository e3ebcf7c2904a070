//! The tests of the models of locks in files.

use crate::sys::{
    file_lock, file_lock_frees_before_it_unlocks, file_lock_ignores_the_table,
    file_lock_looks_and_inserts_apart,
};
use crate::{assert_found, run};

#[test]
fn a_byte_excludes_threads_and_processes() {
    run(file_lock::model::a_byte_excludes_threads_and_processes);
}

#[test]
fn a_flock_excludes_threads_and_processes() {
    run(file_lock::model::a_flock_excludes_threads_and_processes);
}

#[test]
fn control_a_table_that_is_freed_before_the_byte_is_found() {
    assert_found(file_lock_frees_before_it_unlocks::model::a_byte_excludes_threads_and_processes);
}

#[test]
fn control_a_table_that_is_ignored_is_found() {
    assert_found(file_lock_ignores_the_table::model::a_byte_excludes_threads_and_processes);
}

#[test]
fn control_a_look_apart_from_the_insertion_is_found() {
    assert_found(file_lock_looks_and_inserts_apart::model::a_byte_excludes_threads_and_processes);
}
