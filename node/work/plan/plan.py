"""A plan: tickets with what comes before what. From TOML to a value, or to every fault with its place. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netsky.node.work import ticket as tickets
from netsky.node.work.limits import FAULTS_SHOWN, PLAN_BYTES_MAX, PLAN_TICKETS_MAX, SPEC_BYTES_MAX
from netsky.node.work.plan import fields
from netsky.node.work.plan.graph import cycle, overlaps
from netsky.node.work.plan.source import Places
from netsky.node.work.ticket import Spec

STEP = 20
"""Tickets looked at in one go: some tenths of a millisecond."""

_LINE = re.compile(r"\(at line (\d+), column \d+\)")


@dataclass(frozen=True, slots=True)
class Fault:
    line: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Planned:
    name: str
    """Within the plan."""
    spec: Spec
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    title: str
    tickets: tuple[Planned, ...]
    warnings: tuple[str, ...] = ()
    """Said before anything starts: tickets that may get in each other's way."""
    repository: str = ""
    base: str = ""
    branch: str = ""
    push: str = ""


def read_plan(text: str) -> Plan | list[Fault]:
    if len(text.encode(errors="surrogatepass")) > PLAN_BYTES_MAX:
        return [Fault(1, f"the plan is larger than {PLAN_BYTES_MAX // 1024} KiB; several runs are as good")]
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, UnicodeError) as error:
        at = _LINE.search(str(error))
        said = _LINE.sub("", str(error)).strip() or "nested too deeply"
        return [Fault(int(at[1]) if at else max(1, text.count("\n")), f"is not TOML: {said}")]
    return Reading(found, Places(text)).whole()


class Reading:
    """One plan while it is looked at; goes on after each fault.

    `step` looks at some more tickets and says whether there are any left, for a node that has other work; `result` is
    to be asked for after that.
    """

    def __init__(self, found: Mapping[str, Any], places: Places | None = None) -> None:
        """What TOML says, or JSON of the same form. Without the text faults have no line but 0."""
        self._found = found
        self._places = places
        self._faults: list[Fault] = []
        self._read: list[Planned | None] = []
        self._defaults = self._read_defaults()

    def whole(self) -> Plan | list[Fault]:
        while self.step():
            pass
        return self.result()

    def step(self) -> bool:
        found = self._found.get("ticket", [])
        if not isinstance(found, list) or len(found) > PLAN_TICKETS_MAX or len(self._read) >= len(found):
            return False
        at = len(self._read)
        self._read += [self._ticket(at + more, one) for more, one in enumerate(found[at : at + STEP])]
        return True

    def result(self) -> Plan | list[Fault]:
        head = {key: value for key, value in self._found.items() if key not in {"ticket", "defaults"}}
        known = (*fields.HEAD, "[defaults]", "[[ticket]]")
        self._note(-1, fields.faults(fields.HEAD, head, known))
        if "name" not in head:
            self._fault(-1, "", 'name is missing: name = "what-the-run-is-called"')
        tickets_found = self._found.get("ticket", [])
        if not isinstance(tickets_found, list) or not tickets_found:
            self._fault(-1, "ticket", "a plan has tickets: [[ticket]], and below it id = …")
            return self._sorted()
        if len(tickets_found) > PLAN_TICKETS_MAX:
            self._fault(-1, "", f"has {len(tickets_found)} tickets; {PLAN_TICKETS_MAX} at most")
            return self._sorted()
        planned = [one for one in self._read if one is not None]
        if len(planned) == len(tickets_found):
            self._check_together(planned)
        if self._faults:
            return self._sorted()
        return Plan(
            name=head["name"],
            title=head.get("title", ""),
            tickets=tuple(planned),
            warnings=tuple(overlaps({one.name: (one.after, one.spec.permission_scope.fs_write) for one in planned})),
            **{key: head.get(key, "") for key in ("repository", "base", "branch", "push")},
        )

    def _read_defaults(self) -> dict[str, Any]:
        found = self._found.get("defaults", {})
        if not isinstance(found, dict):
            self._fault(-1, "defaults", "defaults has to be a table: [defaults]")
            return {}
        for key, sentence in fields.faults(fields.SPEC, found, tuple(fields.SPEC)):
            self._fault(-1, f"defaults.{key}", f"[defaults] {sentence}")
        if "idempotency_key" in found:
            self._fault(-1, "defaults.idempotency_key", "[defaults] idempotency_key: each ticket has one of its own")
        return found

    def _ticket(self, number: int, found: object) -> Planned | None:
        if not isinstance(found, dict):
            self._fault(number, "", "a ticket is a table: [[ticket]]")
            return None
        before, defaults = len(self._faults), self._defaults
        self._note(number, fields.faults(fields.TICKET, found, tuple(fields.TICKET)))
        if "id" not in found:
            self._fault(number, "", "this ticket has no id")
        if len(self._faults) > before:
            return None
        values = {**defaults, **{key: value for key, value in found.items() if key not in {"id", "after"}}}
        for key in ("constraints", "permission_scope"):
            if key in found and key in defaults:
                values[key] = {**defaults[key], **found[key]}
        if any(not isinstance(values.get(key, {}), dict) for key in ("constraints", "permission_scope")):
            return None  # of the defaults, and said there
        try:
            spec = tickets.of_mapping(values)
        except TypeError:
            return None  # an unknown key of the defaults, said there
        self._check(number, found["id"], spec)
        return Planned(found["id"], spec, tuple(found.get("after", ())))

    def _check(self, number: int, name: str, spec: Spec) -> None:
        """What holds between the fields of one ticket."""
        if spec.runtime == "command" and not spec.command:
            self._fault(number, "runtime", f'{name} has no command: command = ["program", "argument"]')
        if spec.runtime == "noop" and (spec.command or spec.success_criteria or spec.permission_scope.fs_write):
            self._fault(number, "runtime", f'{name} does nothing (noop): runtime = "command" runs one')
        if spec.permission_scope.fs_write and not spec.idempotency_key:
            self._fault(
                *(number, "permission_scope"),
                f"{name} writes and has no idempotency_key: without one a retry could do it twice",
            )
        size = len(tickets.encode(spec).encode())
        if size > SPEC_BYTES_MAX:
            self._fault(number, "text", f"{name} has {size} bytes; {SPEC_BYTES_MAX} at most travel in one envelope")

    def _check_together(self, planned: Sequence[Planned]) -> None:
        names: dict[str, int] = {}
        keys: dict[str, str] = {}
        for number, one in enumerate(planned):
            if one.name in names:
                self._fault(number, "id", f"{one.name} is there twice")
            names.setdefault(one.name, number)
            key = one.spec.idempotency_key
            if key and key in keys:
                self._fault(number, "idempotency_key", f"{one.name} has the idempotency_key of {keys[key]}")
            keys.setdefault(key, one.name)
        for number, one in enumerate(planned):
            for name in one.after:
                if name not in names:
                    self._fault(number, "after", f"{one.name} comes after {name}, which is no ticket of this plan")
        if self._faults:
            return
        circle = cycle({one.name: one.after for one in planned})
        if circle:
            self._fault(names[circle[0]], "after", f"{' → '.join([*circle, circle[0]])} wait for each other")

    def _note(self, number: int, found: Sequence[tuple[str, str]]) -> None:
        for key, sentence in found:
            self._fault(number, key, sentence)

    def _fault(self, number: int, key: str, sentence: str) -> None:
        line = 0 if self._places is None else self._places.line(number, key)
        self._faults.append(Fault(line, sentence))

    def _sorted(self) -> list[Fault]:
        return sorted(self._faults, key=lambda fault: fault.line)[:FAULTS_SHOWN]
