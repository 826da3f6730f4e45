"""What simulated clients write: ordinary drafts, and odd ones where the seed says so."""

from __future__ import annotations

from hashlib import sha256

import pytest
from netsky.node.lab.drafts import FLOOD, LATE, NOTHING_ODD, Drafts, Oddities, Traffic, draw_oddities
from netsky.node.lab.people import chance_of
from netsky.node.lab.virtual import SeededChance

TO = ("agent0@netsky1", "agent1@netsky2")


def drafts(odd: Oddities = NOTHING_ODD, absent: str = "") -> Drafts:
    return Drafts(SeededChance(1), Traffic("agent0", TO, 1.0, odd=odd, absent=absent))


def test_ordinary_drafts_are_for_those_that_it_writes_to_each_with_a_key_of_its_own() -> None:
    made = drafts()
    many = [draft for _ in range(50) for draft in made.next(3)]
    assert {draft["to"] for draft in many} == set(TO)
    assert len({draft["idempotency_key"] for draft in many}) == len(many) == 150
    assert not any(made.is_odd(draft) or not made.lasts(draft) or made.file(draft) for draft in many)


def test_strangers_and_the_absent_are_written_to_and_may_be_refused() -> None:
    made = drafts(Oddities(strangers=0.3, absent=0.3), absent="netsky9")
    many = [draft for _ in range(200) for draft in made.next(1)]
    assert {f"{LATE}@netsky1", f"{LATE}@netsky2", "agent0@netsky9"} < {draft["to"] for draft in many}
    assert all(made.is_odd(draft) == (draft["to"] not in TO) for draft in many)


def test_what_is_in_a_hurry_has_seconds_and_is_not_asked_for_again() -> None:
    made = drafts(Oddities(hasty=0.5))
    many = [draft for _ in range(100) for draft in made.next(1)]
    assert {made.lasts(draft) for draft in many} == {True, False}
    assert all(made.lasts(draft) or 0 < draft["expires_in"] < 60 for draft in many)


def test_a_file_is_named_by_its_hash_and_sent_more_than_once() -> None:
    made = drafts(Oddities(attached=0.5))
    many = [draft for _ in range(100) for draft in made.next(1) if "attachments" in draft]
    files = [made.file(draft) for draft in many]
    for draft, data in zip(many, files, strict=True):
        assert data is not None
        [named] = draft["attachments"]
        assert (named["size"], named["sha256"]) == (len(data), sha256(data).hexdigest())
    assert 1 < len(set(files)) < len(files)


def test_a_flood_is_one_call_for_one_actor() -> None:
    many = drafts(Oddities(floods=1.0)).next(1)
    assert len(many) == FLOOD
    assert len({draft["to"] for draft in many}) == 1


def test_what_lies_in_an_outbox_is_never_odd() -> None:
    """It may be refused there, and nobody but a reader of its folder would know."""
    made = drafts(Oddities(strangers=1.0, hasty=1.0, attached=1.0, absent=1.0), absent="netsky9")
    for draft in [made.plain() for _ in range(50)]:
        assert draft["to"] in TO
        assert draft.keys().isdisjoint({"attachments", "expires_in"})


@pytest.mark.parametrize("what", ["strangers", "hasty", "attached", "floods", "absent", "alone"])
def test_each_oddity_is_in_some_runs_and_not_in_all(what: str) -> None:
    drawn = [bool(getattr(draw_oddities(chance_of(seed, "odd")), what)) for seed in range(60)]
    assert 0 < sum(drawn) < 40
