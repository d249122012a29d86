//! One behaviour suite for every token store: each behaviour is written once ([`minting`], [`ending`],
//! [`lasting`], [`importing`]) and run on the embedded store, on Redis and on Valkey. What only a Redis can suffer is in [`loss`],
//! [`outage`] and [`start`].

mod arriving;
mod denying;
mod ending;
mod house;
mod importing;
mod lasting;
mod limits;
mod loss;
mod minting;
mod outage;
mod server;
mod start;
mod tickets;

use house::House;

/// Which store is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Embedded,
    Redis,
    Valkey,
}

/// Makes a test of each of these functions, for one engine.
macro_rules! suite {
    ($engine:ident in $module:ident: $($from:ident::{$($name:ident),* $(,)?})*) => {
        mod $module {$($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$from::$name(super::House::new(super::Engine::$engine).await).await;
            }
        )*)*}
    };
}

macro_rules! every_engine {
    ($($tests:tt)*) => {
        suite! { Embedded in embedded: $($tests)* }
        suite! { Redis in redis: $($tests)* }
        suite! { Valkey in valkey: $($tests)* }
    };
}

macro_rules! every_redis {
    ($($tests:tt)*) => {
        suite! { Redis in redis_faults: $($tests)* }
        suite! { Valkey in valkey_faults: $($tests)* }
    };
}

every_engine! {
    minting::{
        a_minted_token_is_there_with_all_it_hangs_on,
        a_token_naming_another_key_is_refused,
        nobody_finds_what_was_never_there,
        asking_again_gives_the_same_token_and_its_time_back,
        near_the_cap_a_new_one_comes_and_the_old_one_runs_out,
        another_format_or_a_lost_signer_is_not_answered_again,
        so_many_live_tokens_and_no_more,
        a_subset_of_scopes_is_a_token_of_its_own,
        refusals_name_the_scopes,
        who_may_not_mint,
        many_at_once,
    }
    ending::{
        an_ended_token_is_gone_at_the_next_check,
        an_ended_key_is_gone_at_the_next_check,
        an_ended_session_is_gone_at_the_next_check,
        narrowed_scopes_act_at_the_next_check,
        a_policy_just_attached_acts_and_one_taken_away_too,
        a_blocked_tenant_or_ancestor_refuses_everyone_below,
        a_rotated_secret_has_its_grace,
        a_key_just_made_is_there,
        rows_left_by_another_process_are_applied,
    }
    importing::{
        what_was_imported_is_known_and_nothing_else,
        an_imported_key_ends_and_rotates_like_any,
        what_was_found_missing_is_not_remembered,
    }
    denying::{
        a_denied_token_or_subject_is_refused_at_the_next_check,
        a_denial_lasts_as_long_as_it_says,
        a_denial_bumps_what_was_read_before,
        a_restart_remembers_denials,
    }
    lasting::{
        a_slide_is_written_once_a_step,
        a_slide_never_resurrects,
        an_unused_token_runs_out_and_a_used_one_does_not,
        idle_ends_of_many,
        without_the_database_nothing_is_guessed,
        a_restart_loses_nothing,
    }
    tickets::{
        a_ticket_is_good_once,
        a_ticket_is_over_at_its_end,
        of_many_who_use_one_at_once_it_is_good_for_one,
        after_a_restart_none_is_good_twice,
    }
}

every_redis! {
    lasting::{
        a_slide_is_written_once_a_step_by_however_many,
    }
    importing::{
        every_process_hears_of_an_import_within_the_bound,
        without_a_lease_or_the_database_nobody_says_no,
    }
    denying::{
        a_denial_is_never_forgotten,
        a_denial_by_one_process_acts_on_another,
    }
    arriving::{
        a_new_redis_is_given_what_is_live,
        what_is_there_already_stays_as_it_is,
        a_redis_that_is_away_is_given_them_on_its_return,
    }
    limits::{
        a_rate_is_leased_looked_at_and_given_back,
        each_process_knows_how_many_there_are,
    }
    ending::{
        a_strict_end_waits_for_every_process,
        a_strict_end_waits_out_who_does_not_answer,
    }
    loss::{
        flushall_forgets_tokens_but_not_keys,
        an_older_snapshot_brings_nothing_back,
        two_replicas_recover_and_both_serve,
        ends_committed_while_it_is_away_are_applied_on_its_return,
        an_epoch_that_the_database_lost_is_replaced,
        without_the_databases_epoch_nothing_is_allowed,
        a_promoted_replica_is_not_whole,
        a_mint_that_read_before_an_end_aborts,
        an_epoch_founded_under_another_process_serves_nothing,
        whatever_happens_nothing_ended_comes_back,
    }
    outage::{
        killed_and_restarted_it_serves_within_a_second,
        stopped_it_is_unavailable_in_time_and_back_within_a_second,
        out_of_memory_checks_and_ends_go_on,
        a_wrong_type_at_a_key_is_unavailable_not_absent,
        scripts_flushed_and_clients_killed,
        busy_it_is_unavailable_and_back_within_a_second,
        a_half_open_connection_is_replaced_within_a_second,
        more_than_it_takes_are_refused_at_once,
        idle_ends_that_could_not_be_written_wait,
        an_entry_of_the_log_that_nobody_can_read_is_not_asked_for_without_a_pause,
    }
    tickets::{
        what_one_process_used_is_used_for_all,
        a_use_whose_answer_is_late_is_asked_for_again,
        whatever_redis_loses_no_ticket_is_good_twice,
    }
    start::{
        another_installation_is_refused,
        an_eviction_policy_is_refused,
        a_second_redis_on_one_database_is_refused,
        a_user_of_too_few_rights_is_refused_by_the_names_of_those_missing,
        what_is_no_server_of_its_own_is_refused,
        found_foreign_later_it_stays_unavailable,
        installations_with_a_tag_each_share_one_redis,
        ids_are_in_key_names_and_secrets_are_not,
        who_stops_leaves_the_list_of_members,
        whoever_takes_leases_is_listed_in_the_database,
        whoever_comes_back_lists_itself_again,
        started_without_redis_it_serves_when_redis_comes,
    }
}
