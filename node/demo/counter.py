"""The demo's worker: an envelope as JSON on stdin, the number of words of the file that it names on stdout.

This is all that a program needs to be an actor: read stdin, write stdout, exit 0 when the work is done.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

READING_SECONDS = 0.3
"""Words are counted in no time at all; work takes some, so that there is a middle of it in which to lose a node."""


def main() -> int:
    envelope = json.load(sys.stdin)
    name = (envelope.get("data") or {}).get("file")
    if not isinstance(name, str):
        print('the brief names no file: put it into data, as in --data \'{"file": "tide.txt"}\'', file=sys.stderr)
        return 1
    here = Path.cwd().resolve()
    wanted = (here / name).resolve()
    if not wanted.is_relative_to(here) or not wanted.is_file():
        print(f"there is no file {name!r} in this repository", file=sys.stderr)
        return 1
    time.sleep(READING_SECONDS)
    words = len(wanted.read_text(encoding="utf-8", errors="replace").split())
    print(f"{words} words in {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
