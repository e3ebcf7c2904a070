//! The tests of the models of the worker threads.

use crate::engine::{
    workers, workers_closes_without_waking, workers_hands_over_without_waking,
    workers_loses_work_when_a_rest_ends, workers_whose_rests_end,
};
use crate::{assert_found, run_with};

/// With 5, the two models take a minute.
const MAX_PREEMPTIONS: usize = 3;

fn run(model: fn()) {
    run_with(model, MAX_PREEMPTIONS);
}

#[test]
fn work_runs_without_a_close() {
    run(workers::model::work_runs_without_a_close);
    run(workers_whose_rests_end::model::work_runs_without_a_close);
}

#[test]
fn a_close_waits_for_work_and_wakes_idle_threads() {
    run(workers::model::a_close_waits_for_work_and_wakes_idle_threads);
    run(workers_whose_rests_end::model::a_close_waits_for_work_and_wakes_idle_threads);
}

#[test]
fn control_work_that_is_lost_when_a_rest_ends_is_found() {
    assert_found(workers_loses_work_when_a_rest_ends::model::work_runs_without_a_close);
}

#[test]
fn control_a_hand_over_that_wakes_nobody_is_found() {
    assert_found(workers_hands_over_without_waking::model::work_runs_without_a_close);
}

#[test]
fn control_a_close_that_wakes_nobody_is_found() {
    assert_found(
        workers_closes_without_waking::model::a_close_waits_for_work_and_wakes_idle_threads,
    );
}
