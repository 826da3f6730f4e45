"""One table: which role may ask what of work. What is not in it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from netsky.node.errors import Refused
from netsky.relay.authority import role_of

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller

READ = frozenset({"ls", "show", "wait", "tree", "reasons"})

MAY: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "operator": READ | {"run", "add", "cancel", "retry", "unblock", "note"},
        "agent0": READ | {"run", "add", "cancel", "retry", "note"},
        "manager": READ | {"add", "cancel", "note"},
        "worker": frozenset({"show", "note"}),
    }
)


def check_may(caller: Caller, order: str) -> None:
    role = "operator" if caller.is_operator else role_of(caller.actor or "")
    if order not in MAY.get(role, frozenset()):
        said = ", ".join(sorted(MAY.get(role, frozenset()))) or "nothing"
        raise Refused(
            f"{caller.name} may not ask {order} of work: a {role} may ask {said}",
            next="ask your manager",
            code="authority",
        )
