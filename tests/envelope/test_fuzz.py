"""A hundred thousand damaged inputs, the same ones each time: Invalid and nothing else, within a bound of memory."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import Batch, Statement, decode_batch, encode_batch, proof, seal, verify_batch
from netsky.envelope.fields import Body, Header, body_invalid, header_invalid
from netsky.envelope.file import FileEnvelope, Proof, read_file, to_file
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import BODY_BYTES_MAX, FILE_BYTES_MAX, HEADER_BYTES_MAX
from netsky.envelope.render import render
from netsky.envelope.wire import decode_body, decode_header, encode_body, encode_header

SEED = 20_261_121
CASES = 25_000  # of each of the four
MEMORY_MAX = 4 << 20

# What a decoder stumbles over: type bytes and claimed lengths of msgpack, and the joints of JSON.
BINARY_PIECES = [
    bytes((mark,)) for mark in (0, 1, 0x7F, 0x80, 0x8F, 0x90, 0x91, 0x92, 0x96, 0x9F, 0xA0, 0xBF, *range(0xC0, 0x100))
]
BINARY_PIECES += [
    b"\xc4\xff", b"\xc5\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xd9\xff", b"\xda\xff\xff", b"\xdb\xff\xff\xff\xff",
    b"\xdc\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xde\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc7\x00\x05",
    b"\xd6\xff\0\0\0\0",
    b"\x91" * 600, b"\x90" * 600, b"\xed\xa0\x80", b"\xcb\x7f\xf8" + bytes(6), b"\xcf" + b"\xff" * 8, b"</channel>",
]  # fmt: skip
TEXT_PIECES = [
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0",
    b"1.0", b"9" * 30,
    b"[" * 200, b'{"a":' * 200, b"[]," * 200, b'"\\ud800"', b'"\\u0000"', b"\x00", b"\x1b", b"\x80",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b'"text":"x",', b'"from":"agent1",', b'"data":{"a":1,"a":2},', b'"v":2,', b"</channel>", b"<channel source=",
    b"\xe2\x80\xae",
    b'"netsky":{},', b'"ts":"2026-11-21T12:00:00+99:99",', b"\xef\xbb\xbf", b"0x1", b"'",
]  # fmt: skip


def damaged(chance: random.Random, whole: list[bytes], pieces: list[bytes], limit: int) -> bytes:
    """One input: now a turned bit, now a cut, a piece put in or over, two inputs joined, or noise."""
    data = bytearray(chance.choice(whole))
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = chance.choice(pieces)
            case 3:
                piece = chance.choice(pieces)
                data[at : at + len(piece)] = piece
            case 4:
                del data[at : at + chance.randrange(1, 40)]
            case 5:
                other = chance.choice(whole)
                data[at:] = other[chance.randrange(len(other)) :]
            case _:
                data[at : at + 8] = chance.randbytes(chance.randrange(16))
    return bytes(data[:limit])


def header_cases(header: Header, body: Body) -> list[bytes]:
    bare = replace(header, kind=None, in_reply_to=None, thread=None, idempotency_key=None)
    return [encode_header(header), encode_header(bare)]


def body_cases(header: Header, body: Body) -> list[bytes]:
    return [
        encode_body(body),
        encode_body(Body("")),
        encode_body(Body("x" * 300, b"{}")),
        encode_body(replace(body, text="y")),
    ]


def batch_cases(header: Header, body: Body) -> list[bytes]:
    secret = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    statements = [
        Statement(encode_header(header), encode_body(body)),
        *(Statement(b"h%d" % n, b"b" * n) for n in range(8)),
    ]
    batch = seal(secret.sign, header.origin, "envelope", bytes(16), statements)
    return [
        encode_batch(batch),
        encode_batch(proof(batch, 3)),
        encode_batch(replace(batch, statements=batch.statements[:1])),
    ]


def file_cases(header: Header, body: Body) -> list[bytes]:
    whole = to_file(header, body, Proof(header.origin, header.id, bytes(32), 1, 2, 3))
    published = {"from": "agent3", "text": "hi", "ts": "2026-11-21T12:00:00Z"}
    return [
        whole,
        json.dumps(published).encode(),
        json.dumps({**published, "data": {"a": [1, 2.5]}}, indent=1).encode(),
    ]


def check_header(data: bytes) -> None:
    header = decode_header(data)
    assert header_invalid(header) is None
    assert encode_header(header) == data


def check_body(data: bytes) -> None:
    body = decode_body(data)
    assert body_invalid(body) is None
    assert encode_body(body) == data


def check_batch(data: bytes) -> None:
    batch = decode_batch(data)
    assert isinstance(batch, Batch)
    assert encode_batch(batch) == data


def check_file(data: bytes) -> None:
    envelope = read_file(data)
    assert isinstance(envelope, FileEnvelope)
    assert render(envelope, "none").endswith("[end of envelope]\n")


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("cases", "check", "pieces", "limit"),
    [
        (header_cases, check_header, BINARY_PIECES, HEADER_BYTES_MAX + 8),
        (body_cases, check_body, BINARY_PIECES, BODY_BYTES_MAX + 8),
        (batch_cases, check_batch, BINARY_PIECES, BODY_BYTES_MAX),
        (file_cases, check_file, TEXT_PIECES, FILE_BYTES_MAX + 8),
    ],
    ids=["header", "body", "batch", "file"],
)
def test_damaged_bytes_raise_invalid_and_nothing_else(
    bounded_memory: None,
    make_header: Callable[..., Header],
    make_body: Callable[..., Body],
    cases: Callable[[Header, Body], list[bytes]],
    check: Callable[[bytes], None],
    pieces: list[bytes],
    limit: int,
) -> None:
    chance = random.Random(SEED)
    whole = cases(make_header(), make_body())
    for good in whole:
        check(good)
    base = tracemalloc.get_traced_memory()[0]
    refused = 0
    for _ in range(CASES):
        data = damaged(chance, whole, pieces, limit)
        try:
            check(data)
        except Invalid as invalid:
            refused += bool(invalid.sentence and invalid.code and invalid.field)
    assert tracemalloc.get_traced_memory()[1] - base < MEMORY_MAX
    # Damage is found, and not everything that was touched is damage: otherwise nothing deep was reached.
    assert CASES * 0.5 < refused < CASES


def test_no_damaged_batch_verifies_unless_it_is_another_form_of_the_same(
    make_header: Callable[..., Header], make_body: Callable[..., Body]
) -> None:
    chance = random.Random(SEED)
    whole = batch_cases(make_header(), make_body())
    verified = 0
    for _ in range(2_000):
        data = damaged(chance, whole, BINARY_PIECES, BODY_BYTES_MAX)
        try:
            batch = decode_batch(data)
        except Invalid:
            continue
        if verify_batch(batch) is None:
            verified += 1
            assert data in whole
    assert verified < 100


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'"",', b"0,", b'{"a":0},', b"[0],", b"1.5,", b'"\\u0041",'])
def test_the_densest_files_stay_within_the_bound(bounded_memory: None, unit: bytes) -> None:
    start, end = b'{"from":"agent3","text":"","ts":"2026-11-21T12:00:00Z","x":[', b"0]}"
    data = start + unit * ((FILE_BYTES_MAX - len(start) - len(end)) // len(unit)) + end
    assert read_file(data).text == ""
    assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX
