from __future__ import annotations

import msgpack
import pytest
from netsky.envelope.batch import ZERO_MESH, Statement, encode_batch, seal
from netsky.envelope.invalid import Invalid
from netsky.mesh.claim import Claim, leaves_hash, open_claim, seal_claim
from netsky.mesh.limits import CLAIM_BYTES_MAX, NUMBER_MAX

from tests.mesh.world import Node

NODE = Node(1)
CLAIM = Claim(3, "reply", 2, 7, 64, leaves_hash([b"l" * 32]), Node(2).key)


def test_a_claim_is_read_as_it_was_sealed() -> None:
    assert open_claim(seal_claim(NODE.sign, NODE.key, ZERO_MESH, CLAIM), NODE.key, ZERO_MESH) == CLAIM


def test_the_largest_claim_fits_where_room_is_kept_for_it() -> None:
    largest = Claim(NUMBER_MAX, "work", NUMBER_MAX, NUMBER_MAX, 64, bytes(32), bytes(32))
    assert len(seal_claim(NODE.sign, NODE.key, ZERO_MESH, largest)) <= CLAIM_BYTES_MAX


def header(**changed: object) -> bytes:
    fields = {"reign": 0, "lane": 1, "life": 1, "first": 1, "count": 1, "leaves": bytes(32), "receiver": bytes(32)}
    made: bytes = msgpack.packb(list((fields | changed).values()))
    return made


REFUSED = {
    "no life": [Statement(header(life=0), b"")],
    "no first number": [Statement(header(first=0), b"")],
    "no statements": [Statement(header(count=0), b"")],
    "more statements than a batch has": [Statement(header(count=65), b"")],
    "no such lane": [Statement(header(lane=3), b"")],
    "a short receiver": [Statement(header(receiver=b""), b"")],
    "a body": [Statement(header(), b"x")],
    "a second statement": [Statement(header(), b""), Statement(header(), b"")],
    "something behind it": [Statement(header() + b"\xc0", b"")],
    "no header": [Statement(b"", b"")],
}


@pytest.mark.parametrize("statements", REFUSED.values(), ids=REFUSED)
def test_a_claim_that_breaks_a_rule_is_refused_although_it_is_sealed(statements: list[Statement]) -> None:
    data = encode_batch(seal(NODE.sign, NODE.key, "link", ZERO_MESH, statements))
    with pytest.raises(Invalid):
        open_claim(data, NODE.key, ZERO_MESH)


def test_a_seal_of_another_type_key_or_mesh_is_no_claim() -> None:
    good = seal_claim(NODE.sign, NODE.key, ZERO_MESH, CLAIM)
    other = encode_batch(seal(NODE.sign, NODE.key, "route", ZERO_MESH, [Statement(header(), b"")]))
    for data, key, mesh in ((good, Node(2).key, ZERO_MESH), (good, NODE.key, b"m" * 16), (other, NODE.key, ZERO_MESH)):
        with pytest.raises(Invalid, match="not a link seal"):
            open_claim(data, key, mesh)


def test_a_bare_leaf_is_no_claim() -> None:
    batch = seal(NODE.sign, NODE.key, "link", ZERO_MESH, [Statement(header(), b"")])
    bare = type(batch)(batch.version, batch.type, batch.mesh, batch.key, batch.signature, (bytes(32),))
    with pytest.raises(Invalid):
        open_claim(encode_batch(bare), NODE.key, ZERO_MESH)
