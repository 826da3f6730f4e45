"""Sets of values in one statement whose text does not depend on their number, so that it is parsed once."""

from __future__ import annotations

import json
from collections.abc import Sequence


def texts(values: Sequence[str]) -> str:
    """For `IN (SELECT value FROM json_each(?))`. Escaped, so that not even half a surrogate fails to be bound."""
    return json.dumps(list(values))


def numbers(values: Sequence[int]) -> str:
    """The same for whole numbers."""
    return json.dumps(list(values))


def blobs(values: Sequence[bytes]) -> tuple[str, list[bytes | None]]:
    """For `IN (…)`: question marks and values, padded with NULL, which equals nothing, to a power of two."""
    places = 1 << max(0, len(values) - 1).bit_length()
    return ", ".join("?" * places), [*values, *[None] * (places - len(values))]
