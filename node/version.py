"""The version of this program, as it was installed."""

from __future__ import annotations

from importlib import metadata

DISTRIBUTION = "netsky-mesh"


def program_version() -> str:
    return metadata.version(DISTRIBUTION)
