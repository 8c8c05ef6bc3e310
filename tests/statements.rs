//! Which test proves which statement about a secondary: NOTIFY (N), timers (T), choice of a primary (P), AXFR (A),
//! IXFR (I), TSIG (G), transfers over TLS (X), catalogs (C), and the bad primaries that must be survived (B).
//!
//! A proof is `path::function` of a test in this tree, or the path of a scenario that `tests/transfer.rs` plays. The
//! tests here fail when a statement has no proof, when a named proof does not exist, or when it is not run.
//! [`OPEN`] lists statements whose tests are made elsewhere at the moment; it is printed, and is to be empty.

use std::collections::BTreeSet;
use std::fs;

/// Number, what it says in short, and the tests that prove it.
type Statement = (&'static str, &'static str, &'static [&'static str]);

/// Statements without a test in this tree yet. Lines of a statement that has proofs must go from here.
const OPEN: &[(&str, &str)] = &[];

const NOTIFY: &[Statement] = &[
    (
        "N1",
        "a NOTIFY from a primary or a listed address is answered and starts a refresh at once",
        &[
            "tests/listeners/notify.rs::a_notify_from_a_primary_is_acknowledged_and_passed_on",
            "src/access.rs::notify_from_a_configured_primary_is_allowed_whatever_the_port",
            "src/refresh/tests/notify.rs::a_notify_without_a_serial_asks_its_sender_at_once",
        ],
    ),
    (
        "N2",
        "it is answered before the refresh begins",
        &[
            "tests/listeners/notify.rs::a_notify_from_a_primary_is_acknowledged_and_passed_on",
            "src/served/inbox.rs::notices_come_out_in_order_and_an_overflow_asks_for_a_sweep",
        ],
    ),
    (
        "N3",
        "others are refused, unknown and local zones are NOTAUTH, lines per source are limited",
        &[
            "tests/listeners/notify.rs::other_notifies_are_refused_and_told_why",
            "src/access.rs::notify_for_a_local_zone_is_not_ours_to_take",
            "src/net/quiet.rs::one_line_a_minute_for_each_source",
        ],
    ),
    (
        "N4",
        "TSIG on NOTIFY",
        &[
            "tests/listeners/notify.rs::a_zone_with_a_key_wants_its_notifies_signed_with_it",
            "tests/listeners/notify.rs::bad_signatures_are_answered_notauth",
            "src/dns/tsig/tests.rs::skewed_clock_is_badtime_signed_with_our_time",
        ],
    ),
    (
        "N5",
        "the serial in a NOTIFY is a hint only",
        &[
            "src/refresh/tests/notify.rs::an_equal_or_older_hint_is_recorded_and_starts_nothing",
            "src/refresh/tests/notify.rs::a_hint_nobody_has_leads_to_the_others_then_one_retry_then_nothing",
            "tests/bad_primaries/serials.rs::b15_a_notify_that_promises_too_much_is_forgotten",
        ],
    ),
    (
        "N6",
        "NOTIFY without SOA polls the SOA",
        &[
            "src/dns/message.rs::notify_without_soa_is_normal",
            "src/refresh/tests/notify.rs::a_notify_without_a_serial_asks_its_sender_at_once",
        ],
    ),
    (
        "N7",
        "the sender is asked first, the others in the same round if it fails",
        &[
            "src/refresh/tests/notify.rs::the_notifying_primary_is_asked_first_and_the_others_in_the_same_round_if_it_fails",
        ],
    ),
    (
        "N8",
        "NOTIFYs of two primaries are both considered",
        &[
            "src/refresh/tests/notify.rs::notifies_from_two_primaries_are_both_considered",
            "src/refresh/tests/notify.rs::the_higher_of_two_hints_is_followed_after_the_lower",
        ],
    ),
    (
        "N9",
        "newer hints start at once, others at most once a second",
        &[
            "tests/bad_primaries/histories.rs::n9_forged_notifies_with_rising_serials_cost_next_to_nothing",
            "src/refresh/tests/histories.rs::forged_hints_with_rising_serials_cause_no_more_than_hints_without",
            "src/refresh/tests/histories.rs::a_primary_that_has_lied_once_is_believed_again_with_its_next_version",
            "src/refresh/tests/histories.rs::lost_notifies_are_made_up_for_over_time",
            "src/control/queue/tests.rs::a_primary_is_asked_at_most_so_often_a_second_whatever_the_urgency",
            "src/refresh/tests/notify.rs::a_thousand_updates_a_second_each_start_at_once",
            "src/refresh/tests/notify.rs::ten_thousand_notifies_without_serial_in_a_second_cause_at_most_two_refreshes",
            "src/refresh/tests/notify.rs::notifies_during_a_transfer_cause_exactly_one_further_refresh",
            "src/refresh/tests/notify.rs::after_a_notify_the_other_primaries_are_asked_once_five_seconds_later",
            "src/refresh/tests/notify.rs::the_other_primaries_are_asked_at_most_every_ten_seconds",
        ],
    ),
    (
        "N10",
        "over UDP and TCP; QDCOUNT and QTYPE",
        &[
            "tests/listeners/notify.rs::odd_notifies_get_the_error_that_fits",
            "tests/listeners/notify.rs::a_notify_from_a_primary_is_acknowledged_and_passed_on",
        ],
    ),
    (
        "N11",
        "an accepted NOTIFY clears the back-off, not the rate limit",
        &[
            "src/control/queue/tests.rs::a_primary_is_asked_at_most_so_often_a_second_whatever_the_urgency",
            "src/refresh/tests/notify.rs::an_accepted_notify_clears_the_back_off",
        ],
    ),
    (
        "N12",
        "order of work; a NOTIFY never waits behind due refreshes",
        &[
            "src/control/queue/tests.rs::fifty_thousand_due_refreshes_delay_no_notify_by_a_second",
            "src/control/queue/tests.rs::a_flood_of_notifies_starves_no_due_refresh",
            "src/control/queue/tests.rs::zones_of_one_primary_take_turns",
            "src/refresh/tests/notify.rs::the_order_of_work_is_operator_notify_initial_expired_due",
            "src/refresh/tests/notify.rs::each_action_says_how_urgent_it_is",
            "src/control/queue/tests.rs::urgent_jobs_overtake_fifty_thousand_due_refreshes",
        ],
    ),
    (
        "N13",
        "allow-notify beside the transfer addresses",
        &[
            "src/access.rs::notify_may_come_from_another_address_of_a_primary",
            "src/refresh/tests/notify.rs::a_source_that_is_no_primary_has_all_asked",
        ],
    ),
    (
        "N14",
        "behind PROXYv2 the proxied address counts",
        &[
            "tests/listeners/proxied.rs::over_udp_the_proxied_address_is_the_one_that_counts",
            "tests/listeners/proxied.rs::over_tcp_and_tls_the_header_comes_first_be_it_in_pieces",
            "tests/listeners/proxied.rs::nobody_else_speaks_for_others",
        ],
    ),
];

const TIMERS: &[Statement] = &[
    (
        "T1",
        "REFRESH minus 0-10 %, clamped",
        &[
            "src/refresh/tests/expiry.rs::after_success_the_next_poll_is_at_most_refresh_later_and_at_least_nine_tenths",
            "src/refresh/timers.rs::timers_are_kept_within_the_configured_bounds",
        ],
    ),
    (
        "T2",
        "RETRY, doubling, reset by success",
        &[
            "src/refresh/tests/expiry.rs::after_failure_of_all_primaries_retry_doubles_up_to_refresh_and_success_resets_it",
            "src/refresh/timers.rs::the_pause_doubles_up_to_refresh",
        ],
    ),
    (
        "T3",
        "EXPIRE counts from the last confirmation, durable at each",
        &[
            "tests/bad_primaries/kills.rs::kills_during_transfers_lose_no_confirmation_and_mix_no_versions",
            "src/refresh/tests/expiry.rs::expire_counts_from_the_last_confirmation",
            "src/refresh/tests/expiry.rs::each_confirmation_is_handed_out_to_be_stored",
            "src/refresh/tests/expiry.rs::expire_runs_on_while_the_daemon_is_stopped",
            "src/store/writer.rs::a_confirmation_alone_is_written_soon_and_many_are_written_together",
        ],
    ),
    (
        "T4",
        "EXPIRE below REFRESH+RETRY is raised and reported",
        &[
            "src/refresh/timers.rs::an_expire_below_refresh_and_retry_is_raised_and_reported",
            "src/refresh/tests/expiry.rs::expire_zero_causes_no_transfer_loop",
        ],
    ),
    (
        "T5",
        "an expired zone is SERVFAIL, stays on disk, heals by itself",
        &[
            "tests/interop/restarts.rs::a_zone_expires_and_heals",
            "tests/listeners/transfers.rs::transfers_that_are_not_given_say_why",
            "src/refresh/tests/expiry.rs::an_expired_zone_heals_by_the_first_confirmation",
        ],
    ),
    (
        "T6",
        "an expired zone takes any serial",
        &[
            "src/refresh/tests/expiry.rs::an_expired_zone_takes_a_lower_serial",
            "tests/refresh_sim/main.rs::an_origin_that_starts_again_from_a_low_serial_is_followed_after_expiry",
        ],
    ),
    (
        "T7",
        "a lower serial is no confirmation; 2^31 away is undefined",
        &[
            "src/refresh/tests/expiry.rs::a_lower_serial_is_no_confirmation",
            "src/refresh/tests/expiry.rs::a_serial_half_the_space_away_is_reported_and_not_transferred",
            "src/refresh/tests/choice.rs::a_retransfer_does_not_take_an_older_serial_unless_forced",
        ],
    ),
    (
        "T8",
        "never loaded: SERVFAIL, 10 s doubling to 1 h",
        &[
            "src/refresh/tests/expiry.rs::a_zone_that_was_never_loaded_is_tried_after_ten_seconds_doubling_to_an_hour",
            "tests/interop/statuses.rs::a_primary_without_the_zone_is_not_a_dead_one",
        ],
    ),
    (
        "T9",
        "the SOA poll: tries, TCP, EDNS, and a code for each bad answer",
        &[
            "src/transfer/probe.rs::every_bad_answer_has_its_own_code",
            "src/transfer/probe.rs::formerr_to_edns_leads_to_a_query_without",
            "src/transfer/probe.rs::truncation_leads_to_tcp",
            "tests/bad_primaries/network.rs::b13_udp_dead_and_tcp_alive_is_udp_blocked",
            "tests/bad_primaries/network.rs::b11_every_bad_soa_answer_has_its_own_code",
        ],
    ),
    (
        "T10",
        "the EXPIRE option of a primary",
        &[
            "tests/bad_primaries/serials.rs::b28_two_secondaries_naming_each_other_let_the_zone_expire",
            "src/refresh/tests/findings.rs::two_secondaries_that_confirm_each_other_expire_together_and_say_so",
            "src/refresh/tests/expiry.rs::with_an_equal_serial_the_expire_option_can_only_lengthen",
            "src/refresh/tests/expiry.rs::after_a_transfer_the_expire_option_can_only_shorten",
            "src/refresh/tests/expiry.rs::an_expire_option_of_a_dying_copy_renews_nothing",
        ],
    ),
    (
        "T11",
        "the EXPIRE option in our answers",
        &[
            "tests/listeners/transfers.rs::downstreams_learn_how_long_the_zone_lives",
            "tests/bad_primaries/serials.rs::b28_two_secondaries_naming_each_other_let_the_zone_expire",
        ],
    ),
    (
        "T12",
        "fresh zones are not polled at start, due ones are spread",
        &[
            "src/control/queue/tests.rs::a_hundred_thousand_fresh_zones_are_not_polled_at_start",
            "src/control/queue/tests.rs::a_hundred_thousand_due_zones_are_asked_for_at_the_rate_of_their_primary",
            "src/refresh/tests/histories.rs::a_restored_state_is_not_stored_again",
            "src/refresh/tests/expiry.rs::a_fresh_zone_is_not_polled_at_start",
            "src/refresh/tests/expiry.rs::overdue_polls_are_spread_at_start",
            "src/refresh/tests/expiry.rs::a_zone_that_is_known_to_be_behind_is_polled_at_start",
            "tests/bad_primaries/kills.rs::a_zone_that_may_have_lost_a_version_with_the_process_asks_at_start",
        ],
    ),
];

const CHOICE: &[Statement] = &[
    (
        "P1",
        "an ordered list; a failure moves on in the same round",
        &[
            "src/refresh/tests/choice.rs::when_the_best_fails_the_next_one_gives_the_zone_in_the_same_round",
            "tests/interop/statuses.rs::of_two_primaries_one_dead_both_tell_the_truth",
        ],
    ),
    (
        "P2",
        "the unreachable cache",
        &[
            "src/control/queue/tests.rs::a_busy_primary_does_not_hold_up_another",
            "src/refresh/unreachable.rs::an_unreachable_address_is_left_alone_for_ten_seconds_doubling_to_ten_minutes",
            "src/refresh/unreachable.rs::when_the_pause_is_over_one_zone_tries_and_the_others_wait",
            "src/refresh/tests/choice.rs::an_unreachable_primary_is_not_asked_and_the_next_one_is",
            "src/refresh/tests/choice.rs::at_most_one_transfer_a_zone",
            "tests/refresh_sim/main.rs::an_unreachable_primary_costs_a_few_timeouts_and_not_one_per_zone",
        ],
    ),
    (
        "P3",
        "all are asked, the highest serial wins; `ordered` by option",
        &[
            "tests/bad_primaries/histories.rs::p3_in_ordered_mode_the_second_is_not_asked_while_the_first_answers",
            "src/refresh/tests/choice.rs::a_timed_refresh_asks_every_primary_and_takes_the_highest_serial",
            "src/refresh/tests/choice.rs::the_highest_serial_is_found_across_the_wrap",
            "src/refresh/tests/choice.rs::ties_go_to_the_first_in_the_list",
            "src/refresh/tests/choice.rs::in_ordered_mode_the_first_primary_that_answers_is_taken",
        ],
    ),
    (
        "P4",
        "histories of two primaries are not mixed",
        &[
            "tests/bad_primaries/histories.rs::p4_a_pinned_zone_changes_its_primary_late_and_by_a_whole_transfer",
            "src/refresh/tests/histories.rs::the_pinned_primary_gives_the_zone_although_another_is_further",
            "src/refresh/tests/histories.rs::when_the_pinned_primary_stays_behind_another_gives_the_whole_zone",
            "src/refresh/tests/histories.rs::a_notify_of_another_primary_does_not_break_the_pin",
            "src/refresh/tests/histories.rs::the_pin_survives_a_restart",
            "src/refresh/tests/histories.rs::without_pinning_another_primarys_differences_are_tried_and_lead_to_axfr",
            "tests/bad_primaries/serials.rs::b25_differences_of_another_history_lead_to_axfr",
            "src/zone/apply.rs::the_old_soa_must_be_ours",
        ],
    ),
    (
        "P5",
        "re-signing without a new serial is seen, by option",
        &[
            "tests/bad_primaries/histories.rs::p5_a_zone_signed_again_without_a_new_serial_is_transferred_if_wanted",
            "src/refresh/tests/histories.rs::a_zone_signed_again_without_a_new_serial_is_transferred_whole",
            "src/refresh/tests/histories.rs::a_primary_that_signs_each_answer_anew_is_given_up_after_three_transfers",
            "src/refresh/tests/histories.rs::only_the_primary_that_gave_the_zone_is_compared_with_it",
        ],
    ),
];

const AXFR: &[Statement] = &[
    (
        "A1",
        "any number of messages, any grouping, any order",
        &[
            "tests/transfer.rs::every_scenario_comes_out_as_it_says",
            "fixtures/transfers/axfr-any-order-and-duplicates.txt",
            "fixtures/transfers/axfr-one-record-per-message.txt",
            "fixtures/transfers/axfr-one-message.txt",
            "tests/transfer.rs::every_fixture_zone_survives_being_sent_and_received",
        ],
    ),
    (
        "A2",
        "the header of each message",
        &[
            "tests/bad_primaries/stream.rs::b9_headers_that_do_not_fit_the_query",
            "fixtures/transfers/axfr-bad-header-in-second-message.txt",
            "fixtures/transfers/axfr-bad-header-other-question.txt",
            "fixtures/transfers/axfr-bad-header-authority.txt",
            "fixtures/transfers/axfr-tc-in-second-message.txt",
        ],
    ),
    (
        "A3",
        "from SOA to the same SOA",
        &[
            "fixtures/transfers/axfr-first-not-soa.txt",
            "fixtures/transfers/axfr-last-soa-in-other-case.txt",
            "fixtures/transfers/axfr-other-soa-inside.txt",
            "fixtures/transfers/axfr-records-after-the-end.txt",
            "fixtures/transfers/axfr-same-serial-other-rdata.txt",
            "fixtures/transfers/axfr-soa-of-other-zone.txt",
            "tests/bad_primaries/stream.rs::b7_a_wrong_soa_at_the_end_discards_everything",
        ],
    ),
    (
        "A4",
        "duplicates; differing TTLs",
        &[
            "fixtures/transfers/axfr-any-order-and-duplicates.txt",
            "src/zone/builder.rs::differing_ttls_become_the_lowest",
            "src/zone/apply.rs::an_rrset_that_was_levelled_is_left_to_a_full_transfer",
        ],
    ),
    (
        "A5",
        "owners outside the zone are skipped and counted",
        &[
            "fixtures/transfers/axfr-out-of-zone-skipped.txt",
            "src/zone/builder.rs::records_of_other_zones_are_left_out_and_counted",
            "tests/bad_primaries/stream.rs::b20_records_outside_the_zone_are_skipped_and_counted",
        ],
    ),
    (
        "A6",
        "compression, bad names and rdata, unknown types",
        &[
            "fixtures/transfers/axfr-compressed-where-old-servers-did.txt",
            "fixtures/transfers/axfr-bad-record-pointer-loop.txt",
            "fixtures/transfers/axfr-bad-record-pointer-forward.txt",
            "fixtures/transfers/axfr-unknown-type.txt",
            "tests/bad_primaries/content.rs::b18_records_that_do_not_parse",
        ],
    ),
    (
        "A7",
        "classes and meta types",
        &[
            "fixtures/transfers/axfr-bad-record-class.txt",
            "fixtures/transfers/axfr-bad-record-type-opt.txt",
            "tests/bad_primaries/stream.rs::b20_other_classes_and_meta_types_are_refused",
        ],
    ),
    (
        "A8",
        "nothing is visible before the last message; then all at once",
        &[
            "tests/bad_primaries/kills.rs::kills_during_transfers_lose_no_confirmation_and_mix_no_versions",
            "tests/interop/edits.rs::random_edits_end_as_what_axfr_gives",
            "src/served/publisher.rs::a_published_snapshot_is_served_and_a_replaced_one_lives_as_long_as_it_is_read",
            "tests/bad_primaries/stream.rs::b4_a_stream_that_ends_early_is_discarded",
        ],
    ),
    (
        "A9",
        "a crash leaves old or new",
        &[
            "tests/bad_primaries/kills.rs::kills_during_transfers_lose_no_confirmation_and_mix_no_versions",
            "tests/store_crash/stopped.rs::stopped_after_any_step_a_zone_is_wholly_old_or_wholly_new",
            "tests/store_crash/killed.rs::killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_is_mixed",
            "tests/interop/restarts.rs::kill_right_after_an_update_leaves_old_or_new",
        ],
    ),
    (
        "A10",
        "case of names",
        &[
            "tests/transfer.rs::spelling_in_rdata_survives_compression",
            "tests/transfer.rs::the_answer_repeats_the_question_as_it_was_spelt",
            "src/zone/apply.rs::matching_ignores_ttl_and_case_of_names",
        ],
    ),
    (
        "A11",
        "content rules",
        &[
            "src/zone/check.rs::cname_stands_alone_but_for_signatures",
            "src/zone/check.rs::names_below_a_dname_are_noticed",
            "src/zone/check.rs::oddities_of_apex_and_wildcards_are_noticed",
            "tests/bad_primaries/content.rs::b19_contents_that_cannot_be_served",
        ],
    ),
    (
        "A12",
        "limits name themselves",
        &[
            "src/zone/builder.rs::limits_name_themselves",
            "fixtures/transfers/axfr-too-many-octets.txt",
            "fixtures/transfers/axfr-too-many-records.txt",
            "fixtures/transfers/axfr-empty-messages-without-end.txt",
            "tests/bad_primaries/network.rs::b3_a_trickle_ends_at_the_lowest_rate",
            "tests/bad_primaries/network.rs::b3_a_trickle_ends_at_the_total_timeout",
        ],
    ),
    (
        "A13",
        "an AXFR of a loaded zone becomes a difference",
        &[
            "tests/interop/downstream.rs::servers_below_us_follow_by_notify_and_ixfr",
            "tests/store_crash/main.rs::a_replacement_with_its_difference_keeps_the_history_and_one_without_starts_anew",
        ],
    ),
    (
        "A14",
        "large zones at bounded memory, without pausing answers",
        &["tests/interop/million.rs::a_million_records_survive_anything"],
    ),
];

const IXFR: &[Statement] = &[
    (
        "I1",
        "our SOA in the query; all forms of the answer",
        &[
            "src/dns/message.rs::ixfr_query_carries_our_soa_in_the_authority_section",
            "fixtures/transfers/ixfr-rfc-1995-section-7.txt",
            "fixtures/transfers/ixfr-rfc-1995-section-7-condensed.txt",
            "fixtures/transfers/ixfr-rfc-1995-section-7-whole-zone.txt",
            "fixtures/transfers/ixfr-single-soa-up-to-date.txt",
        ],
    ),
    (
        "I2",
        "what the second record tells; a lone SOA",
        &[
            "fixtures/transfers/ixfr-whole-zone-of-one-record.txt",
            "fixtures/transfers/ixfr-lone-newer-soa-then-more.txt",
            "fixtures/transfers/ixfr-lone-newer-soa-then-end.txt",
            "fixtures/transfers/ixfr-single-soa-older.txt",
            "fixtures/transfers/ixfr-starts-elsewhere.txt",
        ],
    ),
    (
        "I3",
        "the chain begins at ours, is whole, moves forward",
        &[
            "fixtures/transfers/ixfr-across-the-wrap.txt",
            "fixtures/transfers/ixfr-backward-step.txt",
            "fixtures/transfers/ixfr-hole-in-the-chain.txt",
            "fixtures/transfers/ixfr-ends-elsewhere.txt",
            "tests/interop/serials.rs::several_steps_across_the_wrap_come_at_once",
        ],
    ),
    (
        "I4",
        "absent and present records: AXFR, or benevolent",
        &[
            "tests/bad_primaries/histories.rs::i4_leniently_differences_that_do_not_fit_are_taken_and_reported",
            "src/zone/apply.rs::leniently_what_does_not_fit_is_passed_over_and_counted",
            "src/zone/apply.rs::removing_what_is_absent_and_adding_what_is_present_is_refused",
            "tests/bad_primaries/serials.rs::b25_differences_of_another_history_lead_to_axfr",
        ],
    ),
    (
        "I5",
        "every failed IXFR falls back to AXFR in the same round",
        &[
            "src/refresh/tests/histories.rs::a_primary_without_ixfr_is_known_after_a_restart",
            "src/refresh/tests/choice.rs::every_failed_ixfr_is_followed_by_axfr_at_the_same_primary",
            "src/refresh/tests/choice.rs::a_connection_that_never_stood_is_no_failed_ixfr",
            "src/refresh/learned.rs::ixfr_pauses_double_to_48_hours_only_for_notimp_and_formerr",
            "tests/bad_primaries/stream.rs::b12_refused_ixfr_leads_to_axfr_in_the_same_round",
        ],
    ),
    (
        "I6",
        "all sequences are one step",
        &[
            "tests/transfer.rs::differences_and_whole_zone_lead_to_the_same_contents",
            "tests/store_crash/stopped.rs::stopped_after_any_step_a_zone_is_wholly_old_or_wholly_new",
        ],
    ),
    (
        "I7",
        "a difference leads to what AXFR gives",
        &[
            "tests/transfer.rs::differences_and_whole_zone_lead_to_the_same_contents",
            "tests/interop/edits.rs::random_edits_end_as_what_axfr_gives",
        ],
    ),
    (
        "I8",
        "IXFR over UDP off by default, only with TSIG",
        &["tests/bad_primaries/signed.rs::i8_differences_over_udp_only_with_a_key_and_what_does_not_fit_over_tcp"],
    ),
    (
        "I9",
        "an IXFR that grows beyond the zone or N sequences is given up",
        &[
            "tests/transfer.rs::differences_of_too_many_steps_are_given_up",
            "tests/transfer.rs::differences_without_end_are_given_up",
            "tests/bad_primaries/serials.rs::b5_differences_larger_than_the_zone_lead_to_axfr",
        ],
    ),
];

const TSIG_AND_TLS: &[Statement] = &[
    (
        "G1",
        "every message signed, up to 99 unsigned between; a code for each failure",
        &[
            "src/dns/tsig/tests.rs::up_to_99_unsigned_messages_in_a_row",
            "src/dns/tsig/tests.rs::first_and_last_message_must_be_signed",
            "tests/interop/tsig.rs::keys_that_do_not_match_are_told_apart",
            "tests/bad_primaries/signed.rs::b17_bad_signatures_of_the_soa_answer",
        ],
    ),
    (
        "G2",
        "algorithms",
        &[
            "tests/interop/tsig.rs::every_algorithm_signs_every_exchange",
            "src/config/tests.rs::algorithms_that_cannot_be_computed_are_errors",
        ],
    ),
    (
        "G3",
        "one bad MAC discards everything; secrets are not shown",
        &[
            "tests/bad_primaries/signed.rs::b17_bad_signatures_discard_the_whole_transfer",
            "src/dns/tsig/tests.rs::secrets_are_not_shown",
            "src/config/tests.rs::secrets_come_from_files_too_and_never_show",
        ],
    ),
    (
        "X1",
        "transfers over TLS",
        &[
            "tests/bad_primaries/encrypted.rs::x1_each_profile_transfers_and_shows_the_certificates",
            "tests/bad_primaries/encrypted.rs::x1_only_the_opportunistic_profile_falls_back_to_clear_text_and_says_so",
            "tests/bad_primaries/encrypted.rs::x1_a_reload_takes_up_new_certificates",
        ],
    ),
];

const CATALOGS: &[Statement] = &[
    (
        "C1",
        "catalogs are followed: version, broken ones, groups, change of ownership, labels, clashes",
        &[
            "src/catalog/read.rs::only_version_two_is_followed",
            "src/catalog/read.rs::a_broken_catalog_is_told_from_one_that_says_more_than_we_know",
            "src/control/catalogs/follow/tests.rs::a_broken_catalog_changes_nothing",
            "src/control/catalogs/follow/tests.rs::members_have_the_settings_of_their_group",
            "src/control/catalogs/follow/tests.rs::a_change_of_ownership_keeps_the_zone",
            "src/control/catalogs/follow/tests.rs::members_become_zones_and_go_with_their_catalog",
            "src/control/catalogs/follow/tests.rs::a_name_that_is_taken_is_left_out_and_taken_when_it_is_free",
            "tests/interop/catalogs.rs::we_follow_a_catalog_of_knot",
        ],
    ),
    (
        "C2",
        "only members that change are touched",
        &[
            "src/catalog/read.rs::changes_are_those_of_the_members_that_differ",
            "src/control/catalogs/follow/tests.rs::members_become_zones_and_go_with_their_catalog",
        ],
    ),
    (
        "C3",
        "a list of what may come, and a guard against losing most of it",
        &[
            "src/control/catalogs/follow/tests.rs::a_name_that_is_taken_is_left_out_and_taken_when_it_is_free",
            "src/config/tests/catalogs.rs::a_catalog_is_private_and_guarded_unless_something_else_is_said",
            "src/control/catalogs/follow/tests.rs::what_is_no_longer_allowed_is_gone_after_a_restart",
            "tests/guards/catalogs.rs::a_catalog_that_loses_most_of_its_members_is_held",
            "tests/guards/catalogs.rs::a_catalog_whose_members_are_replaced_is_held",
        ],
    ),
    (
        "C4",
        "a catalog of our own zones",
        &[
            "src/control/catalogs/make/tests.rs::a_catalog_lists_what_is_there_but_catalogs",
            "src/control/catalogs/make/tests.rs::a_catalog_survives_a_restart",
            "tests/interop/catalogs.rs::servers_below_us_follow_the_catalog_of_our_zones",
        ],
    ),
    ("C5", "members stay when their catalog expires", &["tests/guards/catalogs.rs::members_outlive_their_catalog"]),
];

const BAD_PRIMARIES: &[Statement] = &[
    (
        "B1",
        "refused, unreachable, no answer",
        &["tests/bad_primaries/network.rs::b1_a_primary_that_cannot_be_connected_costs_one_round_nothing"],
    ),
    (
        "B2",
        "accepts, never sends",
        &[
            "tests/bad_primaries/network.rs::b2_silence_ends_at_the_idle_timeout",
            "tests/bad_primaries/network.rs::b2_a_silent_transfer_gives_its_slot_back",
        ],
    ),
    (
        "B3",
        "slow loris",
        &[
            "tests/bad_primaries/network.rs::b3_a_trickle_ends_at_the_lowest_rate",
            "tests/bad_primaries/network.rs::b3_a_trickle_ends_at_the_total_timeout",
        ],
    ),
    ("B4", "closes early", &["tests/bad_primaries/stream.rs::b4_a_stream_that_ends_early_is_discarded"]),
    (
        "B5",
        "endless stream",
        &[
            "tests/bad_primaries/stream.rs::b5_an_endless_stream_ends_at_a_limit",
            "tests/bad_primaries/serials.rs::b5_an_endless_chain_of_empty_differences_leads_to_axfr",
        ],
    ),
    ("B6", "endless empty messages", &["tests/bad_primaries/stream.rs::b6_endless_empty_messages_end_at_a_limit"]),
    (
        "B7",
        "wrong SOA at the end",
        &[
            "tests/bad_primaries/stream.rs::b7_a_wrong_soa_at_the_end_discards_everything",
            "tests/bad_primaries/stream.rs::b7_a_zone_that_changed_in_flight_is_tried_once_more",
        ],
    ),
    (
        "B8",
        "not the SOA first, another zone",
        &["tests/bad_primaries/stream.rs::b8_what_does_not_begin_with_the_soa_of_the_zone_is_no_transfer"],
    ),
    (
        "B9",
        "headers of another exchange",
        &[
            "tests/bad_primaries/stream.rs::b9_headers_that_do_not_fit_the_query",
            "tests/bad_primaries/network.rs::b9_bad_datagrams_are_ignored",
        ],
    ),
    ("B10", "TC in a stream", &["tests/bad_primaries/stream.rs::b10_tc_in_a_stream_discards_everything"]),
    (
        "B11",
        "RCODEs",
        &[
            "tests/bad_primaries/stream.rs::b11_error_codes_refuse_at_once",
            "tests/bad_primaries/stream.rs::b11_error_codes_in_the_middle_discard_everything",
            "tests/bad_primaries/stream.rs::b11_the_peers_own_words_are_shown",
        ],
    ),
    ("B12", "IXFR refused", &["tests/bad_primaries/stream.rs::b12_refused_ixfr_leads_to_axfr_in_the_same_round"]),
    ("B13", "UDP dead, TCP alive", &["tests/bad_primaries/network.rs::b13_udp_dead_and_tcp_alive_is_udp_blocked"]),
    (
        "B14",
        "lower, undefined, jumping serials",
        &[
            "tests/bad_primaries/histories.rs::b14_flapping_is_shown_whatever_the_last_answer_was",
            "src/refresh/tests/findings.rs::flapping_is_found_whatever_the_last_answer_was",
            "src/refresh/tests/findings.rs::flapping_survives_a_restart",
            "tests/bad_primaries/serials.rs::b14_lower_and_undefined_serials_are_not_transferred",
            "tests/bad_primaries/serials.rs::b14_serials_that_jump_back_and_forth_are_flapping",
        ],
    ),
    (
        "B15",
        "announces N, gives N-1",
        &[
            "tests/bad_primaries/serials.rs::b15_a_primary_that_shows_more_than_it_gives_is_asked_again_after_retry",
            "tests/bad_primaries/serials.rs::b15_a_notify_that_promises_too_much_is_forgotten",
        ],
    ),
    (
        "B16",
        "same serial, different content",
        &[
            "tests/bad_primaries/histories.rs::b16_primaries_with_different_zones_under_one_serial_are_told",
            "src/refresh/tests/findings.rs::different_soas_or_counts_under_one_serial_are_a_disagreement",
            "tests/bad_primaries/serials.rs::b16_other_contents_under_the_same_serial_are_not_seen",
        ],
    ),
    (
        "B17",
        "bad signatures",
        &[
            "tests/bad_primaries/signed.rs::b17_bad_signatures_discard_the_whole_transfer",
            "tests/bad_primaries/signed.rs::b17_bad_signatures_of_the_soa_answer",
        ],
    ),
    (
        "B18",
        "records that do not parse",
        &[
            "tests/bad_primaries/content.rs::b18_records_that_do_not_parse",
            "tests/bad_primaries/content.rs::b18_the_index_and_the_owner_are_named",
        ],
    ),
    (
        "B19",
        "contents that cannot be served",
        &[
            "tests/bad_primaries/content.rs::b19_contents_that_cannot_be_served",
            "tests/bad_primaries/content.rs::b19_a_hundred_thousand_addresses_and_all_types_at_one_name",
        ],
    ),
    (
        "B20",
        "out of zone, classes, meta types",
        &[
            "tests/bad_primaries/stream.rs::b20_records_outside_the_zone_are_skipped_and_counted",
            "tests/bad_primaries/stream.rs::b20_other_classes_and_meta_types_are_refused",
        ],
    ),
    (
        "B21",
        "no NS, SOA only, 99 % smaller",
        &[
            "tests/bad_primaries/content.rs::b21_b22_strange_zones_are_served_with_a_warning",
            "tests/bad_primaries/content.rs::b21_a_zone_that_loses_its_ns_or_nearly_everything_is_held",
            "src/zone/guard.rs::losing_exactly_the_limit_passes_and_one_record_more_is_held",
        ],
    ),
    (
        "B22",
        "strange TTLs",
        &[
            "tests/bad_primaries/content.rs::b21_b22_strange_zones_are_served_with_a_warning",
            "src/dns/message.rs::a_ttl_with_the_top_bit_set_is_zero",
        ],
    ),
    (
        "B23",
        "broken NSEC3",
        &[
            "tests/bad_primaries/content.rs::b23_broken_nsec3_is_served_as_it_is",
            "tests/guards/digests.rs::nsec3_beyond_reasonable_iterations_is_told",
            "tests/guards/digests.rs::lapsed_signatures_hold_a_version_where_policy_says_so",
        ],
    ),
    ("B24", "no EDNS", &["tests/bad_primaries/network.rs::b24_servers_that_choke_on_edns_are_asked_without"]),
    (
        "B25",
        "another history",
        &[
            "src/refresh/tests/findings.rs::two_soas_under_one_serial_in_turn_are_flapping",
            "tests/bad_primaries/serials.rs::b25_differences_of_another_history_lead_to_axfr",
        ],
    ),
    (
        "B26",
        "bad TLS",
        &["tests/bad_primaries/encrypted.rs::b26_every_bad_tls_primary_has_its_code_and_says_what_it_has"],
    ),
    (
        "B27",
        "answers from elsewhere",
        &["tests/bad_primaries/network.rs::b27_answers_from_another_address_are_ignored"],
    ),
    (
        "B28",
        "ourselves, two secondaries naming each other",
        &[
            "tests/bad_primaries/serials.rs::b28_two_secondaries_naming_each_other_let_the_zone_expire",
            "src/refresh/tests/findings.rs::two_secondaries_that_confirm_each_other_expire_together_and_say_so",
            "tests/bad_primaries/serials.rs::b28_a_primary_that_is_ourselves_is_a_loop",
        ],
    ),
    ("B29", "colliding hashes", &["tests/bad_primaries/content.rs::b29_nsec3_hashes_with_a_common_prefix"]),
];

/// How many statements each letter has.
const EXPECTED: [(char, u32); 9] =
    [('N', 14), ('T', 12), ('P', 5), ('A', 14), ('I', 9), ('G', 3), ('X', 1), ('C', 5), ('B', 29)];

fn statements() -> impl Iterator<Item = &'static Statement> {
    [NOTIFY, TIMERS, CHOICE, AXFR, IXFR, TSIG_AND_TLS, CATALOGS, BAD_PRIMARIES].into_iter().flatten()
}

/// Why a named proof is none.
fn fault(proof: &str) -> Option<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let Some((path, function)) = proof.split_once("::") else {
        let is_played = proof.starts_with("fixtures/transfers/") && fs::exists(format!("{root}/{proof}")).ok()?;
        return (!is_played).then(|| format!("no scenario {proof}"));
    };
    let Ok(text) = fs::read_to_string(format!("{root}/{path}")) else { return Some(format!("no file {path}")) };
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_named = |line: &&str| {
        let rest = line.strip_prefix("async ").unwrap_or(line);
        rest.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(function)).is_some_and(|rest| rest.starts_with('('))
    };
    let Some(at) = lines.iter().position(is_named) else {
        return Some(format!("{path} has no {function}"));
    };
    let attributes: Vec<&str> = lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).copied().collect();
    let is_test = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    // Within `proptest!` the attribute stands there all the same.
    if !attributes.iter().any(is_test) {
        return Some(format!("{proof} is no test"));
    }
    attributes.iter().any(|line| line.starts_with("#[ignore")).then(|| format!("{proof} is not run"))
}

#[test]
fn every_statement_stands_in_the_table_once() {
    let named: BTreeSet<String> = statements().map(|(number, ..)| (*number).to_owned()).collect();
    let expected: BTreeSet<String> =
        EXPECTED.into_iter().flat_map(|(letter, count)| (1..=count).map(move |n| format!("{letter}{n}"))).collect();
    assert_eq!(named, expected);
    assert_eq!(statements().count(), expected.len(), "each once");
}

#[test]
fn every_statement_has_a_test_or_is_marked_open() {
    let open: BTreeSet<&str> = OPEN.iter().map(|(number, _)| *number).collect();
    for (number, why) in OPEN {
        println!("open: {number}: {why}");
    }
    let without: BTreeSet<&str> = statements().filter(|(.., proofs)| proofs.is_empty()).map(|(n, ..)| *n).collect();
    let unmarked: Vec<_> = without.difference(&open).collect();
    assert!(unmarked.is_empty(), "statements without a test: {unmarked:?}");
    let stale: Vec<_> = open.difference(&without).collect();
    assert!(stale.is_empty(), "these have tests now, take them out of OPEN: {stale:?}");
}

#[test]
fn every_named_test_is_there_and_is_run() {
    let faults: Vec<String> = statements()
        .flat_map(|(number, _, proofs)| proofs.iter().filter_map(move |p| Some(format!("{number}: {}", fault(p)?))))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_proof_that_is_none_is_noticed() {
    assert!(fault("tests/statements.rs::a_proof_that_is_none_is_noticed").is_none());
    for none in [
        "tests/statements.rs::fault",
        "tests/statements.rs::nothing",
        "tests/nothing.rs::nothing",
        "fixtures/transfers/nothing.txt",
        "README.md",
    ] {
        assert!(fault(none).is_some(), "{none}");
    }
}
