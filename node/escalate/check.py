"""What `netsky doctor` says of the way to the owner. It reads the plain files that the way reads, and runs nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Literal

from netsky.node.escalate import place
from netsky.node.home import Home

Finding = tuple[Literal["ok", "warn", "fail"], str, str]


def findings(home: Home) -> Iterator[Finding]:
    here, facts = place.look(home.path), place.read_facts(home.path)
    if here.kind == "root" or here.is_deputy or (here.command and here.kind == "alone"):
        yield _command(home, here)
    if here.kind != "alone" and facts is not None and facts.members > 1 and facts.deputy is None:
        yield (
            "warn",
            "no deputy is named: if netsky0 falls silent, nobody tells the owner",
            "on netsky0: netsky deputy NAME",
        )


def _command(home: Home, here: place.Place) -> Finding:
    who = "this is the deputy, and it" if here.is_deputy else here.node
    step = f'set command = ["PROGRAM"] under [owner] in {home.config}, then: netsky escalate --test'
    if not here.command:
        return "warn", f"{who} has no command that reaches the owner", step
    program = here.command[0]
    if not program.startswith("/"):
        return "warn", f"{program} has to be named by its whole path: the node has another PATH than your shell", step
    if shutil.which(program) is None:
        return "warn", f"{program}, which should reach the owner, is not there or may not be run", step
    return "ok", f"the owner is reached by {program}; netsky escalate --test proves it", ""
