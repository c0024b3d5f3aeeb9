//! Faults that users of response caches have met, each with a test that fails where restow has it too. Everything goes
//! through the public interface, over SQLite.
//!
//! Of the reference library (aiorequestful):
//!
//! | fault | test |
//! |---|---|
//! | clearing what expired deletes the live rows | `faults::clearing_what_expired_leaves_what_lives` |
//! | names such as `my repo`, `order`, `tracks-v2` break reads | `faults::names_that_mean_something_in_sql_are_names` |
//! | status, headers and content type of a hit are lost, and its headers are the request's, token included | `faults::a_hit_is_the_answer_as_it_came_and_has_nothing_of_the_request` |
//! | 50 concurrent misses make 50 upstream requests | `herd::concurrent_misses_make_one_request` |
//! | key fields other than id, offset, size fail or land in the wrong column | `faults::every_field_has_a_column_of_its_own` |
//! | local naive times: an entry lives 15 h or 0 h after a change of time zone | `processes::a_change_of_time_zone_changes_no_lifetime` |
//! | bulk results come without keys, misses dropped | `faults::bulk_answers_have_the_order_and_the_number_of_the_questions` |
//! | 500 saved, kill -9: 0 on disk | `processes::what_was_saved_survives_a_kill` |
//! | a second process gets "database is locked" while the first is open | `processes::a_second_process_reads_and_writes_while_the_first_does` |
//! | one user gets another's body | `whose::two_credentials_never_share` |
//! | a POST gets another POST's answer | `faults::two_posts_never_share` |
//! | no-store is ignored | `faults::no_store_is_not_stored` |
//! | Vary is ignored | `faults::vary_tells_answers_apart` |
//! | the index on expiry exists only on the first table of a file | `faults::every_table_of_a_file_is_indexed_by_expiry` |
//! | binary bodies raise in the caller | `faults::a_binary_body_reaches_the_caller_and_harms_no_reader` |
//! | expired rows are never removed | `faults::what_is_past_its_keep_leaves_the_file` |
//! | a failed creation leaves a thread and the process hangs | `processes::a_failed_opening_leaves_no_thread` |
//! | one bad key in a bulk save leaves it half done | `faults::a_bulk_save_with_one_bad_key_stores_nothing` |
//! | a rollback drops another task's row | `faults::a_save_that_fails_takes_no_other_with_it` |
//!
//! Of other caches, and of caches in general, through every form in which a client takes the cache:
//!
//! | fault | test |
//! |---|---|
//! | the requests that wait are lost with the one they wait for | `herd::a_leader_that_is_dropped_leaves_its_fetch_to_the_others`, `herd::a_leader_that_is_dropped_within_the_body_stops_nobody` |
//! | requests for what may not be stored wait in line | `herd::answers_that_may_not_be_stored_wait_for_nobody` |
//! | clients with other default headers get each other's answers | `whose::clients_that_differ_only_in_default_headers_share_no_private_answer`, `whose::clients_whose_default_headers_the_cache_was_given_share_nothing`, `whose::clients_of_named_principals_share_nothing_whatever_they_show` |
//! | a token that is renewed empties the cache | `whose::a_token_that_changes_under_a_principal_still_hits` |
//! | a late 304 renews what it does not speak of | `whose::a_late_304_never_touches_a_newer_body` |
//! | what the client saved is not there yet for the program | `faults::what_a_client_saved_the_repository_finds_at_once` |
//! | an answer that broke off is served as whole | `whole::an_answer_that_breaks_off_anywhere_is_an_error_and_never_stored` |
//! | a large or endless body fills the memory | `whole::a_body_over_the_limit_passes_through_unstored`, `whole::an_endless_body_streams_to_its_reader_and_is_not_stored` |
//! | credentials are in the file | `whose::two_credentials_never_share`, `faults::a_hit_is_the_answer_as_it_came_and_has_nothing_of_the_request` |
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

mod faults;
mod forms;
mod herd;
mod place;
mod processes;
mod whole;
mod whose;
