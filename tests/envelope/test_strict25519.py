"""Edge cases of Ed25519, built from the curve's own arithmetic: affine, slow, and nothing of what it checks."""

from __future__ import annotations

from hashlib import sha512

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from netsky.envelope import strict25519
from netsky.envelope.strict25519 import public_key_invalid, verify

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
IDENTITY = (0, 1)
Point = tuple[int, int]


def add(a: Point, b: Point) -> Point:
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P


def times(scalar: int, point: Point) -> Point:
    result = IDENTITY
    for bit in f"{scalar:b}":
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def encode(point: Point, *, y: int | None = None) -> bytes:
    """The 32 bytes of a point; with another `y`, its non-canonical spelling."""
    return ((point[1] if y is None else y) | (point[0] & 1) << 255).to_bytes(32, "little")


def decode(y: int, sign: int) -> Point | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return (x if x & 1 == sign else -x % P), y


def number(data: bytes) -> int:
    return int.from_bytes(data, "little")


_base = decode(4 * pow(5, -1, P) % P, 0)
assert _base is not None
BASE: Point = _base


def small_order_points() -> list[Point]:
    """All eight: multiply any point by L, and what is left has an order of 8 at most."""
    for y in range(2, 100):
        point = decode(y, 0)
        if point is None:
            continue
        left = times(L, point)
        if times(4, left) != IDENTITY:
            return [times(n, left) for n in range(8)]
    raise AssertionError


SMALL = small_order_points()
TORSION = SMALL[1]
SEED = bytes(range(32))
SCALAR = number(sha512(SEED).digest()[:32]) & ((1 << 254) - 8) | 1 << 254
PUBLIC = times(SCALAR, BASE)
KEY = encode(PUBLIC)
MESSAGE = b"what was said"


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return number(sha512(r + key + message).digest()) % L


def sign(r_point: Point, r: int, *, key: bytes = KEY, scalar: int = SCALAR, message: bytes = MESSAGE) -> bytes:
    """A signature with this R, whether or not r belongs to it."""
    encoded = encode(r_point)
    return encoded + ((r + challenge(encoded, key, message) * scalar) % L).to_bytes(32, "little")


def library_takes(key: bytes, signature: bytes, message: bytes = MESSAGE) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


GOOD = sign(times(7, BASE), 7)


def test_the_arithmetic_of_this_file_is_that_of_the_curve() -> None:
    assert times(L, BASE) == IDENTITY
    assert len(set(SMALL)) == 8
    assert Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw() == KEY


def test_a_good_key_and_its_signatures_are_taken() -> None:
    assert public_key_invalid(KEY) is None
    assert verify(KEY, GOOD, MESSAGE)
    assert verify(KEY, Ed25519PrivateKey.from_private_bytes(SEED).sign(MESSAGE), MESSAGE)


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200))
def test_what_the_library_signs_is_taken(seed: bytes, message: bytes) -> None:
    secret = Ed25519PrivateKey.from_private_bytes(seed)
    assert verify(secret.public_key().public_bytes_raw(), secret.sign(message), message)


@given(seed=st.binary(min_size=32, max_size=32))
def test_every_made_key_may_be_enrolled(seed: bytes) -> None:
    assert public_key_invalid(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()) is None


def test_the_first_example_of_the_standard_is_taken() -> None:
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b"
    )
    assert public_key_invalid(key) is None
    assert verify(key, signature, b"")
    assert not verify(key, signature, b"\x00")


@pytest.mark.parametrize("bit", range(512))
def test_no_bit_of_a_signature_can_be_turned(bit: int) -> None:
    turned = bytearray(GOOD)
    turned[bit // 8] ^= 1 << bit % 8
    assert not verify(KEY, bytes(turned), MESSAGE)


@pytest.mark.parametrize("bit", range(256))
def test_no_bit_of_a_key_can_be_turned(bit: int) -> None:
    turned = bytearray(KEY)
    turned[bit // 8] ^= 1 << bit % 8
    assert not verify(bytes(turned), GOOD, MESSAGE)


@pytest.mark.parametrize("size", [0, 31, 33, 63, 65, 128])
def test_other_lengths_are_no_key_and_no_signature(size: int) -> None:
    assert not verify(KEY[:size].ljust(size, b"\0"), GOOD, MESSAGE) or size == 32
    assert not verify(KEY, GOOD[:size].ljust(size, b"\0"), MESSAGE)
    assert public_key_invalid(bytes(size)) == "A public key has 32 bytes."


@pytest.mark.parametrize("point", SMALL)
def test_a_key_of_small_order_is_refused_though_anybody_can_sign_under_it(point: Point) -> None:
    key = encode(point)
    order = next(n for n in (1, 2, 4, 8) if times(n, point) == IDENTITY)
    # S = r and R = rB fit whenever the challenge is a multiple of the point's order: try messages until it is.
    r = encode(times(7, BASE))
    forged = r + (7).to_bytes(32, "little")
    message = next(m for n in range(999) if challenge(r, key, m := b"%d" % n) % order == 0)
    assert library_takes(key, forged, message), "if this fails, the library became strict and the check costs nothing"
    assert not verify(key, forged, message)
    sentence = public_key_invalid(key)
    assert sentence is not None
    assert "small order" in sentence


def test_one_signature_under_the_identity_would_hold_for_every_message() -> None:
    key = encode(IDENTITY)
    forged = encode(times(7, BASE)) + (7).to_bytes(32, "little")
    for message in (b"", b"pay", b"anything"):
        assert library_takes(key, forged, message)
        assert not verify(key, forged, message)


@pytest.mark.parametrize("sign_bit", [0, 1])
@pytest.mark.parametrize("above", range(19))
def test_a_key_written_above_the_field_is_refused(above: int, sign_bit: int) -> None:
    key = (P + above | sign_bit << 255).to_bytes(32, "little")
    assert public_key_invalid(key) == "The public key is not in its canonical form."
    assert not verify(key, GOOD, MESSAGE)
    assert not verify(key, encode(times(7, BASE)) + (7).to_bytes(32, "little"), MESSAGE)


@pytest.mark.parametrize("y", [1, P - 1])
def test_a_zero_x_with_a_sign_is_refused(y: int) -> None:
    key = (y | 1 << 255).to_bytes(32, "little")
    assert public_key_invalid(key) is not None
    assert not verify(key, encode(times(7, BASE)) + (7).to_bytes(32, "little"), MESSAGE)


@pytest.mark.parametrize("torsion", SMALL[1:])
def test_a_key_of_mixed_order_may_not_be_enrolled(torsion: Point) -> None:
    assert public_key_invalid(encode(add(PUBLIC, torsion))) == "The public key is not of the curve's prime order."


def test_bytes_off_the_curve_are_no_key() -> None:
    y = next(y for y in range(2, 99) if decode(y, 0) is None)
    key = y.to_bytes(32, "little")
    assert public_key_invalid(key) == "The public key is not a point of the curve."
    assert not verify(key, GOOD, MESSAGE)


@pytest.mark.parametrize("sign_bit", [0, 1])
def test_both_signs_of_a_point_are_told_apart(sign_bit: int) -> None:
    x, y = PUBLIC
    key = y.to_bytes(32, "little")[:31] + bytes((y >> 248 | sign_bit << 7,))
    assert public_key_invalid(key) is None
    assert verify(key, GOOD, MESSAGE) is (sign_bit == x & 1)


@pytest.mark.parametrize("point", SMALL)
def test_an_r_of_small_order_is_refused(point: Point) -> None:
    """With the identity as R the equation holds, and the library is content."""
    signature = sign(point, 0)
    assert library_takes(KEY, signature) is (point == IDENTITY)
    assert not verify(KEY, signature, MESSAGE)


@pytest.mark.parametrize("point", [point for point in SMALL if point[1] < 19])
def test_an_r_written_above_the_field_is_refused(point: Point) -> None:
    encoded = encode(point, y=point[1] + P)
    s = challenge(encoded, KEY, MESSAGE) * SCALAR % L
    assert not verify(KEY, encoded + s.to_bytes(32, "little"), MESSAGE)


@pytest.mark.parametrize("torsion", SMALL[1:])
def test_an_r_with_torsion_is_refused(torsion: Point) -> None:
    """It would pass a check that multiplies both sides by eight: then one signature has eight spellings."""
    assert not verify(KEY, sign(add(times(7, BASE), torsion), 7), MESSAGE)


@pytest.mark.parametrize("times_l", range(1, 16))
def test_an_s_beyond_the_order_is_refused(times_l: int) -> None:
    s = number(GOOD[32:]) + times_l * L
    assert s < 2**256
    assert not verify(KEY, GOOD[:32] + s.to_bytes(32, "little"), MESSAGE)


def test_an_s_of_exactly_the_order_is_refused() -> None:
    r = -challenge(encode(IDENTITY), KEY, MESSAGE) % L
    assert not verify(KEY, encode(times(r, BASE)) + L.to_bytes(32, "little"), MESSAGE)


class Credulous:
    """A library that takes everything, so that only our own checks are left."""

    @classmethod
    def from_public_bytes(cls, key: bytes) -> Credulous:
        return cls()

    def verify(self, signature: bytes, message: bytes) -> None:
        return None


def test_our_checks_lean_on_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict25519, "Ed25519PublicKey", Credulous)
    assert verify(KEY, GOOD, MESSAGE)
    r, s = GOOD[:32], GOOD[32:]
    above = (P + 3).to_bytes(32, "little")
    field = P.to_bytes(32, "little")
    for key, signature in (
        (KEY[:31], GOOD), (KEY + b"\0", GOOD), (KEY, GOOD[:63]), (KEY, GOOD + b"\0"),
        (KEY, r + L.to_bytes(32, "little")), (KEY, r + (number(s) + L).to_bytes(32, "little")), (KEY, r + b"\xff" * 32),
        (above, GOOD), (field, GOOD), (KEY, above + s), (KEY, field + s),
        *((encode(point), GOOD) for point in SMALL), *((KEY, encode(point) + s) for point in SMALL),
    ):  # fmt: skip
        assert not verify(key, signature, MESSAGE)
    assert verify(KEY, r + (L - 1).to_bytes(32, "little"), MESSAGE)
