from __future__ import annotations

import pytest
from netsky.envelope.kinds import KINDS, SENDABLE, kind_or_text, lane_of


@pytest.mark.parametrize("kind", ["reply", "report", "error", "cancel", "outcome", "control"])
def test_answers_travel_in_the_reply_lane(kind: str) -> None:
    assert lane_of(kind) == "reply"


@pytest.mark.parametrize("kind", [None, "text", "brief", "ticket", "question", "escalation", "cron", "loop", "unheard"])
def test_all_else_travels_in_the_work_lane(kind: str | None) -> None:
    assert lane_of(kind) == "work"


def test_an_absent_kind_means_text() -> None:
    assert kind_or_text(None) == "text"
    assert kind_or_text("brief") == "brief"


def test_actors_send_neither_outcomes_nor_control() -> None:
    assert set(KINDS) - SENDABLE == {"outcome", "control"}
