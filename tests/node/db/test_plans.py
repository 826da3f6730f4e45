"""Statements of the busy paths find their rows by an index, however many rows there are."""

from __future__ import annotations

import pytest
from netsky.node.db import (
    answers,
    arrivals,
    blobs,
    commits,
    flight,
    forward,
    handovers,
    inbox,
    links,
    messages,
    outbox,
    owner,
    watching,
)
from netsky.node.db.ledger import SqliteLedger
from netsky.node.seams.ledger import Statement

BUSY = {
    "put_back": arrivals.put_back(1),
    "claim": inbox.claim("agent1", ["a"], 1),
    "take_files": inbox.take_files("agent1", ["a"], 1, "ack"),
    "places_of_ids": arrivals.places_of_ids("agent1", ["a"]),
    "places_of_files": arrivals.places_of_files("agent1", ["a"]),
    "mark_projected": inbox.mark_projected([1], 1),
    "newest_seq": messages.newest_seq(),
    "waiting_counts": arrivals.waiting_counts(["agent1"]),
    "by_id": messages.by_id("a"),
    "replies_to": messages.replies_to(["a"], 4),
    "acks_due": inbox.acks_due(0, 64),
    "asked": outbox.asked(b"k", ["a"]),
    "shares": outbox.shares(),
    "open_entries": outbox.open_entries(b"k", "work", 64),
    "open_entries beside a hold": outbox.open_entries(b"k", "work", 64, outbox.Kept([b"d"], ["agent1@netsky1"], [7])),
    "mine": outbox.mine(b"k", ["a"]),
    "acked": outbox.acked(b"k", "work", 1, 5, 1),
    "expired": outbox.expired(1, 64),
    "to_destinations": outbox.to_destinations([b"k"], 64),
    "heads": forward.heads(b"k", "work", b"o", 64, ready=[7]),
    "forward acknowledged": forward.acknowledged(b"k", "work", 1, 5),
    "answers acknowledged": answers.acknowledged(b"k", "reply", 1, 5),
    "flight acknowledged": flight.acknowledged(b"k", "work", 1, 5),
    "forget": links.forget(b"k", "work", 1, up_to=5)[0],
    "aside": outbox.aside(b"k", "work", 16, outbox.Kept([b"n"], ["agent1"])),
    "forward aside": forward.aside(b"k", "work", 16, ["agent1"]),
    "a commit of a key": commits.find("r", "k"),
    "commits of a key": commits.by_key("k"),
    "commits prepared": commits.prepared("r"),
    "the fence of a ticket": commits.raise_fence("t", (1, 1, 1)),
    "pushes due": commits.pushes_due("r", 64),
    "held": blobs.held([b"h"]),
    "touch": blobs.touch(b"h", 1),
    "handovers of what is taken": handovers.forget_taken(),
    "handovers due of the reply lane": handovers.due("agent1", 1, "replies"),
    "kept back by a halt": inbox.kept_back("agent1", ["a"], "replies"),
    "kept back without a lease": inbox.kept_back("agent1", ["a"], "own"),
    "who holds what was routed": inbox.holders_of_routed(),
    "is_done": outbox.is_done(b"k", "a"),
    "handovers in the middle": handovers.in_the_middle(),
    "watched inboxes": watching.inboxes({"agent1": 7}),
    "watched answers": watching.answered(["a"]),
    "watched taken": watching.taken_of("agent0", ["a"]),
    "untold": owner.untold(64),
    "open_asks": owner.open_asks(64),
    "replies": owner.replies(64),
    "taken_unseen": owner.taken_unseen(64),
    "asked_by": owner.asked_by(["agent1"], 64),
}

ALLOWED = (
    "SCAN json_each",
    "SCAN each",
    "SCAN asked",
    "SCAN (subquery-1)",
    "SCAN first",
    "SCAN handovers",
    "SCAN inbox USING INDEX inbox_waiting",
    "SCAN outbox USING INDEX outbox_share",
    "SCAN outbox USING INDEX outbox_open",
    "SCAN o USING INDEX owner_items_untold",
)
"""Sets, what is short, and what has no outcome or was told to nobody: bounded by the caps that are asked about."""


COUNTED = ("waiting_counts", "watched inboxes")
"""What an actor has not taken is counted: the cap of an inbox bounds that."""


@pytest.mark.parametrize("name", sorted(BUSY))
async def test_a_statement_of_the_busy_path_walks_no_table(ledger: SqliteLedger, name: str) -> None:
    statement = BUSY[name]
    [rows] = await ledger.transaction([Statement("EXPLAIN QUERY PLAN " + statement.sql, statement.values)])
    steps = [str(row[3]) for row in rows]
    walks = [step for step in steps if step.startswith("SCAN") and not step.startswith(ALLOWED)]
    by_actor_alone = [
        step
        for step in steps
        if "inbox" in step and step.endswith("(actor=?)") and name not in COUNTED and "inbox_replies" not in step
    ]
    assert not walks + by_actor_alone, steps
