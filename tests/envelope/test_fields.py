from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from netsky.envelope.fields import (
    Attachment,
    Body,
    Envelope,
    Header,
    body_fault,
    body_invalid,
    has_wrapper_token,
    header_fault,
    header_invalid,
    is_attachment_name,
    is_id,
    is_token,
)
from netsky.envelope.limits import ATTACHMENT_BYTES_MAX, EXPIRES_MAX_NS, TEXT_BYTES_MAX, TIME_MAX

MakeHeader = Callable[..., Header]
MakeBody = Callable[..., Body]
NOON = 1_795_262_400_000_000_000
DIGEST = bytes(32)

BAD_HEADERS = [
    ("v", 0), ("v", 2), ("v", True), ("v", None), ("v", "1"), ("v", 1.0),
    ("id", ""), ("id", "a" * 65), ("id", "-rf"), ("id", "../x"), ("id", "a b"), ("id", "ä"), ("id", "a\n"),
    ("id", "a/b"),
    ("id", b"a"), ("id", None), ("id", 7),
    ("origin", b""), ("origin", bytes(31)), ("origin", bytes(33)), ("origin", "a" * 32), ("origin", None),
    ("destination", bytes(31)), ("destination", "a" * 32), ("destination", None),
    ("sender", ""), ("sender", "manager0"), ("sender", "agent0@"), ("sender", "agent0\n"), ("sender", None),
    ("to", "agent00"), ("to", "agent0@netsky"), ("to", b"agent0"), ("to", None),
    ("kind", ""), ("kind", "Text"), ("kind", "order"), ("kind", b"text"), ("kind", 1), ("kind", []), ("kind", False),
    ("in_reply_to", ""), ("in_reply_to", "a" * 65), ("in_reply_to", "a b"), ("in_reply_to", "ä"),
    ("in_reply_to", "\x7f"),
    ("in_reply_to", 1), ("thread", "\x00"), ("thread", b"t"), ("swarm", "\n"), ("swarm", 1.5), ("idempotency_key", ""),
    ("idempotency_key", "a" * 65), ("idempotency_key", ()), ("parent", ""), ("parent", "a\u200bb"), ("parent", 0),
    ("requires_ack", None), ("requires_ack", 1), ("requires_ack", "true"),
    ("ts", -1), ("ts", TIME_MAX + 1), ("ts", True), ("ts", 1.0), ("ts", None),
    ("clock", -1), ("clock", TIME_MAX + 1), ("clock", "1"),
    ("expires", -1), ("expires", TIME_MAX + 1), ("expires", None), ("expires", NOON), ("expires", NOON - 1),
    ("expires", NOON + EXPIRES_MAX_NS + 1),
]  # fmt: skip

FIELD_NAMES = {"sender": "from"}


def test_a_usual_header_and_body_are_valid(make_header: MakeHeader, make_body: MakeBody) -> None:
    envelope = Envelope(make_header(), make_body())
    assert header_invalid(envelope.header) is None
    assert body_invalid(envelope.body) is None


@pytest.mark.parametrize(("field", "value"), BAD_HEADERS)
def test_a_broken_rule_of_a_header_is_named_with_its_field(make_header: MakeHeader, field: str, value: object) -> None:
    header = make_header(**{field: value})
    fault = header_fault(header)
    assert fault is not None
    # A value of a type that no rule expects may be told without its field.
    assert fault.field in {FIELD_NAMES.get(field, field), "header"}
    assert header_invalid(header) == fault.sentence
    assert fault.code


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": None}, {"kind": "outcome"}, {"in_reply_to": None, "thread": None, "idempotency_key": None},
        {"sender": "agent0", "to": "owner"}, {"requires_ack": False}, {"ts": 0, "clock": 0, "expires": 1},
        {"ts": TIME_MAX - 1, "clock": TIME_MAX, "expires": TIME_MAX}, {"expires": NOON + EXPIRES_MAX_NS},
        {"id": "a" * 64, "parent": "!" * 64, "swarm": "~"},
    ],
)  # fmt: skip
def test_the_edges_of_the_rules_are_inside(make_header: MakeHeader, changes: dict[str, object]) -> None:
    assert header_invalid(make_header(**changes)) is None


@pytest.mark.parametrize("text", ["", "x" * TEXT_BYTES_MAX, "ä" * (TEXT_BYTES_MAX // 2), "\x00\x1b[2J", "<channels>"])
def test_text_up_to_the_cap_is_taken_as_it_is(make_body: MakeBody, text: str) -> None:
    assert body_invalid(make_body(text=text)) is None


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"text": "x" * (TEXT_BYTES_MAX + 1)}, "text", "text_too_large"),
        ({"text": "ä" * (TEXT_BYTES_MAX // 2 + 1)}, "text", "text_too_large"),
        ({"text": "\ud800"}, "text", "lone_surrogate"),
        ({"text": "</channel>"}, "text", "wrapper_token"),
        ({"text": b"bytes"}, "text", "type"),
        ({"text": None}, "text", "type"),
        ({"data": {}}, "data", "type"),
        ({"data": "{}"}, "data", "type"),
        ({"data": b""}, "data", "not_json"),
        ({"data": b"[]"}, "data", "not_object"),
        ({"data": b'{"a": 1}'}, "data", "not_canonical"),
        ({"attachments": []}, "attachments", "attachments_count"),
        ({"attachments": tuple(Attachment(str(n), 0, DIGEST) for n in range(17))}, "attachments", "attachments_count"),
        ({"attachments": (("a", 1, DIGEST),)}, "attachments", "type"),
        ({"attachments": (Attachment("a/b", 1, DIGEST),)}, "attachments", "attachment_name"),
        ({"attachments": (Attachment("a", -1, DIGEST),)}, "attachments", "attachment_size"),
        ({"attachments": (Attachment("a", True, DIGEST),)}, "attachments", "attachment_size"),
        ({"attachments": (Attachment("a", ATTACHMENT_BYTES_MAX + 1, DIGEST),)}, "attachments", "attachment_size"),
        ({"attachments": (Attachment("a", 1, DIGEST[:31]),)}, "attachments", "attachment_hash"),
        ({"attachments": (Attachment("a", 1, "0" * 32),)}, "attachments", "attachment_hash"),  # type: ignore[arg-type]
        ({"attachments": (Attachment("a", 1, DIGEST),) * 2}, "attachments", "attachment_name"),
    ],
)
def test_a_broken_rule_of_a_body_is_named(
    make_body: MakeBody, changes: dict[str, object], field: str, code: str
) -> None:
    body = make_body(**changes)
    fault = body_fault(body)
    assert fault is not None
    assert (fault.field, fault.code) == (field, code)
    assert body_invalid(body) == fault.sentence


def test_sixteen_attachments_of_any_allowed_size_are_taken(make_body: MakeBody) -> None:
    attachments = tuple(Attachment(f"{n}" * 8, ATTACHMENT_BYTES_MAX * (n % 2), DIGEST) for n in range(16))
    assert body_invalid(make_body(attachments=attachments)) is None


@pytest.mark.parametrize("name", ["a", ".gitignore", "ä b.txt", "-x", "…", "x" * 255, "日" * 85])
def test_names_that_a_person_would_give_are_taken(name: str) -> None:
    assert is_attachment_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "a\nb", "a\x00", "\x7f", "\x9b2J", "a\u202etxt.exe", "a\u200b", "\ufeffa", "x" * 256,
     "日" * 86, "\ud800", None, b"a"],
)  # fmt: skip
def test_names_that_lead_elsewhere_or_lie_are_refused(name: object) -> None:
    assert not is_attachment_name(name)


@pytest.mark.parametrize("value", [None, 1, b"a", "", "a b"])
def test_ids_and_tokens_are_strings_of_printable_ascii(value: object) -> None:
    assert not is_id(value)
    assert not is_token(value)


def test_a_token_may_hold_what_an_id_may_not() -> None:
    assert is_token("/a?b=<c>")
    assert not is_id("/a?b=<c>")


@pytest.mark.parametrize(
    "text",
    ["</channel>", "</CHANNEL>", "< / Channel >", "<\n/\tchannel\n>", "a</channel b>", "</channel", "<\u00a0/channel>",
     '<channel source="x">', "<CHANNEL SOURCE='x'>", "<channel\nsource = x", '<channel a="b" source="c">',
     '<channel a=">" source="c">', "<channel a='\">' source=x>", "<channel/source=x>", "<channel <channel source=x>",
     "<channel a=\"<channel '\"> source='>", "ok <channel> <channel source=1>", "< channel source=1>"],
)  # fmt: skip
def test_a_channel_tag_in_any_spelling_is_found(text: str) -> None:
    assert has_wrapper_token(text)


@pytest.mark.parametrize(
    "text",
    ["", "channel", "a < b", "<channel>", "<channel> and source=1", '<channel id="5"> source=x', "</channels>",
     "<channels source=1>", "</channel-id>", "source=1 <channel>", "<channel resource=1>", "< / chan nel>",
     "<channel name='x' > source = 3", "x > <channel a='b'> \" source="],
)  # fmt: skip
def test_text_about_channels_is_no_tag(text: str) -> None:
    assert not has_wrapper_token(text)


@pytest.mark.parametrize(
    "unit", ["<", "< ", "<channel ", "<channel '", "< /", "'<channel\"", "<channel source ", "</ "]
)
def test_no_text_takes_long_to_look_through(unit: str) -> None:
    text = unit * (TEXT_BYTES_MAX // len(unit))
    started = time.process_time()
    has_wrapper_token(text)
    has_wrapper_token(unit[:-1] + " " * TEXT_BYTES_MAX)
    assert time.process_time() - started < 0.5
