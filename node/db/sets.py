"""Sets of values as one bound parameter, so that a statement has one text whatever their number."""

from __future__ import annotations

import json
from collections.abc import Sequence


def texts(values: Sequence[str]) -> str:
    """For `IN (SELECT value FROM json_each(?))`."""
    return json.dumps(list(values), ensure_ascii=False)


def numbers(values: Sequence[int]) -> str:
    return json.dumps(list(values))
