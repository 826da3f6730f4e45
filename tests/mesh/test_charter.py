from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from netsky.envelope.batch import Batch, Statement, decode_batch, encode_batch, leaves, seal
from netsky.envelope.invalid import Invalid
from netsky.mesh.charter import CHARTER_BYTES_MAX, Charter, open_charter, seal_charter
from netsky.mesh.limits import NUMBER_MAX

from tests.mesh.damage import read_damaged
from tests.mesh.world import MESH, NOW, ROOT, Node

OWNER = Node(9)
CHARTER = Charter(MESH, OWNER.key, 2, ROOT.key, ("192.0.2.1:7", "https://r.example"), "sibling", 5, b"h" * 32, NOW)

# Another implementation must produce exactly this header.
GOLDEN = (
    "980102c420" + ROOT.key.hex() + "92ab" + b"192.0.2.1:7".hex() + "b1" + b"https://r.example".hex()
    + "a77369626c696e6705c420" + "68" * 32 + "cf17979cfe362a0000"
)  # fmt: skip


def header_of(data: bytes) -> bytes:
    [statement] = decode_batch(data).statements
    assert isinstance(statement, Statement)
    return statement.header


def test_a_charter_has_exactly_these_bytes_and_is_read_as_it_was_sealed() -> None:
    data = seal_charter(CHARTER, OWNER.sign)
    assert header_of(data).hex() == GOLDEN
    assert open_charter(data) == CHARTER
    first = replace(CHARTER, reign=1, addresses=(), previous="", roster_version=0, roster_hash=b"")
    assert open_charter(seal_charter(first, OWNER.sign)) == first


def header(**changed: object) -> bytes:
    values: dict[str, object] = {
        "form": 1, "reign": 1, "root": ROOT.key, "addresses": [], "previous": "", "roster": 0, "hash": b"", "issued": 0,
    }  # fmt: skip
    made: bytes = msgpack.packb(list((values | changed).values()))
    return made


REFUSED = {
    "another form": [Statement(header(form=2), b"")],
    "true as its form": [Statement(header(form=True), b"")],
    "no reign": [Statement(header(reign=0), b"")],
    "true as its reign": [Statement(header(reign=True), b"")],
    "a reign beyond all": [Statement(header(reign=NUMBER_MAX + 1), b"")],
    "a short root key": [Statement(header(root=b"r"), b"")],
    "too many addresses": [Statement(header(addresses=["a"] * 17), b"")],
    "an address for a terminal": [Statement(header(addresses=["\x1b[2J"]), b"")],
    "an address that is no text": [Statement(header(addresses=[1]), b"")],
    "another fate": [Statement(header(previous="gone"), b"")],
    "a roster before the first": [Statement(header(roster=-1), b"")],
    "a short hash": [Statement(header(hash=b"h"), b"")],
    "a time as a float": [Statement(header(issued=1.0), b"")],
    "a field more": [Statement(header(more=1), b"")],
    "something behind it": [Statement(header() + b"\xc0", b"")],
    "a number in a longer form": [Statement(header().replace(b"\x98\x01\x01", b"\x98\x01\xcc\x01"), b"")],
    "nothing": [Statement(b"", b"")],
    "a body": [Statement(header(), b"x")],
    "two statements": [Statement(header(), b"")] * 2,
}


@pytest.mark.parametrize("statements", REFUSED.values(), ids=REFUSED)
def test_a_charter_that_breaks_a_rule_is_refused_although_it_is_sealed(statements: list[Statement]) -> None:
    good = encode_batch(seal(OWNER.sign, OWNER.key, "charter", MESH, [Statement(header(), b"")]))
    assert open_charter(good).reign == 1
    with pytest.raises(Invalid) as caught:
        open_charter(encode_batch(seal(OWNER.sign, OWNER.key, "charter", MESH, statements)))
    assert caught.value.code == "not_a_charter"


def test_what_is_too_large_of_another_type_without_a_mesh_or_not_signed_is_no_charter() -> None:
    batch = decode_batch(seal_charter(CHARTER, OWNER.sign))
    bare = Batch(batch.version, batch.type, batch.mesh, batch.key, batch.signature, (bytes(32),))
    cases = {
        "too_large": bytes(CHARTER_BYTES_MAX + 1),
        "not_a_charter": encode_batch(seal(OWNER.sign, OWNER.key, "roster", MESH, [Statement(header(), b"")])),
        "not_a_charter ": encode_batch(seal(OWNER.sign, OWNER.key, "charter", bytes(16), [Statement(header(), b"")])),
        "bad_seal": encode_batch(bare),
        "bad_seal ": encode_batch(replace(batch, key=ROOT.key)),
        "bad_seal  ": encode_batch(replace(batch, statements=(Statement(header(), b""),))),
    }
    for code, data in cases.items():
        with pytest.raises(Invalid) as caught:
            open_charter(data)
        assert caught.value.code == code.strip()


def test_a_leaf_in_the_place_of_the_statement_is_no_charter() -> None:
    batch = decode_batch(seal_charter(CHARTER, OWNER.sign))
    with pytest.raises(Invalid) as caught:
        open_charter(encode_batch(replace(batch, statements=tuple(leaves(batch)))))
    assert caught.value.code == "not_a_charter"


def test_damaged_charters_raise_nothing_but_invalid_and_none_is_believed() -> None:
    good = seal_charter(CHARTER, OWNER.sign)
    assert read_damaged([good], open_charter, lambda one: seal_charter(one, OWNER.sign), seed=13, count=3_000) < 30


def test_damaged_headers_under_the_owners_own_seal_have_one_spelling() -> None:
    def read(data: bytes) -> Charter:
        statement = Statement(data[:700], b"")
        return open_charter(encode_batch(seal(OWNER.sign, OWNER.key, "charter", MESH, [statement])))

    good = header_of(seal_charter(CHARTER, OWNER.sign))
    assert read_damaged([good], read, lambda one: header_of(seal_charter(one, OWNER.sign)), seed=14, count=3_000) > 50
