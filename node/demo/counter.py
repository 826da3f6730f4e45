"""The demo's worker: an envelope as JSON on stdin, the number of lines of the file that it names on stdout.

This is all that a program needs to be an actor: read stdin, write stdout, exit 0 when the work is done.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    envelope = json.load(sys.stdin)
    name = (envelope.get("data") or {}).get("file")
    if not isinstance(name, str):
        print('the brief names no file: put it into data, as in --data \'{"file": "poem.txt"}\'', file=sys.stderr)
        return 1
    here = Path.cwd().resolve()
    wanted = (here / name).resolve()
    if not wanted.is_relative_to(here) or not wanted.is_file():
        print(f"there is no file {name!r} in this repository", file=sys.stderr)
        return 1
    lines = wanted.read_text(encoding="utf-8", errors="replace").count("\n")
    print(f"{name} has {lines} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
