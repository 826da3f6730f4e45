"""The command `netsky`: the one word that must work whatever else is broken goes its own way before anything else of
ours is imported; all others are `run.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; prints no traceback, whatever happens."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "escalate" in words and not {"-h", "--help"} & set(words):
        from netsky.node.escalate import program  # noqa: PLC0415

        if program.verb_at(words) is not None:
            return program.main(words)
    from netsky.node.cli import run  # noqa: PLC0415

    return run.main(words)


if __name__ == "__main__":
    sys.exit(main())
