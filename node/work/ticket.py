"""What a manager hands to a worker: the fields of a ticket and their JSON form. Pure.

`task_id` names a ticket everywhere; within its plan it has a shorter name, the part behind the dot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from netsky.node.work.limits import RETRIES, TIMEOUT_MS

Review = Literal["", "person"]


@dataclass(frozen=True, slots=True)
class Constraints:
    timeout_ms: int = TIMEOUT_MS
    """Of one try."""
    max_retries: int = RETRIES
    """Tries after the first."""


@dataclass(frozen=True, slots=True)
class Scope:
    fs_write: tuple[str, ...] = ()
    """Paths of the repository that its patch may touch; "src/" is all below it."""
    net: tuple[str, ...] = ()
    """Hosts it may reach; none is none."""


@dataclass(frozen=True, slots=True)
class Spec:
    """All of a ticket that its author decides. It never changes; what becomes of it stands beside it."""

    title: str = ""
    role: str = "worker"
    runtime: str = "noop"
    command: tuple[str, ...] = ()
    text: str = ""
    """What is to be done, for whoever reads it: data, never an instruction to the node."""
    context_pointers: tuple[str, ...] = ()
    success_criteria: tuple[str, ...] = ()
    """Commands of the plan: all have to end with 0."""
    constraints: Constraints = field(default_factory=Constraints)
    permission_scope: Scope = field(default_factory=Scope)
    idempotency_key: str = ""
    needs: tuple[str, ...] = ()
    """Labels that its node must have."""
    on: tuple[str, ...] = ()
    """Nodes that may have it, the first first; none is any."""
    review: Review = ""
    """"person": it stops before anything is committed."""

    @property
    def place(self) -> str:
        """Tickets of one place wait for the same room."""
        return json.dumps([self.needs, self.on])


def encode(spec: Spec) -> str:
    """Only what differs from the standard, so that 10,000 bare tickets are small."""
    standard, mine = asdict(Spec()), asdict(spec)
    return json.dumps({name: value for name, value in mine.items() if value != standard[name]}, separators=(",", ":"))


def decode(text: str) -> Spec:
    """Of what `encode` wrote; from elsewhere it goes through `read_spec` of the plan first."""
    found: dict[str, Any] = json.loads(text)
    return of_mapping(found)


def of_mapping(found: Mapping[str, Any]) -> Spec:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    if "constraints" in values:
        values["constraints"] = Constraints(**values["constraints"])
    if "permission_scope" in values:
        scope = {name: tuple(value) for name, value in values["permission_scope"].items()}
        values["permission_scope"] = Scope(**scope)
    return Spec(**values)


def widened(spec: Spec, scopes: Sequence[Mapping[str, Sequence[str]]]) -> Spec:
    """With all that these allow as well."""
    scope = spec.permission_scope
    for more in scopes:
        scope = Scope(
            tuple(dict.fromkeys((*scope.fs_write, *more.get("fs_write", ())))),
            tuple(dict.fromkeys((*scope.net, *more.get("net", ())))),
        )
    return replace(spec, permission_scope=scope)


def shown(spec: Spec) -> dict[str, Any]:
    """The documented JSON form, every field said."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(spec)))
    return found
