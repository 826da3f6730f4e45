"""python -m netsky.node.lab.pages --cuts N: exit 0 if nothing was lost, 1 if something was, 2 for a wrong command."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from netsky.node.seams.real import RealTime

if TYPE_CHECKING:
    from netsky.node.lab.pages.campaign import Result

TELL_NS = 500_000_000


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m netsky.node.lab.pages",
        description="Cuts the power under the ledger of a node, again and again, and looks for what was lost.",
    )
    parser.add_argument("--cuts", type=int, default=1_000, help="how many power cuts (default 1000)")
    parser.add_argument("--seconds", type=float, help="go on for so long instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", type=int, metavar="SEED", help="one case, by the number that a violation gave")
    parser.add_argument(
        "--synchronous",
        choices=("full", "normal", "off"),
        default="full",
        help="as shipped: full. The others lose, and show that this would be seen",
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(words)
    try:
        from netsky.node.lab.pages.campaign import campaign, text  # noqa: PLC0415 - apsw may be missing
    except ImportError as error:
        print(f"{error}: pip install 'netsky-mesh[lab-disk]'", file=sys.stderr)
        return 2
    with campaign(args.seed, args.synchronous) as made:
        if args.replay is not None:
            made.result.seed = args.replay
            story = made.play(args.replay)
            if not args.json:
                print("\n".join(story))
        else:
            made.run(_until(args.cuts, args.seconds))
    print(json.dumps(made.result.data()) if args.json else text(made.result))
    return 1 if made.result.found else 0


def _until(cuts: int, seconds: float | None) -> Callable[[Result], bool]:
    """Says how far it is, where somebody looks."""
    time = RealTime()
    began = told = time.monotonic()
    shown = sys.stderr.isatty()

    def goes_on(result: Result) -> bool:
        nonlocal told
        now = time.monotonic()
        more = result.tally.cuts < cuts if seconds is None else now - began < seconds * 1e9
        if shown and (now - told > TELL_NS or not more):
            told = now
            line = f"{result.tally.cuts:,} cuts, {result.tally.acknowledged:,} acknowledged, {result.lost:,} lost"
            print(f"\r{line}", end="" if more else "\n", file=sys.stderr, flush=True)
        return more

    return goes_on


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
