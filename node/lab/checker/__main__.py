"""python -m netsky.node.lab.checker FILE...: exit 0 if everything held, 1 if not, 2 if this is no history."""

from __future__ import annotations

import sys

from netsky.node.lab.checker.branches import BY_FAULTS
from netsky.node.lab.checker.lines import VoidHistory
from netsky.node.lab.checker.rules import Report, check


def main(paths: list[str]) -> int:
    if not paths or paths[0].startswith("-"):
        print("usage: python -m netsky.node.lab.checker FILE...", file=sys.stderr)
        return 2
    try:
        report = check(paths)
    except (VoidHistory, OSError) as error:
        print(f"nothing can be concluded: {error}", file=sys.stderr)
        return 2
    print(text(report))
    return 1 if report.violations else 0


def text(report: Report) -> str:
    parts = [story.text() for story in report.stories]
    untold = sum(report.violations.values()) - len(report.stories)
    if untold:
        parts.append(f"and {untold} more of the same")
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.tally.by_kind.items()))
    parts.append(f"{report.tally.lines} events: {kinds or 'none'}")
    parts.append(report.summary.text())
    reached = sum(report.branches[name] > 0 for name in BY_FAULTS)
    parts.append(f"{reached} of {len(BY_FAULTS)} rare branches reached")
    if report.tally.torn:
        parts.append(f"{report.tally.torn} lines were cut off")
    if report.exempt:
        parts.append(f"{report.exempt} envelopes were known to a destroyed disk alone")
    if report.without_proof:
        parts.append(f"{report.without_proof} came by a link without proof: I10 and I11 did not judge them")
    if report.blind:
        parts.append(f"saw nothing to judge: {', '.join(report.blind)}")
    held = "everything held" if not report.violations else f"violated: {', '.join(sorted(report.violations))}"
    return "\n".join((*parts, held))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
