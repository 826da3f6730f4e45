"""`netsky drill`: one drill or all of them, each line as it is proved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netsky.node.cli.dial import local_actor
from netsky.node.cli.lifecycle import outside
from netsky.node.cli.output import Output
from netsky.node.cli.text import plural, visible
from netsky.node.drill import actors, channel
from netsky.node.drill.proof import Line, NotProved, Proof
from netsky.node.errors import EXIT_DONE, EXIT_FAILED, NetskyError, Usage
from netsky.node.handoff.limits import PROVE_SECONDS
from netsky.node.seams.real import RealTime

DRILLS = ("restart", "crash", "root-silent", "owner-channel")


def drill(args: Any, out: Output) -> int:
    outside(args, "drill")
    which = args.which or "all"
    if which not in (*DRILLS, "all"):
        raise Usage(f"there is no drill {which!r}; there are {', '.join(DRILLS)} and all", next="netsky drill -h")
    names = DRILLS if which == "all" else (which,)
    lines: list[Line] = []

    def tell(line: Line) -> None:
        lines.append(line)
        if not out.json:
            mark = {"proved": "  ", "not proved": "! ", "not run": "- ", "will": "> "}[line.word]
            out.wrapped(f"{mark}{line.drill:<14} {line.ms / 1000:7.2f} s  {line.word:<11} {visible(line.said)}", 29)
            out.stdout.flush()

    for name in names:
        proof = Proof(name, RealTime().monotonic, tell)
        try:
            _run(name, args, proof)
        except NotProved:
            continue
        except NetskyError as error:
            if len(names) == 1:
                raise
            proof.left_out(f"{error.message}; next: {error.next}")
    wrong = sum(line.word == "not proved" for line in lines)
    good = sum(line.word == "proved" for line in lines)
    summary = f"{plural(good, 'thing')} proved" + (f", {wrong} not" if wrong else "")
    data = {"lines": [{"drill": one.drill, "word": one.word, "said": one.said, "ms": one.ms} for one in lines]}
    out.answer("drill", summary, data)
    return EXIT_FAILED if wrong else EXIT_DONE


def _run(name: str, args: Any, proof: Proof) -> None:
    steps: dict[str, Callable[[Any, Proof], None]] = {
        "restart": _restart,
        "crash": _crash,
        "root-silent": _root_silent,
        "owner-channel": _owner_channel,
    }
    steps[name](args, proof)


def _restart(args: Any, proof: Proof) -> None:
    actor, node = local_actor(args.actor or "agent0"), args.node.client()
    actors.check_in_hand(node, actor, sure=args.yes)
    actors.restart(node, actor, proof, within=args.within or PROVE_SECONDS)


def _crash(args: Any, proof: Proof) -> None:
    actor, node = local_actor(args.actor or "agent0"), args.node.client()
    actors.check_in_hand(node, actor, sure=args.yes)
    actors.crash(node, actor, proof)


def _root_silent(args: Any, proof: Proof) -> None:
    channel.root_silent(args.node.home, proof, page=args.page)


def _owner_channel(args: Any, proof: Proof) -> None:
    channel.owner_channel(args.node.home, proof, page=args.page)
