"""Rare branches that no draw of faults comes to: each has a test that stages it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from netsky.node.lab.checker.branches import BY_FAULTS, STAGED

NODE = Path(__file__).resolve().parents[1]
BAD_PEER, ROOT, SIBLING = "attacks/test_bad_peer.py", "attacks/test_at_the_root.py", "attacks/test_at_a_sibling.py"
NOT_FOR_OTHERS = (ROOT, "test_what_a_sibling_may_not_say_for_others_consumes_its_number_and_is_counted")
NOT_ITS_ORIGIN = (SIBLING, "test_what_its_origin_may_not_say_consumes_its_number_and_is_counted")
CLONED = ("test_restore.py", "test_a_cloned_home_is_recognised_and_frozen_on_both_sides")
LIE = (BAD_PEER, "test_a_lie_ends_the_link_with_its_code")

STAGES: dict[str, tuple[str, str]] = {
    "submit refused: outbox_full": ("test_delivery.py", "test_an_outbox_that_is_full_says_so"),
    "submit refused: dest_held": ("test_delivery.py", "test_a_destination_that_the_root_holds_is_named"),
    "submit refused: dest_share_full": (
        "test_delivery.py", "test_a_dead_destination_leaves_as_much_of_the_outbox_free_as_it_has"),
    "dead: attachment_missing": (
        "test_attachments.py", "test_an_envelope_whose_blobs_are_not_there_is_never_delivered"),
    "dead: dest_full": (
        "../relay/test_ingress.py", "test_a_full_queue_refuses_those_who_went_on_in_spite_of_the_hold"),
    "dead: inbox_full": (BAD_PEER, "test_a_flood_fills_an_inbox_and_what_is_kept_for_windows_and_no_more"),
    "link ended: ack": (BAD_PEER, "test_an_ack_beyond_what_was_sent_ends_the_link_and_what_was_sent_goes_again"),
    "link ended: claim": (ROOT, "test_a_frame_under_a_wrong_link_seal_ends_the_link"),
    "link ended: cloned": CLONED,
    "link ended: credit": (BAD_PEER, "test_who_was_granted_nothing_may_send_nothing"),
    "link ended: frame": LIE,
    "link ended: gap": LIE,
    "link ended: route": (SIBLING, "test_what_is_not_routed_ends_the_link_and_is_not_stored"),
    "refused: damaged": (
        "../mesh/test_link_seals.py", "test_what_fails_behind_the_link_consumes_its_number_and_is_stored_as_refused"),
    "refused: destination_other": NOT_ITS_ORIGIN,
    "refused: lane_wrong": NOT_FOR_OTHERS,
    "refused: origin_mismatch": NOT_FOR_OTHERS,
    "refused: origin_not_peer": NOT_FOR_OTHERS,
    "refused: origin_revoked": (SIBLING, "test_a_revoked_origin_is_refused_even_if_the_root_routes_it"),
    "refused: origin_unknown": NOT_ITS_ORIGIN,
    "refused: seal_invalid": NOT_FOR_OTHERS,
    "refused: sender_name": NOT_FOR_OTHERS,
    "stream frozen: cloned": CLONED,
    "stream frozen: diverged": (ROOT, "test_equivocation_freezes_the_stream_of_who_equivocates_and_nobody_elses"),
    "duplicate refused": (SIBLING, "test_replayed_bytes_in_a_new_session_are_acknowledged_and_change_nothing"),
    "life raised: damaged": (
        "test_restore.py", "test_what_a_peer_cannot_take_three_times_is_dead_and_what_stands_behind_it_goes_on"),
    "life raised: peer_restored": CLONED,
    "outcome disbelieved": (ROOT, "test_an_outcome_from_who_may_not_end_that_envelope_changes_nothing"),
}  # fmt: skip
UNNAMED = {"life raised: damaged", "life raised: peer_restored", "duplicate refused", "outcome disbelieved"}
"""What happens there is told by what follows from it, and not by this word."""


def test_a_branch_is_reached_by_faults_or_staged_and_never_both() -> None:
    assert not BY_FAULTS.keys() & STAGED.keys()
    assert STAGES.keys() == STAGED.keys()


@pytest.mark.parametrize("name", STAGES)
def test_the_test_that_stages_it_is_there_and_names_it(name: str) -> None:
    file, function = STAGES[name]
    text = (NODE / file).read_text()
    assert re.search(rf"^(async )?def {function}\(", text, re.MULTILINE)
    code = name.rpartition(": ")[2]
    assert name in UNNAMED or f'"{code}"' in text, f"{file} does not name {code}"
