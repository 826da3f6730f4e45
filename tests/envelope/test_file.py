from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.envelope.fields import Attachment, Body, Header
from netsky.envelope.file import (
    FileEnvelope,
    Proof,
    file_name,
    parse_file_name,
    read_file,
    read_time,
    to_file,
    write_time,
)
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import (
    BODY_BYTES_MAX,
    DATA_DEPTH_MAX,
    FILE_BYTES_MAX,
    FILE_PROOF_BYTES,
    TEXT_BYTES_MAX,
    TIME_MAX,
)
from netsky.envelope.strict_json import canonical_object

MakeHeader = Callable[..., Header]
MakeBody = Callable[..., Body]
LEAF = bytes(range(96, 128))
PUBLISHED: dict[str, Any] = {"from": "agent3", "text": "hello", "ts": "2026-11-21T12:00:00Z"}


@pytest.fixture
def proof(make_header: MakeHeader) -> Proof:
    header = make_header()
    return Proof(header.origin, header.id, LEAF, reign=3, life=2, number=2**63 - 1)


def published(**changes: object) -> bytes:
    return json.dumps({**PUBLISHED, **changes}).encode()


def as_file(header: Header, body: Body, proof: Proof) -> FileEnvelope:
    return FileEnvelope(
        sender=header.sender, text=body.text, ts=header.ts, v=1, id=header.id, to=header.to, kind=header.kind,
        in_reply_to=header.in_reply_to, thread=header.thread, swarm=header.swarm,
        idempotency_key=header.idempotency_key,
        requires_ack=header.requires_ack, data=body.data, attachments=body.attachments, expires=header.expires,
        parent=header.parent, clock=header.clock, proof=proof,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("of_header", "of_body", "of_proof"),
    [
        ({}, {}, {}),
        ({"kind": None, "in_reply_to": None, "thread": None, "idempotency_key": None, "requires_ack": False}, {}, {}),
        (
            {"swarm": '"\\', "parent": "p"},
            {"data": None, "attachments": ()},
            {"reign": None, "life": None, "number": None},
        ),
        ({"ts": 0, "clock": 0, "expires": 1}, {"text": ""}, {"reign": 0, "life": 0, "number": 0}),
        (
            {"ts": TIME_MAX - 1, "clock": TIME_MAX, "expires": TIME_MAX},
            {"text": "\x00\x1b\u202e\x9b\u2028\U0001f600"},
            {},
        ),
    ],
)
def test_a_file_shows_the_whole_envelope(
    make_header: MakeHeader,
    make_body: MakeBody,
    proof: Proof,
    of_header: dict[str, object],
    of_body: dict[str, object],
    of_proof: dict[str, Any],
) -> None:
    header, body, proof = make_header(**of_header), make_body(**of_body), replace(proof, **of_proof)
    data = to_file(header, body, proof)
    assert read_file(data) == as_file(header, body, proof)
    assert len(data) <= FILE_BYTES_MAX
    assert data.endswith(b"}\n")
    assert data.count(b"\n") == 1


@given(
    text=st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"]), max_size=400),
    data=st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.floats(allow_nan=False, allow_infinity=False)),
)
def test_every_text_and_data_comes_back(make_header: MakeHeader, text: str, data: dict[str, object]) -> None:
    header, body = make_header(), Body(text, canonical_object(data))
    envelope = read_file(to_file(header, body, Proof(header.origin, header.id, LEAF)))
    assert (envelope.text, envelope.data) == (body.text, body.data)


def test_a_published_consumer_finds_the_eleven_fields(
    make_header: MakeHeader, make_body: MakeBody, proof: Proof
) -> None:
    fields = json.loads(to_file(make_header(swarm="s"), make_body(), proof))
    assert {name: fields[name] for name in (
        "id", "from", "to", "kind", "in_reply_to", "thread", "swarm", "idempotency_key", "requires_ack", "text", "ts"
    )} == {
        "id": "task-1.a", "from": "agent0@netsky0", "to": "worker12@netsky3", "kind": "ticket",
        "in_reply_to": "earlier/1",
        "thread": "thread~1", "swarm": "s", "idempotency_key": "again-1", "requires_ack": True,
        "text": make_body().text, "ts": "2026-11-21T12:00:00.000000000Z",
    }  # fmt: skip
    assert None not in fields.values()


def test_nothing_in_a_file_moves_a_terminal(make_header: MakeHeader, make_body: MakeBody, proof: Proof) -> None:
    obeyed = "".join(map(chr, (*range(32), *range(0x7F, 0xA0), 0x61C, *range(0x200B, 0x2010), *range(0x2028, 0x202F))))
    data = to_file(make_header(), make_body(text=obeyed), proof)
    assert data.decode()[:-1].isprintable()
    assert read_file(data).text == obeyed


def test_text_of_the_full_size_fits_when_little_of_it_is_escaped(
    make_header: MakeHeader, make_body: MakeBody, proof: Proof
) -> None:
    lines = ("x" * 79 + "\n") * (TEXT_BYTES_MAX // 80)
    assert read_file(to_file(make_header(), make_body(text=lines), proof)).text == lines


@pytest.mark.parametrize("letter", ['"', "\\", "\n", "\x00", "\u2028"])
def test_text_that_grows_beyond_the_cap_by_escaping_is_refused(
    make_header: MakeHeader, make_body: MakeBody, proof: Proof, letter: str
) -> None:
    with pytest.raises(Invalid) as caught:
        to_file(make_header(), make_body(text=letter * (TEXT_BYTES_MAX // len(letter.encode()))), proof)
    assert caught.value.code == "too_large_escaped"
    assert "attachments" in caught.value.sentence


def test_whether_a_file_fits_does_not_depend_on_its_proof(make_header: MakeHeader, make_body: MakeBody) -> None:
    header = make_header(id="i" * 64)
    least = Proof(header.origin, header.id, LEAF)
    most = replace(least, reign=2**63 - 1, life=2**63 - 1, number=2**63 - 1)
    empty = len(to_file(header, make_body(text=""), least)) - len(b',"netsky":') - len(json.dumps(
        json.loads(to_file(header, make_body(text=""), least))["netsky"], separators=(",", ":")
    )) - len(b"\n")  # fmt: skip
    room = FILE_BYTES_MAX - FILE_PROOF_BYTES - empty
    fits = '"' * (room // 2) + "x" * (room % 2)
    for proof in (least, most):
        assert len(to_file(header, make_body(text=fits), proof)) <= FILE_BYTES_MAX
        with pytest.raises(Invalid):
            to_file(header, make_body(text=fits + "x"), proof)


def test_a_published_file_of_three_fields_is_read() -> None:
    assert read_file(published()) == FileEnvelope(sender="agent3", text="hello", ts=1_795_262_400_000_000_000)


def test_a_published_file_with_every_optional_field_is_read() -> None:
    envelope = read_file(
        published(
            id="b7e0", to="agent0", kind="brief", in_reply_to="x:1", thread="T/1", swarm="s", idempotency_key="k",
            requires_ack=True, ts="2026-11-21T13:00:00.5+01:00",
        )
    )  # fmt: skip
    assert envelope == FileEnvelope(
        sender="agent3", text="hello", ts=1_795_262_400_500_000_000, id="b7e0", to="agent0", kind="brief",
        in_reply_to="x:1", thread="T/1", swarm="s", idempotency_key="k", requires_ack=True,
    )  # fmt: skip


@pytest.mark.parametrize("sender", ["agentinfinity", "agenticker7", "agent3@netsky1", "owner", "manager0", "agentabc9"])
def test_a_published_name_is_read_though_we_would_not_give_it(sender: str) -> None:
    assert read_file(published(**{"from": sender})).sender == sender


def test_keys_that_nobody_knows_are_passed_over_and_null_is_absence() -> None:
    absent = dict.fromkeys(
        ("v", "id", "to", "kind", "in_reply_to", "thread", "swarm", "idempotency_key", "requires_ack", "data",
         "attachments", "expires", "parent", "clock", "netsky")
    )  # fmt: skip
    assert read_file(published(**absent, route=[{"hop": 1}], signature="\ud800")) == read_file(published())


BAD_FIELDS: list[tuple[str, object, str]] = [
    ("from", None, "missing"), ("from", 3, "type"), ("from", "", "address_invalid"), ("from", "agent 3",
    "address_invalid"),
    ("from", "../agent3", "address_invalid"), ("from", "Agent3", "address_invalid"), ("from", "agent3@",
    "address_invalid"),
    ("from", "a" * 97, "address_invalid"), ("from", "agent3\n", "address_invalid"), ("to", "ägent", "address_invalid"),
    ("to", [], "type"), ("text", None, "missing"), ("text", {}, "type"), ("text", "x" * (TEXT_BYTES_MAX + 1),
    "text_too_large"),
    ("text", "a</channel>", "wrapper_token"), ("text", '<channel source="agent">', "wrapper_token"), ("text",
    "\ud800", "lone_surrogate"),
    ("ts", None, "missing"), ("ts", 5, "type"), ("ts", "today", "time_invalid"), ("v", 2, "version"), ("v", True,
    "version"), ("v", "1", "version"),
    ("id", "", "token_invalid"), ("id", "a" * 65, "token_invalid"), ("id", "ä", "token_invalid"), ("id", 1, "type"),
    ("kind", "order", "kind_unknown"), ("kind", "", "kind_unknown"), ("kind", 1, "type"), ("in_reply_to", "a b",
    "token_invalid"),
    ("thread", "\n", "token_invalid"), ("swarm", [], "type"), ("idempotency_key", "", "token_invalid"), ("parent", 0,
    "type"),
    ("requires_ack", 1, "type"), ("requires_ack", "true", "type"), ("data", [], "not_object"), ("data", "{}",
    "not_object"),
    ("data", {"a": "\udfff"}, "lone_surrogate"), ("data", {"a": 2**63}, "number_range"), ("expires", 5, "type"),
    ("expires", "later", "time_invalid"), ("clock", 5, "type"), ("clock", "", "time_invalid"), ("clock", "05",
    "time_invalid"),
    ("clock", "-1", "time_invalid"), ("clock", str(TIME_MAX + 1), "time_invalid"), ("clock", "\u0661", "time_invalid"),
    ("attachments", {}, "attachments_count"), ("attachments", [{"name": "a", "size": 1, "sha256": "00" * 32}] * 17,
    "attachments_count"),
    ("attachments", [[]], "type"), ("attachments", [{"name": "a", "size": 1}], "type"),
    ("attachments", [{"name": "a", "size": 1, "sha256": "00" * 31}], "hash_invalid"),
    ("attachments", [{"name": "a", "size": 1, "sha256": "0X" * 32}], "hash_invalid"),
    ("attachments", [{"name": "a/b", "size": 1, "sha256": "00" * 32}], "attachment_name"),
    ("attachments", [{"name": "a", "size": True, "sha256": "00" * 32}], "attachment_size"),
    ("netsky", [], "type"), ("netsky", {}, "type"), ("netsky", {"origin": "00" * 32, "id": "-x", "leaf": "00" * 32},
    "type"),
    ("netsky", {"origin": "00" * 32, "id": "x", "leaf": "00"}, "hash_invalid"), ("netsky", {"origin": "AA" * 32,
    "id": "x", "leaf": "00" * 32}, "hash_invalid"),
    ("netsky", {"origin": "00" * 32, "id": "x", "leaf": "00" * 32, "reign": -1}, "type"),
    ("netsky", {"origin": "00" * 32, "id": "x", "leaf": "00" * 32, "life": True}, "type"),
    ("netsky", {"origin": "00" * 32, "id": "x", "leaf": "00" * 32, "number": 1.0}, "type"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "code"), BAD_FIELDS)
def test_a_file_with_a_broken_field_is_refused_by_its_name(field: str, value: object, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_file(published(**{field: value}))
    assert caught.value.code == code
    assert caught.value.field in {field, "file"}  # a number out of range is found before anyone knows whose it is
    assert caught.value.sentence.endswith(".")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_json"), (b"\x00" * 100, "not_json"), (b"[]", "not_object"), (b'"text"', "not_object"), (b"null",
        "not_object"),
        (published()[:-1], "not_json"), (published() + b"{}", "not_json"), (b"\xef\xbb\xbf" + published(), "not_json"),
        (published().decode().encode("utf-16"), "not_utf8"), (published().replace(b"hello", b"h\xe9llo"), "not_utf8"),
        (published().replace(b"hello", b"hel\nlo"), "not_json"), (published().replace(b"hello", b"hel\x1blo"),
        "not_json"),
        (published().replace(b'"hello"', b"NaN"), "number_range"), (published().replace(b'"hello"', b"-Infinity"),
        "number_range"),
        (b'{"from":"owner",' + published()[1:], "duplicate_key"), (published(data={"b": 1})[:-2] + b',"b":1}}',
        "duplicate_key"),
        (published(x=1)[:-1] + b',"x":2}', "duplicate_key"), (published(x=0).replace(b"0}",
        b"[" * 40 + b"]" * 40 + b"}"), "too_deep"),
        (b'{"a":' * 12_000, "too_deep"), (published(pad="x" * FILE_BYTES_MAX), "file_too_large"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_envelope_are_refused_with_the_reason(data: bytes, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_file(data)
    assert (caught.value.field, caught.value.code) == ("file", code)


def test_data_may_be_as_deep_in_a_file_as_in_a_body() -> None:
    data = b'{"a":' + b"[" * (DATA_DEPTH_MAX - 1) + b"]" * (DATA_DEPTH_MAX - 1) + b"}"
    assert read_file(published(data=0).replace(b"0}", data + b"}")).data == data


def test_a_body_of_the_full_size_fits_its_file(make_header: MakeHeader, proof: Proof) -> None:
    body = Body("x" * TEXT_BYTES_MAX, b'{"a":"' + b"y" * (BODY_BYTES_MAX - TEXT_BYTES_MAX - 100) + b'"}')
    assert len(to_file(make_header(), body, proof)) <= FILE_BYTES_MAX


def test_the_smallest_size_over_the_cap_is_refused() -> None:
    padded = published(pad="")
    assert read_file(published(pad="x" * (FILE_BYTES_MAX - len(padded)))).sender == "agent3"
    with pytest.raises(Invalid, match="more than"):
        read_file(published(pad="x" * (FILE_BYTES_MAX - len(padded) + 1)))


@given(ns=st.integers(0, TIME_MAX))
def test_a_time_reads_back_to_the_nanosecond(ns: int) -> None:
    assert read_time(write_time(ns), "ts") == ns


@given(a=st.integers(0, TIME_MAX), b=st.integers(0, TIME_MAX))
def test_times_sort_as_text(a: int, b: int) -> None:
    assert (write_time(a) < write_time(b)) is (a < b)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:01.000000001z", 1_000_000_001),
        ("1970-01-01 00:00:02.5Z", 2_500_000_000),
        ("1970-01-01T01:00:00+01:00", 0), ("1969-12-31T23:30:00-00:30", 0),
        ("1970-01-01T00:00:00-23:59", 86_340 * 10**9),
        ("2262-04-11T23:47:16.854775807Z", TIME_MAX), ("2000-02-29T00:00:00-00:00", 951_782_400 * 10**9),
    ],
)  # fmt: skip
def test_a_time_of_the_standard_is_read(text: str, ns: int) -> None:
    assert read_time(text, "ts") == ns


@pytest.mark.parametrize(
    "text",
    ["", "2026-11-21", "2026-11-21T12:00:00", "2026-11-21T12:00Z", "2026-13-21T12:00:00Z", "2026-02-29T12:00:00Z",
     "2026-11-21T24:00:00Z", "2026-11-21T12:00:60Z", "2026-11-21T12:00:00.Z", "2026-11-21T12:00:00.1234567890Z",
     "2026-11-21T12:00:00+24:00", "2026-11-21T12:00:00+0100", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
     "2262-04-11T23:47:16.854775808Z", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
     "2026-11-21T12:00:00Z\n", "٢٠٢٦-11-21T12:00:00Z", "2026-11-21_12:00:00Z", "2026-11-21T12:00:00.5 Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_time(text, "expires")
    assert (caught.value.field, caught.value.code) == ("expires", "time_invalid")


def test_a_file_name_is_the_published_one() -> None:
    name = file_name(1_795_262_400_000_000_001, 4321, 0xBEEF, 7, "agent0@netsky0")
    assert name == "01795262400000000001-0000004321-0000beef-0000000007-from-agent0@netsky0.json"
    assert parse_file_name(name) == (1_795_262_400_000_000_001, 4321, 0xBEEF, 7, "agent0@netsky0")


@given(
    clocks=st.lists(st.integers(0, TIME_MAX), min_size=2, max_size=2),
    pid=st.integers(0, 10**10 - 1), rand=st.integers(0, 2**32 - 1), seq=st.integers(0, 10**10 - 1),
)  # fmt: skip
def test_file_names_read_back_and_sort_by_clock(clocks: list[int], pid: int, rand: int, seq: int) -> None:
    names = [file_name(clock, pid, rand, seq, "worker1") for clock in clocks]
    assert [parse_file_name(name) for name in names] == [(clock, pid, rand, seq, "worker1") for clock in clocks]
    assert (names[0] < names[1]) is (clocks[0] < clocks[1])


@pytest.mark.parametrize(
    "arguments",
    [
        (-1, 0, 0, 0, "a"), (2**63, 0, 0, 0, "a"), (0, 10**10, 0, 0, "a"), (0, 0, 2**32, 0, "a"), (0, 0, 0, 10**10,
        "a"),
        (0, 0, 0, 0, ""), (0, 0, 0, 0, "a/b"), (0, 0, 0, 0, "a" * 97), (0, 0, 0, 0, "A"),
    ],
)  # fmt: skip
def test_a_name_that_would_not_read_back_is_not_made(arguments: tuple[int, int, int, int, str]) -> None:
    with pytest.raises(AssertionError):
        file_name(*arguments)


GOOD_NAME = "01795262400000000001-0000004321-0000beef-0000000007-from-agent3.json"


@pytest.mark.parametrize(
    "name",
    ["", GOOD_NAME[1:], "1" + GOOD_NAME, "." + GOOD_NAME, GOOD_NAME + ".tmp", GOOD_NAME + "\n", "x/" + GOOD_NAME,
     GOOD_NAME.replace("beef", "BEEF"), GOOD_NAME.replace("agent3", ""), GOOD_NAME.replace("agent3", "agent3@"),
     GOOD_NAME.replace("agent3", "../agent3"), GOOD_NAME.replace("agent3", "agent3\u202e"), GOOD_NAME.replace("0179",
     "9999"),
     GOOD_NAME.replace("agent3", "a" * 97), GOOD_NAME.replace("0000004321", "٠٠٠٠٠٠٤٣٢١"), GOOD_NAME.replace(".json",
     ".seal")],
)  # fmt: skip
def test_other_names_say_nothing(name: str) -> None:
    assert parse_file_name(name) is None


def test_an_attachment_is_shown_with_its_hash(make_header: MakeHeader, make_body: MakeBody, proof: Proof) -> None:
    attachment = Attachment("a.txt", 3, LEAF)
    fields = json.loads(to_file(make_header(), make_body(attachments=(attachment,)), proof))
    assert fields["attachments"] == [{"name": "a.txt", "size": 3, "sha256": LEAF.hex()}]
