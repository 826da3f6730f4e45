"""Damaged bytes: what every reader of bytes from outside is given."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from netsky.envelope.invalid import Invalid

T = TypeVar("T")


def damaged(chance: random.Random, good: bytes) -> bytes:
    data = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        match chance.randrange(4):
            case 0:
                data[chance.randrange(len(data))] = chance.randrange(256)
            case 1:
                data.insert(chance.randrange(len(data) + 1), chance.randrange(256))
            case 2 if len(data) > 1:
                del data[chance.randrange(len(data))]
            case _:
                data += chance.randbytes(chance.randrange(9))
    return bytes(data)


def read_damaged(
    good: Sequence[bytes], read: Callable[[bytes], T], write: Callable[[T], bytes], *, seed: int, count: int = 10_000
) -> int:
    """How many were read all the same: what is read has one spelling only, and all else raises Invalid."""
    chance = random.Random(seed)
    taken = 0
    for _ in range(count):
        data = damaged(chance, chance.choice(good))
        try:
            value = read(data)
        except Invalid:
            continue
        taken += 1
        assert write(value) == data
    return taken
