"""Ed25519, checked strictly: one key, one spelling; one signature, one spelling; and no key that signs everything.

The library checks the equation and the range of S. It takes the identity point as a key, under which one signature
holds for every message, and other points of small order; those are refused here before it is asked.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_Y_MASK = 2**255 - 1
_SMALL_Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
# The eight points of small order have five y between them, whatever the sign of x.
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _SMALL_Y8, _P - _SMALL_Y8})

_Point = tuple[int, int, int, int]
_IDENTITY: _Point = (0, 1, 1, 0)


def public_key_invalid(key: bytes) -> str | None:
    """Why these bytes may not be enrolled as a node's or owner's key; takes milliseconds, so ask once per key."""
    if len(key) != 32:
        return "A public key has 32 bytes."
    if not _is_canonical(key):
        return "The public key is not in its canonical form."
    if _is_small_order(key):
        return "The public key is a point of small order, under which anybody can sign."
    point = _decompress(key)
    if point is None:
        return "The public key is not a point of the curve."
    if not _is_identity(_multiply(_L, point)):
        return "The public key is not of the curve's prime order."
    return None


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature is this key's, in the one spelling that it has."""
    if len(key) != 32 or len(signature) != 64:
        return False
    r = signature[:32]
    if int.from_bytes(signature[32:], "little") >= _L:
        return False
    if not (_is_canonical(key) and _is_canonical(r)) or _is_small_order(key) or _is_small_order(r):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_canonical(point: bytes) -> bool:
    return int.from_bytes(point, "little") & _Y_MASK < _P


def _is_small_order(point: bytes) -> bool:
    return int.from_bytes(point, "little") & _Y_MASK in _SMALL_ORDER_Y


def _decompress(data: bytes) -> _Point | None:
    """One of the two points with this y. Which one does not matter here: both have the same order."""
    y = int.from_bytes(data, "little") & _Y_MASK
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P:
        return None
    return x, y, 1, x * y % _P


def _add(a: _Point, b: _Point) -> _Point:
    """The complete addition of RFC 8032, section 5.1.4, for any two points."""
    p = (a[1] - a[0]) * (b[1] - b[0])
    q = (a[1] + a[0]) * (b[1] + b[0])
    r = 2 * a[3] * b[3] * _D
    s = 2 * a[2] * b[2]
    e, f, g, h = q - p, s - r, s + r, q + p
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    result = _IDENTITY
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _is_identity(point: _Point) -> bool:
    x, y, z, _ = point
    return x == 0 and y == z
