"""Run inside a planted tree, by its path: simulates seed after seed, each in a process forked from this one, so that
only the first pays for the imports. A line of JSON for each: its exit code, and what it said.

    PYTHONPATH=TREE python tests/planted/seeds.py SECONDS 1-500 [words for the simulation]
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import tempfile
import traceback

from netsky.node.lab import sim


def main(seconds: str, seeds: str, *more: str) -> None:
    first, _, last = seeds.partition("-")
    gc.freeze()
    for seed in range(int(first), int(last) + 1) if last else map(int, seeds.split(",")):
        with tempfile.TemporaryFile("w+") as said:
            child = os.fork()
            if not child:
                _simulate(seed, int(seconds), said.fileno(), more)
            _, status = os.waitpid(child, 0)
            said.seek(0)
            code = os.waitstatus_to_exitcode(status)
            print(json.dumps({"seed": seed, "code": code, "said": said.read()}), flush=True)


def _simulate(seed: int, seconds: int, said: int, more: tuple[str, ...]) -> None:
    """Does not return."""
    code = 70
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        signal.alarm(seconds)
        code = sim.main(["--seed", str(seed), *more])
    except BaseException:  # noqa: BLE001 - whatever it is, it is what this seed has to tell
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
