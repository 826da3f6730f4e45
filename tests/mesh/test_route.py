from __future__ import annotations

import msgpack
import pytest
from netsky.envelope.batch import Batch, Statement, decode_batch, encode_batch, seal
from netsky.envelope.invalid import Invalid
from netsky.mesh.claim import Claim, seal_claim
from netsky.mesh.limits import CLAIM_BYTES_MAX, NUMBER_MAX
from netsky.mesh.route import Route, bitmap_of, open_route, routed_positions, seal_route

from tests.mesh.damage import read_damaged
from tests.mesh.world import MESH, OTHER, ROOT

ROUTE = Route(3, "work", 2, 7, b"d" * 32, 3, b"l" * 32, 0b10000101, 9, 1_000, 2_000)

# Another implementation must produce exactly this header.
GOLDEN = (
    "9b03020207c420" + "64" * 32 + "03c420" + "6c" * 32 + "c4080000000000000085"
    "09cd03e8cd07d0"
)  # fmt: skip


def sealed(route: Route = ROUTE) -> bytes:
    return seal_route(ROOT.sign, ROOT.key, MESH, route)


def header_of(data: bytes) -> bytes:
    [statement] = decode_batch(data).statements
    assert isinstance(statement, Statement)
    return statement.header


def test_a_route_has_exactly_these_bytes_and_is_read_as_it_was_sealed() -> None:
    assert header_of(sealed()).hex() == GOLDEN
    assert open_route(sealed(), ROOT.key, MESH) == ROUTE


def test_the_bitmap_says_which_positions_have_the_numbers() -> None:
    assert ROUTE.positions == (0, 2, 7)
    assert bitmap_of(ROUTE.positions) == ROUTE.bitmap
    assert routed_positions(sealed()) == (0, 2, 7)
    full = Route(1, "reply", 1, 1, bytes(32), 64, bytes(32), (1 << 64) - 1, 1, 0, 0)
    assert routed_positions(sealed(full)) == tuple(range(64))
    claim = seal_claim(ROOT.sign, ROOT.key, MESH, Claim(3, "reply", 2, 7, 64, bytes(32), OTHER.key))
    assert routed_positions(claim) is None


def test_the_largest_route_fits_where_room_is_kept_for_it() -> None:
    top = NUMBER_MAX
    largest = Route(top, "work", top, top, bytes(32), 64, bytes(32), (1 << 64) - 1, top, top, top)
    assert len(sealed(largest)) <= CLAIM_BYTES_MAX


def header(**changed: object) -> bytes:
    values: dict[str, object] = {
        "reign": 1, "lane": 2, "life": 1, "first": 1, "destination": bytes(32), "count": 1, "leaves": bytes(32),
        "bitmap": bytes(7) + b"\x01", "roster": 1, "received": 0, "routed": 0,
    }  # fmt: skip
    made: bytes = msgpack.packb(list((values | changed).values()))
    return made


REFUSED = {
    "no reign": [Statement(header(reign=0), b"")],
    "no life": [Statement(header(life=0), b"")],
    "no first number": [Statement(header(first=0), b"")],
    "no roster": [Statement(header(roster=0), b"")],
    "no such lane": [Statement(header(lane=3), b"")],
    "a short destination": [Statement(header(destination=b""), b"")],
    "a short hash": [Statement(header(leaves=bytes(31)), b"")],
    "a short bitmap": [Statement(header(bitmap=b"\x01"), b"")],
    "nothing routed": [Statement(header(count=0, bitmap=bytes(8)), b"")],
    "fewer bits than it counts": [Statement(header(count=2), b"")],
    "more bits than it counts": [Statement(header(bitmap=bytes(7) + b"\x03"), b"")],
    "more than a batch has": [Statement(header(count=65, bitmap=b"\xff" * 8), b"")],
    "a negative time": [Statement(header(routed=-1), b"")],
    "a field more": [Statement(header(more=1), b"")],
    "a body": [Statement(header(), b"x")],
    "a second statement": [Statement(header(), b""), Statement(header(), b"")],
    "something behind it": [Statement(header() + b"\xc0", b"")],
    "no header": [Statement(b"", b"")],
}


@pytest.mark.parametrize("statements", REFUSED.values(), ids=REFUSED)
def test_a_route_that_breaks_a_rule_is_refused_although_the_root_sealed_it(statements: list[Statement]) -> None:
    good = encode_batch(seal(ROOT.sign, ROOT.key, "route", MESH, [Statement(header(), b"")]))
    assert open_route(good, ROOT.key, MESH).count == 1
    with pytest.raises(Invalid):
        open_route(encode_batch(seal(ROOT.sign, ROOT.key, "route", MESH, statements)), ROOT.key, MESH)


def test_a_seal_of_another_type_key_or_mesh_is_no_route() -> None:
    other = encode_batch(seal(ROOT.sign, ROOT.key, "link", MESH, [Statement(header(), b"")]))
    by_other = seal_route(OTHER.sign, OTHER.key, MESH, ROUTE)
    for data, mesh in ((other, MESH), (by_other, MESH), (sealed(), b"n" * 16)):
        with pytest.raises(Invalid, match="not sealed by the root"):
            open_route(data, ROOT.key, mesh)


def test_a_bare_leaf_and_a_signature_over_something_else_are_no_route() -> None:
    batch = decode_batch(sealed())
    bare = Batch(batch.version, batch.type, batch.mesh, batch.key, batch.signature, (bytes(32),))
    other = Batch(batch.version, batch.type, batch.mesh, batch.key, batch.signature, (Statement(header(), b""),))
    for wrong in (bare, other):
        with pytest.raises(Invalid):
            open_route(encode_batch(wrong), ROOT.key, MESH)


def test_damaged_routes_raise_nothing_but_invalid_and_none_is_believed() -> None:
    taken = read_damaged([sealed()], lambda data: open_route(data, ROOT.key, MESH), sealed, seed=9, count=3_000)
    assert taken < 30  # those whose damage undid itself


def test_damaged_headers_under_the_roots_own_seal_have_one_spelling() -> None:
    def read(data: bytes) -> Route:
        statement = Statement(data[:1024], b"")
        return open_route(encode_batch(seal(ROOT.sign, ROOT.key, "route", MESH, [statement])), ROOT.key, MESH)

    good = header_of(sealed())
    assert read_damaged([good], read, lambda route: header_of(sealed(route)), seed=10, count=3_000) > 100
