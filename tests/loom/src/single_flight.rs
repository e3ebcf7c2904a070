//! The tests of the models of single flight.

use crate::engine::{
    single_flight, single_flight_cancels_without_the_lock, single_flight_looks_and_inserts_apart,
    single_flight_offers_without_waking, single_flight_wakes_before_the_result,
};
use crate::{assert_found, run};

#[test]
fn one_caller_fetches_at_a_time_and_all_get_a_result() {
    run(single_flight::model::one_caller_fetches_at_a_time);
}

#[test]
fn a_cancelled_wait_ends() {
    run(single_flight::model::a_cancelled_wait_ends);
}

#[test]
fn an_offer_is_taken() {
    run(single_flight::model::an_offer_is_taken);
}

#[test]
fn control_a_look_apart_from_the_insertion_is_found() {
    assert_found(single_flight_looks_and_inserts_apart::model::one_caller_fetches_at_a_time);
}

#[test]
fn control_a_wake_before_the_result_is_found() {
    assert_found(single_flight_wakes_before_the_result::model::one_caller_fetches_at_a_time);
}

#[test]
fn control_a_cancellation_without_the_lock_is_found() {
    assert_found(single_flight_cancels_without_the_lock::model::a_cancelled_wait_ends);
}

#[test]
fn control_an_offer_that_wakes_nobody_is_found() {
    assert_found(single_flight_offers_without_waking::model::an_offer_is_taken);
}
