"""From a home to a node at work. The order is the rule: whatever can refuse the home does so before anything of it
is changed, and nothing is let in before what was accepted earlier is where it belongs.

    home checks → lock → config and identity → ledger, migrations, whose it is → membership → bus recovered →
    tree of tasks
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import trio
from netsky.node.actors.manager import Actors
from netsky.node.actors.voices import Voices
from netsky.node.blobs.collect import recover as recover_blobs
from netsky.node.blobs.store import BlobStore
from netsky.node.bus.bus import Bus
from netsky.node.bus.folders import open_channel
from netsky.node.config import LiveConfig
from netsky.node.daemon.crashes import Crashes
from netsky.node.daemon.node import Node
from netsky.node.daemon.reading import LazyReader
from netsky.node.daemon.ticker import Ticker
from netsky.node.daemon.told import Told
from netsky.node.db import actors, node_state
from netsky.node.db.actors import ActorRow
from netsky.node.db.group import GroupCommit
from netsky.node.db.opening import Opened, begin, finish, settings
from netsky.node.errors import Conflict, Unusable
from netsky.node.escalate.pager import Pager
from netsky.node.events import Events, Signals
from netsky.node.halt.halting import Halting
from netsky.node.halt.orders import Orders
from netsky.node.halt.receipt import KIND as CONTROL
from netsky.node.handoff.new_life import NewLife
from netsky.node.handoff.restarts import Restarts
from netsky.node.home import (
    HOLDER_NAME,
    Home,
    HomeLock,
    check_permissions,
    check_socket,
    prepare_runtime_folder,
    remove_runtime_folder,
    take_lock,
    was_restored,
)
from netsky.node.identity import NODE_KEY, Identity, check_owner, read_identity
from netsky.node.links.make import make_links
from netsky.node.log import Log
from netsky.node.markers import Markers
from netsky.node.membership.membership import Membership, Parts
from netsky.node.owner.make import add_desk
from netsky.node.schedule.parts import add_schedules
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Ledger, LedgerBroken, LedgerFull, LedgerUnusable
from netsky.node.version import program_version
from netsky.node.watch.watchdog import add_watchdog
from netsky.node.work.repo.shelf import Shelf
from netsky.node.work.work import add_work
from netsky.relay.authority import VOICES, WATCHDOG

if TYPE_CHECKING:
    from netsky.node.config import Config
    from netsky.node.daemon.node import Watch

_LOCK_PATIENCE_NS = 500_000_000
_LOCK_POLL_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is not of the home: the process and those who watch it."""

    pid: int
    echo: Callable[[str], None] | None = None
    """Gets each line of the log as well."""
    watch: Watch | None = None


@asynccontextmanager
async def open_node(home: Home, seams: Seams, around: Surroundings) -> AsyncIterator[Node]:
    """A node with its database open and its bus recovered, and no task running yet."""
    files = seams.files
    check_permissions(home, files)
    lock = await _locked(home, seams, around.pid)
    try:
        live = LiveConfig(home, files)
        identity = read_identity(home, files, live.current)
        prepare_runtime_folder(home, files)
        check_socket(home, files)
        log = _open_log(home, seams, live.current, around)
        try:
            async with _open_ledger(home, seams, identity) as (ledger, opened):
                yield await _assemble(
                    *(home, seams, around),
                    live=live,
                    identity=identity,
                    lock=lock,
                    log=log,
                    ledger=ledger,
                    opened=opened,
                )
        finally:
            log.close()
            remove_runtime_folder(home, files)
    finally:
        _unlock(home, seams, lock)


async def _locked(home: Home, seams: Seams, pid: int) -> HomeLock:
    """Asked for a moment: `is_free` takes the lock to look, a child of whoever looks has it until its exec, and a
    process that was killed until its last thread has ended."""
    until = seams.time.monotonic() + _LOCK_PATIENCE_NS
    while (lock := take_lock(home, seams.files)) is None:
        now = seams.time.monotonic()
        if now >= until:
            raise Conflict(f"a node runs already in {home.path}", next="netsky status", code="home_in_use")
        await seams.time.sleep_until(now + _LOCK_POLL_NS)
    text = json.dumps({"pid": pid, "started_at": seams.time.wall()})
    folder = seams.files.open_folder(home.path)
    try:
        seams.files.replace(folder, HOLDER_NAME, text.encode() + b"\n")
    finally:
        seams.files.close(folder)
    return lock


def _unlock(home: Home, seams: Seams, lock: HomeLock) -> None:
    folder = seams.files.open_folder(home.path)
    try:
        seams.files.remove(folder, HOLDER_NAME)
    finally:
        seams.files.close(folder)
    lock.release()


def _open_log(home: Home, seams: Seams, config: Config, around: Surroundings) -> Log:
    return Log(
        seams.files,
        home.logs,
        seams.time,
        bytes_max=config.log_mib << 20,
        files_max=config.log_files,
        also=around.echo,
    )


@asynccontextmanager
async def _open_ledger(home: Home, seams: Seams, identity: Identity) -> AsyncIterator[tuple[Ledger, Opened]]:
    begun = broken = False
    ledger = None
    try:
        try:
            ledger = seams.ledger.open(home.database)
            opened = await begin(ledger, home.database, seams.time.wall(), program_version())
            begun = True
            await _check_owner(home, ledger, identity)
        except LedgerUnusable as unusable:
            raise Unusable(str(unusable), home.database) from None
        yield ledger, opened
    except BaseException as error:
        broken = _is_broken(error)
        raise
    finally:
        if ledger is not None:
            if begun and not broken:  # a file that was refused is not marked as closed in order: nothing of it changes
                with trio.CancelScope(shield=True):
                    await _finish(ledger)
            ledger.close()


async def _finish(ledger: Ledger) -> None:
    with suppress(LedgerBroken, LedgerFull):  # then the next start finds the mark of this one and checks the file
        await finish(ledger)


def _is_broken(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_broken(part) for part in error.exceptions)
    return isinstance(error, LedgerBroken)


async def _check_owner(home: Home, ledger: Ledger, identity: Identity) -> None:
    [rows] = await ledger.transaction([node_state.get(NODE_KEY)])
    owner = node_state.value(rows)
    check_owner(home, identity, owner)
    if owner is None:
        await ledger.transaction([node_state.put(NODE_KEY, identity.key)])


async def _assemble(
    home: Home,
    seams: Seams,
    around: Surroundings,
    *,
    live: LiveConfig,
    identity: Identity,
    lock: HomeLock,
    log: Log,
    ledger: Ledger,
    opened: Opened,
) -> Node:
    events, signals = Events(seams.time), Signals()
    group = GroupCommit(ledger, seams.time)
    node = Node(
        home=home,
        seams=seams,
        live_config=live,
        identity=identity,
        lock=lock,
        log=log,
        events=events,
        signals=signals,
        ledger=ledger,
        opened=opened,
        settings=await settings(ledger),
        group=group,
        reader=LazyReader(home, seams.time),
        crashes=Crashes(home, log, events, group, seams.time),
        started_at=seams.time.wall(),
        started_monotonic=seams.time.monotonic(),
        pid=around.pid,
        watch=around.watch,
    )
    await _load_membership(node)
    await _own_actors(node)
    node.blobs = BlobStore(home.blobs, seams.files, group, seams.time, lambda: node.config.free_mib_floor << 20)
    node.shelf = Shelf(home.path, group, seams, lambda: node.config.free_bytes_floor)
    node.bus = Bus(
        channels=home.channels,
        files=seams.files,
        time=seams.time,
        chance=seams.chance,
        identity=node.identity,
        config=lambda: node.config,
        group=group,
        notify=Told(log, events, signals),
        mesh=node,
        pid=around.pid,
        held=node.is_held,
    )
    await _make_actors(node, ledger)
    _add_watch(node)
    node.links = make_links(node)
    if node.links is not None:
        node.membership.sightings = node.links
    add_work(node)
    await _recover(node)
    return node


def _add_watch(node: Node) -> None:
    """What keeps time, sees to it that work goes on, and reaches the owner. Each adds itself to ticker and voices."""
    node.markers = Markers(node.home, node.seams.files)
    node.ticker = Ticker(
        time=node.seams.time,
        seconds=lambda: node.config.tick_seconds,
        group=node.group,
        markers=node.markers,
        events=node.events,
        log=node.log,
        crashed=node.crashes.report,
        pid=node.pid,
    )
    node.pager = Pager(node)
    add_watchdog(node)
    node.restarts, node.life = Restarts(node), NewLife(node)
    node.ticker.parts += [node.restarts, node.life]
    node.life.begin()
    add_schedules(node)
    add_desk(node)


async def _recover(node: Node) -> None:
    """What was accepted earlier is where it belongs."""
    store, crashed = node.ledger.transaction, node.opened.after_crash
    restored = was_restored(node.home, node.seams.files)
    recovered = await node.bus.recover(store, after_crash=crashed, restored=restored)
    node.log.event("bus.recovered", **asdict(recovered), blobs_removed=await recover_blobs(node.blobs, store))


async def _make_actors(node: Node, ledger: Ledger) -> None:
    """With what is known of a halt, before any task runs: a halted node takes nothing in and starts nothing."""
    node.actors = Actors(node)
    node.voices = Voices(node)
    node.halt = Halting(node)
    await node.halt.load(ledger)
    node.orders = Orders(node)
    await node.orders.load(ledger)
    node.bus.planner.door.halted = node.halt.refusal
    node.complaints.append(node.halt.complaints)
    node.voices.hear(WATCHDOG, CONTROL, node.orders.hear)


async def _load_membership(node: Node) -> None:
    """Who belongs to the mesh, and by that what this node is called: everything after it uses the name."""
    node.membership = Membership(
        Parts(
            home=node.home,
            seams=node.seams,
            identity=node.identity,
            ledger=node.ledger,
            group=node.group,
            signals=node.signals,
            events=node.events,
            log=node.log,
            crashed=node.crashes.report,
        )
    )
    await node.membership.load(node.config.label)
    node.identity = node.membership.named(node.identity)


async def _own_actors(node: Node) -> None:
    """agent0, and on the root the owner, are always there; their channel folders too, and those of the voices."""
    names = ("agent0", "owner") if node.identity.root else ("agent0",)
    [found] = await node.ledger.transaction([actors.all()])
    here = {row.name for row in actors.rows(found)}
    missing = [ActorRow(name, (), "none", None, False, True, {}, node.started_at) for name in names if name not in here]
    if missing:
        await node.ledger.transaction([actors.put(row) for row in missing])
    for name in sorted(here.union(names, VOICES)):
        open_channel(node.seams.files, node.home.channels, name).close()
