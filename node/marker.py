"""What one marker is, and its bytes. Standard library and nothing of ours: the program that reaches the owner writes
markers while all else may be broken."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FOLDER = "state"
BYTES_MAX = 16 * 1024

_NAME = re.compile(r"[a-z][a-z0-9.-]{0,80}")


@dataclass(frozen=True, slots=True)
class Marker:
    name: str
    owner: str
    """Whose word it is: a part of the node, or `operator`."""
    reason: str
    at: int
    """Wall clock, ns."""
    expires: int | None
    """Wall clock, ns; it says nothing afterwards. None only where `clear` names evidence that is always looked at."""
    clear: str
    """What ends it, as a sentence for people."""
    data: Mapping[str, Any] = field(default_factory=dict)

    def says(self, now: int) -> bool:
        return self.expires is None or now < self.expires


def encode(marker: Marker) -> bytes:
    assert _NAME.fullmatch(marker.name), marker.name
    return json.dumps(asdict(marker), ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"


def decode(data: bytes) -> Marker | None:
    """None for what is no marker: a file in that folder is text from outside, and half a marker says nothing."""
    try:
        found = json.loads(data)
        marker = Marker(**found)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (marker.name, marker.owner, marker.reason, marker.clear)
    whole = all(isinstance(text, str) for text in texts) and isinstance(marker.data, dict) and _is_time(marker.at)
    return marker if whole and (marker.expires is None or _is_time(marker.expires)) else None


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def path_of(home_path: str, name: str) -> str:
    """Where the marker of this name lies, for who reads it without seams."""
    return os.path.join(home_path, FOLDER, f"{name}.json")
