from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from netsky.envelope.fields import Attachment, Body, Header
from netsky.envelope.limits import DAY_NS, EXPIRES_MAX_NS, SKEW_NS
from netsky.mesh.roster import Member, Roster
from netsky.relay.acks import GIVEN_UP_TEXT, TEXT, ack_id, given_up_id, is_ack, is_daemons_word
from netsky.relay.holds import Queues
from netsky.relay.ingress import CODES, Border, refusal_code
from netsky.relay.limits import QUEUE_ENVELOPES_MAX, RESERVE_ENVELOPES
from netsky.relay.routes import RouteLine, parse_route

NOW = 1_800_000_000 * 10**9
ROOT, ONE, TWO, GONE = (bytes([at + 1]) * 32 for at in range(4))
ROSTER = Roster(
    b"m" * 16, ROOT, 1, 3, 1, NOW,
    (
        Member(ROOT, "netsky0", "root"), Member(ONE, "netsky1", "one"), Member(TWO, "netsky2", "two"),
        Member(GONE, "netsky3", "gone", revoked=NOW - 1),
    ),
)  # fmt: skip


def border(*lines: str) -> Border:
    routes = [parse_route("x", text) for text in lines]
    assert all(isinstance(line, RouteLine) for line in routes)
    return Border(ROSTER, routes, Queues(), NOW)  # type: ignore[arg-type]


def header(**changed: Any) -> Header:
    plain = Header(
        v=1, id="a", origin=ONE, sender="agent4@netsky1", destination=TWO, to="agent2@netsky2", kind=None,
        in_reply_to=None, thread=None, swarm=None, idempotency_key=None, requires_ack=False, ts=NOW, clock=NOW,
        expires=NOW + DAY_NS, parent=None,
    )  # fmt: skip
    return replace(plain, **changed)


OPEN = "agent4@netsky1 -> *@netsky2: text"
REFUSED: dict[str, dict[str, Any]] = {
    "expired": {"expires": NOW - 1},
    "expires_range": {"expires": NOW + EXPIRES_MAX_NS + SKEW_NS + 1},
    "dest_unknown": {"destination": b"?" * 32},
    "dest_revoked": {"destination": GONE, "to": "agent2@netsky3"},
    "address": {"to": "agent2@netsky3"},
    "authority": {"sender": "agent5@netsky1"},
}


@pytest.mark.parametrize(("code", "changed"), REFUSED.items(), ids=REFUSED)
def test_what_may_not_pass_has_its_reason(code: str, changed: dict[str, Any]) -> None:
    assert refusal_code(header(**changed), border(OPEN)) == code


def test_between_siblings_nothing_passes_without_a_line_of_the_owner() -> None:
    assert refusal_code(header(), border()) == "authority"
    assert refusal_code(header(), border(OPEN)) is None
    assert refusal_code(header(kind="ticket"), border(OPEN)) == "authority"


def test_a_full_queue_refuses_those_who_went_on_in_spite_of_the_hold() -> None:
    full = border(OPEN)
    full.queues.change(TWO, ONE, QUEUE_ENVELOPES_MAX // 4 + RESERVE_ENVELOPES // 4, 0)
    assert refusal_code(header(), full) == "dest_full"


def test_the_checks_have_one_order_and_every_code_has_a_case() -> None:
    assert set(CODES) == {*REFUSED, "dest_full"}
    everything_wrong = header(expires=NOW - 1, destination=b"?" * 32, sender="agent5@netsky1")
    assert refusal_code(everything_wrong, border()) == "expired"
    assert refusal_code(replace(everything_wrong, expires=NOW + 1), border()) == "dest_unknown"


@pytest.mark.parametrize(
    ("changed", "lines", "code"),
    [
        ({}, (), "authority"),
        ({}, ("agent2@netsky2 -> agent4@netsky1: text",), None),
        ({}, ("agent2@netsky2 -> agent5@netsky1: text",), "authority"),
        ({}, ("agent4@netsky1 -> agent2@netsky2: report",), "authority"),
        ({"destination": ROOT, "to": "agent0@netsky0"}, (), None),
        ({"destination": ROOT, "to": "owner@netsky0"}, (), None),
        ({"expires": NOW - 1}, ("agent2@netsky2 -> agent4@netsky1: text",), "expired"),
    ],
)
def test_an_acknowledgement_passes_where_an_envelope_could_have_come_the_other_way(
    changed: dict[str, Any], lines: tuple[str, ...], code: str | None
) -> None:
    assert refusal_code(header(kind="reply", **changed), border(*lines), is_ack=True) == code


GOOD = header(kind="reply", in_reply_to="q", id=ack_id(TWO, "q"))
BODY = Body(TEXT, b'{"ack":true,"taken_at":17}')


@pytest.mark.parametrize(
    ("changed", "body"),
    [
        ({"kind": "report"}, BODY), ({"in_reply_to": None}, BODY), ({"in_reply_to": "p"}, BODY),
        ({"destination": ONE}, BODY), ({"requires_ack": True}, BODY), ({"swarm": "words"}, BODY),
        ({"idempotency_key": "words"}, BODY), ({"parent": "words"}, BODY), ({}, replace(BODY, text="Taken")),
        ({}, replace(BODY, data=None)), ({}, replace(BODY, data=b'{"ack":true,"taken_at":17,"x":1}')),
        ({}, replace(BODY, data=b'{"ack":true,"taken_at":"17"}')),
        ({}, replace(BODY, data=b'{"ack":true,"taken_at":' + b"1" * 20 + b"}")),
        ({}, replace(BODY, attachments=(Attachment("a", 1, bytes(32)),))),
    ],
)  # fmt: skip
def test_an_acknowledgement_has_one_form(changed: dict[str, Any], body: Body) -> None:
    assert is_ack(GOOD, BODY)
    assert is_ack(replace(GOOD, thread="of the question"), BODY)
    assert not is_ack(replace(GOOD, **changed), body)


FAILED = header(kind="error", in_reply_to="q", id=given_up_id(TWO, "q"))
WHY = Body(GIVEN_UP_TEXT, b'{"error":{"code":"timed_out"}}')


@pytest.mark.parametrize(
    ("changed", "body"),
    [
        ({"kind": "reply"}, WHY), ({"in_reply_to": "p"}, WHY), ({"destination": ONE}, WHY), ({"parent": "words"}, WHY),
        ({}, replace(WHY, text="My own words")), ({}, replace(WHY, data=None)),
        ({}, replace(WHY, data=b'{"error":{"code":"words_of_mine"}}')),
        ({}, replace(WHY, data=b'{"error":{"code":"timed_out","message":"words"}}')),
        ({}, replace(WHY, attachments=(Attachment("a", 1, bytes(32)),))),
    ],
)  # fmt: skip
def test_that_an_actor_gave_up_has_one_form(changed: dict[str, Any], body: Body) -> None:
    assert is_daemons_word(FAILED, WHY)
    assert not is_ack(FAILED, WHY)
    assert not is_daemons_word(replace(FAILED, **changed), body)
