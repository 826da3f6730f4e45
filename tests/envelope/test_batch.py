from __future__ import annotations

import tracemalloc
from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from netsky.envelope.batch import (
    TYPES,
    VERSION,
    ZERO_MESH,
    Batch,
    BatchCache,
    Statement,
    decode_batch,
    encode_batch,
    leaf,
    leaves,
    proof,
    seal,
    signing_bytes,
    verify_batch,
)
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import BATCH_BYTES_MAX, BATCH_MAX, BODY_BYTES_MAX, HEADER_BYTES_MAX

MESH = bytes(range(16))
STATEMENTS = tuple(Statement(b"header %d" % n, b"body %d" % n) for n in range(5))
SEAL_FAULT = "The signature does not belong to this key and these statements."
SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = SECRET.public_key().public_bytes_raw()


@pytest.fixture
def sealed() -> Batch:
    return seal(SECRET.sign, KEY, "envelope", MESH, STATEMENTS)


@given(
    type_=st.sampled_from(TYPES),
    mesh=st.binary(min_size=16, max_size=16),
    statements=st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=600)), min_size=1, max_size=BATCH_MAX),
    taken_out=st.sets(st.integers(0, BATCH_MAX - 1)),
)
def test_a_batch_reads_back_as_it_was_sealed_whatever_is_taken_out(
    type_: str, mesh: bytes, statements: list[tuple[bytes, bytes]], taken_out: set[int]
) -> None:
    whole = seal(SECRET.sign, KEY, type_, mesh, [Statement(*statement) for statement in statements])
    hashes = leaves(whole)
    assert hashes == [leaf(type_, mesh, header, body) for header, body in statements]
    left = tuple(hashes[n] if n in taken_out else statement for n, statement in enumerate(whole.statements))
    batch = replace(whole, statements=left)
    assert leaves(batch) == hashes
    assert verify_batch(batch) is None
    data = encode_batch(batch)
    assert decode_batch(data) == batch
    assert encode_batch(decode_batch(data)) == data


def test_a_full_batch_of_the_largest_statements_fits() -> None:
    largest = Statement(bytes(HEADER_BYTES_MAX), bytes(BODY_BYTES_MAX))
    batch = seal(SECRET.sign, KEY, "envelope", ZERO_MESH, [largest] * BATCH_MAX)
    data = encode_batch(batch)
    assert len(data) <= BATCH_BYTES_MAX
    assert decode_batch(data) == batch
    assert verify_batch(decode_batch(data)) is None


@pytest.mark.parametrize("count", [1, 15, 16, BATCH_MAX])
def test_every_count_of_statements_has_its_shortest_form(count: int) -> None:
    batch = seal(SECRET.sign, KEY, "envelope", MESH, STATEMENTS[:1] * count)
    data = encode_batch(batch)
    assert decode_batch(data) == batch
    assert (bytes((0x90 + count,)) if count < 16 else bytes((0xDC, 0, count))) + b"\x92\xc4\x08header 0" in data


@pytest.mark.parametrize("position", range(len(STATEMENTS)))
def test_a_proof_shows_one_statement_and_hashes_of_the_others(sealed: Batch, position: int) -> None:
    single = proof(sealed, position)
    assert verify_batch(single) is None
    assert [n for n, piece in enumerate(single.statements) if isinstance(piece, Statement)] == [position]
    assert single.statements[position] == STATEMENTS[position]
    assert leaves(single) == leaves(sealed)
    assert proof(single, position) == single


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "route"}, {"mesh": bytes(16)}, {"key": bytes(range(1, 33))}, {"signature": bytes(64)},
        {"statements": STATEMENTS[:-1]}, {"statements": (*STATEMENTS, STATEMENTS[0])}, {"statements": STATEMENTS[::-1]},
        {"statements": (Statement(b"header 0b", b"ody 0"), *STATEMENTS[1:])},
        {"statements": (Statement(b"header 0", b"body 1"), *STATEMENTS[1:])},
        {"statements": (bytes(32), *STATEMENTS[1:])},
    ],
)  # fmt: skip
def test_the_seal_covers_every_field(sealed: Batch, changes: dict[str, object]) -> None:
    assert verify_batch(replace(sealed, **changes)) == SEAL_FAULT  # type: ignore[arg-type]


def test_no_bit_of_a_batch_can_be_turned(sealed: Batch) -> None:
    data = encode_batch(sealed)
    for bit in range(len(data) * 8):
        turned = bytearray(data)
        turned[bit // 8] ^= 1 << bit % 8
        try:
            batch = decode_batch(bytes(turned))
        except Invalid:
            continue
        assert verify_batch(batch) is not None
        assert encode_batch(batch) == turned


def test_a_batch_cut_short_or_grown_is_refused(sealed: Batch) -> None:
    data = encode_batch(proof(sealed, 2))
    for end in range(len(data)):
        with pytest.raises(Invalid):
            decode_batch(data[:end])
    with pytest.raises(Invalid, match="after its end"):
        decode_batch(data + b"\x00")


def test_what_is_signed_is_the_layout_of_the_readme() -> None:
    hashes = [bytes([n]) * 32 for n in range(3)]
    assert signing_bytes(1, "route", MESH, hashes) == (
        b"netsky seal over a batch of statements\n\x01\x00\x00\x00\x05route\x00\x00\x00\x10" + MESH
        + b"\x00\x00\x00\x03" + sha256(b"".join(hashes)).digest()
    )  # fmt: skip


def test_a_leaf_is_the_layout_of_the_readme() -> None:
    assert leaf("link", MESH, b"head", b"body") == sha256(
        b"\x00\x01\x00\x00\x00\x04link\x00\x00\x00\x10" + MESH + b"\x00\x00\x00\x04head" + sha256(b"body").digest()
    ).digest()  # fmt: skip


def test_the_same_bytes_of_another_type_or_mesh_are_another_leaf() -> None:
    seen = {leaf(type_, mesh, b"h", b"b") for type_ in TYPES for mesh in (MESH, ZERO_MESH)}
    assert len(seen) == 2 * len(TYPES)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"version": 2}, "version"), ({"version": 0}, "version"), ({"type": "outcome"}, "type"), ({"type": ""}, "type"),
        ({"mesh": bytes(15)}, "16 bytes"), ({"key": bytes(31)}, "32 bytes"), ({"signature": bytes(63)}, "64 bytes"),
        ({"statements": ()}, "1 to 64"), ({"statements": (bytes(32),) * 65}, "1 to 64"),
        ({"statements": (bytes(31),)}, "leaf"), ({"statements": (bytes(16), bytes(48))}, "leaf"),
        ({"statements": (Statement(bytes(HEADER_BYTES_MAX + 1), b""),)}, "header"),
        ({"statements": (Statement(b"", bytes(BODY_BYTES_MAX + 1)),)}, "body"),
    ],
)  # fmt: skip
def test_a_batch_of_another_shape_is_neither_verified_nor_written(
    sealed: Batch, changes: dict[str, object], word: str
) -> None:
    batch = replace(sealed, **changes)  # type: ignore[arg-type]
    sentence = verify_batch(batch)
    assert sentence is not None
    assert word in sentence
    with pytest.raises(AssertionError):
        encode_batch(batch)


def test_nothing_of_another_shape_is_sealed() -> None:
    for statements in ((), (STATEMENTS[0],) * 65, (Statement(bytes(HEADER_BYTES_MAX + 1), b""),)):
        with pytest.raises(AssertionError):
            seal(SECRET.sign, KEY, "envelope", MESH, statements)
    with pytest.raises(AssertionError):
        seal(SECRET.sign, KEY, "rumour", MESH, STATEMENTS)


def raw(
    head: bytes = b"\x96\x01\xa5route", mesh: bytes = b"\xc4\x10" + MESH, key: bytes = b"\xc4\x20" + KEY,
    signature: bytes = b"\xc4\x40" + bytes(64), statements: bytes = b"\x91\x92\xc4\x01h\xc4\x01b",
) -> bytes:  # fmt: skip
    return head + mesh + key + signature + statements


def test_the_bytes_of_a_batch_are_the_layout_of_the_readme() -> None:
    batch = Batch(VERSION, "route", MESH, KEY, bytes(64), (Statement(b"h", b"b"),))
    assert encode_batch(batch) == raw()
    long = Statement(b"h" * 256, b"")
    batch = replace(batch, statements=(long, *(bytes([n]) * 32 for n in range(16))))
    bare = b"".join(b"\xc4\x20" + bytes([n]) * 32 for n in range(16))
    assert encode_batch(batch) == raw(statements=b"\xdc\x00\x11\x92\xc5\x01\x00" + long.header + b"\xc4\x00" + bare)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x95", b"\x97", b"\xdc\x00\x06", raw(b"\x96"), raw(b"\xdc\x00\x06\x01\xa5route"),
        raw(b"\x96\xcc\x01\xa5route"),
        raw(b"\x96\x01\xd9\x05route"), raw(b"\x96\x01\xa5rout\xff"), raw(b"\x96\x01\xc4\x05route"),
        raw(b"\x96\x01\xa6routes"),
        raw(b"\x96\x01\xb1" + b"r" * 17), raw(mesh=b"\xc4\x0f" + MESH[1:]), raw(mesh=b"\xc4\x11" + MESH + b"x"),
        raw(mesh=b"\xc5\x00\x10" + MESH), raw(mesh=b"\xb0" + MESH), raw(key=b"\xc4\x1f" + KEY[1:]),
        raw(key=b"\xc4\x21" + KEY + b"x"),
        raw(signature=b"\xc4\x3f" + bytes(63)), raw(signature=b"\xc4\x41" + bytes(65)), raw(statements=b""),
        raw(statements=b"\x90"), raw(statements=b"\xdc\x00\x01\x92\xc4\x01h\xc4\x01b"),
        raw(statements=b"\xdc\x00\x41" + b"\xc4\x20" * 65),
        raw(statements=b"\xdc\xff\xff"), raw(statements=b"\xdd\xff\xff\xff\xff"), raw(statements=b"\x91"),
        raw(statements=b"\x91\xc4"),
        raw(statements=b"\x91\xc4\x1f" + bytes(31)), raw(statements=b"\x91\xc4\x21" + bytes(33)),
        raw(statements=b"\x91\x91\xc4\x01h"),
        raw(statements=b"\x91\x93\xc4\x01h\xc4\x01b\xc0"), raw(statements=b"\x91\x92\xc4\x01h"),
        raw(statements=b"\x91\x92\xc4\x01h\xc5\x00\x01b"),
        raw(statements=b"\x91\x92\xa1h\xa1b"), raw(statements=b"\x91\x92\xc5\x04\x01" + bytes(1025) + b"\xc4\x01b"),
        raw(statements=b"\x91\x92\xc4\x01h\xc5\xf0\x01" + bytes(61_441)),
        raw(statements=b"\x91\x92\xc4\x01h\xc6\x00\x00\x00\x01b"),
        raw(statements=b"\x91\x92\xc4\x01h\xc5\xff"), raw(statements=b"\x91\x92\xc4\x01h\xc4\x05b"),
        raw(statements=b"\x92\x92\xc4\x01h\xc4\x01b"),
        raw(statements=b"\x81\xc0\xc0"), raw(statements=b"\x91\xc7\x00\x05"), raw() + b"\xc0",
    ],
)  # fmt: skip
def test_a_damaged_or_respelled_batch_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        decode_batch(data)
    assert (caught.value.field, caught.value.code) == ("batch", "damaged")


@pytest.mark.parametrize("version", [b"\x00", b"\x02", b"\x7f", b"\xcc\x80", b"\xcd\x01\x00", b"\xce\x00\x01\x00\x00"])
def test_another_version_is_told_apart_from_damage(version: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        decode_batch(raw(b"\x96" + version + b"\xa5route"))
    assert caught.value.code == "version"


def test_a_batch_over_the_cap_is_refused_by_its_size() -> None:
    with pytest.raises(Invalid) as caught:
        decode_batch(bytes(BATCH_BYTES_MAX + 1))
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    "unit", [b"\x90", b"\x91", b"\x92", b"\xdc\x00\x40", b"\xc4\x00", b"\x92\xc4\x00\xc4\x00", b"\x80"]
)
def test_hostile_bytes_take_no_more_room_than_they_have(unit: bytes) -> None:
    data = (raw(statements=b"\xdc\x00\x40") + unit * 1_000_000)[:1_000_000]
    tracemalloc.start()
    try:
        with pytest.raises(Invalid):
            decode_batch(data)
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()


def test_a_known_batch_is_not_verified_again_and_an_unknown_one_is(sealed: Batch) -> None:
    cache = BatchCache(2)
    assert verify_batch(sealed, cache) is None
    assert len(cache) == 1
    assert verify_batch(sealed, cache) is None
    # A proof of the same batch is the same mathematics.
    assert verify_batch(proof(sealed, 1), cache) is None
    assert len(cache) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"key": bytes(range(1, 33))}, {"signature": bytes(64)}, {"type": "route"}, {"mesh": ZERO_MESH},
        {"statements": STATEMENTS[:4]}, {"statements": (Statement(b"other", b""), *STATEMENTS[1:])}, {"version": 2},
    ],
)  # fmt: skip
def test_a_cached_batch_lends_its_truth_to_no_other(sealed: Batch, changes: dict[str, object]) -> None:
    cache = BatchCache(8)
    assert verify_batch(sealed, cache) is None
    assert verify_batch(replace(sealed, **changes), cache) is not None  # type: ignore[arg-type]
    assert len(cache) == 1


def test_the_cache_really_answers_and_keeps_the_newest(sealed: Batch) -> None:
    cache = BatchCache(2)
    forged = replace(sealed, signature=bytes(64))
    signed = signing_bytes(VERSION, "envelope", MESH, leaves(forged))
    cache.remember(forged.key, forged.signature, signed)
    assert verify_batch(forged, cache) is None, "what the cache holds is not asked again"
    for n in range(2):
        assert verify_batch(seal(SECRET.sign, KEY, "envelope", MESH, STATEMENTS[n : n + 1]), cache) is None
    assert len(cache) == 2
    assert verify_batch(forged, cache) == SEAL_FAULT


def test_a_signature_of_another_protocol_by_the_same_key_is_no_seal(sealed: Batch) -> None:
    """The same node key proves itself in TLS: 64 spaces, a context and a transcript hash, never our prefix."""
    tls = SECRET.sign(b" " * 64 + b"TLS 1.3, server CertificateVerify\x00" + bytes(32))
    assert verify_batch(replace(sealed, signature=tls)) == SEAL_FAULT
