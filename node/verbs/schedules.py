"""Verbs of cron and loops. An actor that leads others may schedule itself, and nobody else; a worker nothing."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import trio
from netsky.envelope.address import parse_address
from netsky.envelope.invalid import Invalid
from netsky.node.db.schedules import ScheduleRow
from netsky.node.errors import NotFound, Refused, TryLater, Usage
from netsky.node.schedule.cronline import shown_at
from netsky.node.schedule.entries import MISSED, Entry
from netsky.node.schedule.firing import Breath, through_root
from netsky.node.schedule.limits import DYNAMIC_S, INTERVAL_MOST_S, OWN_MAX
from netsky.node.schedule.loop import Loop
from netsky.node.schedule.zones import NoZone
from netsky.relay.authority import ROOT_MANAGER, role_of

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.verbs.args import Args

FIRES_SHOWN = 3
FIRES_MAX = 100


async def cron_add(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """`here` is the zone of whoever types, where neither he nor the config names one."""
    texts = {name: args.text(name) for name in ("label", "schedule", "target", "prompt")}
    tz, here, missed = args.maybe_text("tz"), args.maybe_text("here"), args.maybe_text("missed")
    args.nothing_else()
    if missed not in {None, *MISSED}:
        raise Usage(f"cron add: missed is one of {', '.join(MISSED)}", next="netsky cron add -h")
    texts["target"] = _target(node, caller, texts["target"])
    await node.cron.current()
    if not caller.is_operator:
        _room(sum(_is_own(node, caller, node.cron.table.entry(label).target) for label in node.cron.table.labels()))
    values: dict[str, object] = dict(texts)
    zone = tz or (None if node.config.tick_tz else _known(node, here))
    values |= {} if zone is None else {"tz": zone}
    values |= {} if missed is None else {"missed": missed}
    entry = await node.cron.add(values)
    return _entry(node, entry, node.cron.firing.rows[entry.label], FIRES_SHOWN) | {
        "words": entry.line.words(),
        "through_root": through_root(node),
    }


async def cron_ls(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    args.nothing_else()
    await node.cron.current()
    breath = Breath(node.seams.time)
    entries = []
    for label in node.cron.table.labels():
        entry = node.cron.table.entry(label)
        if _may_see(node, caller, entry.target):
            entries.append(_entry(node, entry, node.cron.firing.rows[label], 1))
        await breath()
    fault = node.cron.fault
    return {
        "entries": entries,
        "fault": None if fault is None else {"path": fault.path, "line": fault.line, "sentence": fault.sentence},
        "tz": node.cron.default_tz,
        "through_root": through_root(node),
    }


async def cron_rm(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    label = args.text("label")
    args.nothing_else()
    await node.cron.current()
    if not caller.is_operator:
        own = label in node.cron.table.labels() and _is_own(node, caller, node.cron.table.entry(label).target)
        if not own:
            raise NotFound(f"there is no schedule {label[:64]!r} of yours", next="netsky cron ls", code="no_schedule")
    await node.cron.rm(label)
    return {"label": label}


async def cron_tick(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001 - the form of a verb
    """Its part of a round, now."""
    args.nothing_else()
    return {**await node.cron.tick(node.now())}


async def cron_next(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """The next due times of one entry, or of all that the caller sees, the first first."""
    label, count = args.maybe_text("label"), args.whole("count", FIRES_SHOWN, 1, FIRES_MAX)
    args.nothing_else()
    await node.cron.current()
    labels = [one for one in node.cron.table.labels() if _may_see(node, caller, node.cron.table.entry(one).target)]
    if label is not None and label not in labels:
        raise NotFound(f"there is no schedule {label[:64]!r}", next="netsky cron ls", code="no_schedule")
    breath, found = Breath(node.seams.time), []
    for one in labels if label is None else [label]:
        entry = node.cron.table.entry(one)
        found += [{"label": one, **fire} for fire in _fires(node, entry, count)]
        await breath()
    return {"fires": sorted(found, key=lambda fire: (fire["at"], fire["label"]))[:count]}


async def loop_create(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    prompt, every = args.text("prompt"), args.seconds("every", 0, INTERVAL_MOST_S)
    target = _target(node, caller, args.maybe_text("target") or caller.actor or ROOT_MANAGER)
    named = args.maybe_text("id")
    args.nothing_else()
    await node.loops.current()
    id = named or _free_id(node.loops.in_force)  # noqa: A001
    if not caller.is_operator:
        _room(sum(_is_own(node, caller, loop.target) for loop in node.loops.in_force.values()))
    created = datetime.fromtimestamp(node.now() // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if every:
        loop = Loop(id, target, prompt, "fixed", round(every), created)
    else:
        loop = Loop(id, target, prompt, "dynamic", None, created)
    row = await node.loops.create(loop)
    return _loop(node, loop, row) | {"through_root": through_root(node)}


def _free_id(taken: Collection[str]) -> str:
    return next(name for number in itertools.count(1) if (name := f"loop{number}") not in taken)


async def loop_ls(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    args.nothing_else()
    await node.loops.current()
    await trio.lowlevel.checkpoint()
    rows = node.loops.firing.rows
    loops = [
        _loop(node, loop, rows[id])
        for id, loop in node.loops.in_force.items()  # noqa: A001
        if _may_see(node, caller, loop.target)
    ]
    faults = [{"path": one.path, "line": one.line, "sentence": one.sentence} for one in node.loops.faults]
    return {"loops": loops, "faults": faults if caller.is_operator else []}


async def loop_rm(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    id = args.text("id")  # noqa: A001 - the file's word
    args.nothing_else()
    await _own_loop(node, caller, id)
    await node.loops.rm(id)
    return {"id": id}


async def loop_tick(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    args.nothing_else()
    return {**await node.loops.tick(node.now())}


async def loop_reschedule(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Due again so long from now; asked for by the one that it is for, or the operator."""
    id, span = args.text("id"), args.seconds("in", DYNAMIC_S, INTERVAL_MOST_S)  # noqa: A001
    args.nothing_else()
    await _own_loop(node, caller, id)
    row = await node.loops.reschedule(id, max(1, round(span)) * 10**9)
    return _loop(node, node.loops.in_force[id], row)


async def _own_loop(node: Node, caller: Caller, id: str) -> None:  # noqa: A002
    await node.loops.current()
    loop = node.loops.in_force.get(id)
    if not caller.is_operator and (loop is None or not _is_own(node, caller, loop.target)):
        raise NotFound(f"there is no loop {id[:64]!r} of yours", next="netsky loop ls", code="no_loop")


def _target(node: Node, caller: Caller, said: str) -> str:
    """In its one spelling. Whoever is not the operator schedules itself."""
    try:
        target = parse_address(said)
    except Invalid as invalid:
        raise Usage(invalid.sentence, next="netsky help addresses", code=invalid.code) from None
    if not caller.is_operator:
        assert caller.actor is not None
        if role_of(caller.actor) not in {"agent0", "manager"}:
            raise Refused(
                f"{caller.actor} schedules nothing: agent0 and managers may schedule themselves",
                next="ask your manager",
                code="authority",
            )
        if not _is_own(node, caller, str(target)):
            raise Refused(
                f"{caller.actor} may schedule itself alone, not {target}",
                next=f"name {caller.actor} as the target, or ask the operator",
                code="authority",
            )
    return target.actor if target.node == node.identity.name else str(target)


def _is_own(node: Node, caller: Caller, target: str) -> bool:
    to = parse_address(target)
    return to.actor == caller.actor and to.node in {None, node.identity.name}


def _may_see(node: Node, caller: Caller, target: str) -> bool:
    return caller.is_operator or _is_own(node, caller, target)


def _room(own: int) -> None:
    if own >= OWN_MAX:
        raise TryLater(f"you have {own} of them already", next="remove one that is no longer needed", code="own_full")


def _known(node: Node, zone: str | None) -> str | None:
    """The zone of whoever types, if this node knows it too."""
    if zone is None:
        return None
    try:
        node.cron.zones(zone)
    except NoZone:
        return None
    return zone


def _entry(node: Node, entry: Entry, row: ScheduleRow, fires: int) -> dict[str, Any]:
    return {
        "label": entry.label,
        "schedule": entry.line.text,
        "tz": entry.tz,
        "target": entry.target,
        "prompt": entry.prompt,
        "missed": entry.missed,
        "enabled": entry.enabled,
        "next": _fires(node, entry, fires),
        **_how_it_went(row),
    }


def _fires(node: Node, entry: Entry, count: int) -> list[dict[str, Any]]:
    """From what was dealt with on, so that what waits for the next round shows as well."""
    found: list[dict[str, Any]] = []
    if not entry.enabled:
        return found
    at = node.cron.table.next_due(entry.label)
    while at is not None and len(found) < count:
        found.append({"at": at, "local": shown_at(at, entry.zone), "tz": entry.tz})
        at = entry.line.after(entry.zone, at)
    return found


def _loop(node: Node, loop: Loop, row: ScheduleRow) -> dict[str, Any]:
    zone = node.cron.default_tz
    due = row.due or 0
    return {
        "id": loop.id,
        "target": loop.target,
        "mode": loop.mode,
        "interval_s": loop.interval_s,
        "prompt": loop.prompt,
        "created": loop.created,
        "next": [{"at": due, "local": shown_at(due, node.cron.zones(zone)), "tz": zone}],
        **_how_it_went(row),
    }


def _how_it_went(row: ScheduleRow) -> dict[str, Any]:
    return {
        "fired": row.fired,
        "envelope": row.envelope,
        "missed_times": row.missed,
        "fault": {"sentence": row.fault, "since": row.fault_at} if row.fault else None,
    }
