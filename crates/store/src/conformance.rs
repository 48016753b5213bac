//! The suite that every backend must pass: [`crate::conformance_tests`] makes a test of each story.
#![expect(
    clippy::unwrap_used,
    reason = "it is test code that other crates' tests call"
)]

mod access;
mod content;
mod dead_letters;
mod event_types;
mod flow;
mod flow_rows;
mod opened;
mod refusals;
mod rights;
mod rows;
pub mod show;
mod stories;
mod waits;
mod world;

use std::sync::Arc;

pub use access::*;
pub use content::*;
pub use dead_letters::*;
pub use event_types::*;
pub use flow::*;
pub use refusals::*;
pub use rights::*;
pub use stories::*;
pub use waits::*;
pub use world::World;

use crate::port::Store;

/// A place where a store is kept.
pub trait Harness {
    /// The store as a process that starts now would find it. Writers of before have been dropped.
    fn open(&self) -> Arc<dyn Store>;
}

/// Makes a `#[test]` of each story; `$make` is called for a new harness.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests! { @each $make;
            every_row_is_read_back_as_it_was_written
            a_restart_gives_every_row_that_memory_needs_in_order
            nothing_of_a_refused_batch_is_seen
            an_older_right_to_write_is_fenced
            starts_are_counted_and_an_unclean_end_is_told
            there_is_one_writer_at_a_time
            pages_go_both_ways_and_filters_hold
            the_past_is_read_as_it_was
            keys_are_known_until_they_are_taken_again
            keys_are_forgotten_when_their_windows_have_ended
            large_bodies_survive
            a_large_batch_is_one_commit
            reads_go_on_while_rows_are_written
            a_live_runs_steps_are_found_without_its_end
            events_are_found_by_their_internal_id
            a_result_that_is_written_elsewhere_is_read_from_there
            rows_are_found_by_their_places
            claims_stay_until_they_are_worked_off
            time_tables_are_kept_by_function_and_text
            a_pause_is_read_back_under_the_same_version
            counters_are_kept_until_they_no_longer_matter
            what_is_being_gathered_comes_back_until_it_is_a_run
            a_batch_is_one_run_of_all_its_events
            dropped_events_are_told_by_event_and_by_function
            limits_are_kept_by_their_name
            what_rules_made_of_a_run_comes_back_with_it
            event_types_are_kept_by_their_name
            tokens_and_integrations_are_kept_until_they_end
            refusals_are_kept_up_to_a_bound_and_counted
            repeats_go_with_their_message_and_none_comes_after_it
            what_scripts_printed_goes_with_the_content
            applications_are_listed_as_long_as_there_are_messages_of_them
            what_was_given_up_is_listed_once_and_until_it_arrives
            what_was_given_up_is_listed_from_an_instant_on
        }
    };
    (@each $make:expr; $($story:ident)*) => {
        $(#[test] fn $story() { $crate::conformance::$story(&$make); })*
    };
}
