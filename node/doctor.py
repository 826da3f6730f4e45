"""`netsky doctor`: one check after the other, each with what it means and what to type. It changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from netsky.node.cli.text import listens_at
from netsky.node.client import Client
from netsky.node.config import Config, read_config
from netsky.node.errors import NetskyError, TimedOut, Unreachable, Unusable
from netsky.node.escalate.check import findings as way_to_owner
from netsky.node.home import Home, check_permissions, take_lock
from netsky.node.seams.files import Files
from netsky.node.seams.ledger import LedgerUnusable
from netsky.node.seams.time import Time
from netsky.node.service.check import findings
from netsky.node.up import holder_pid
from netsky.node.version import program_version

Level = Literal["ok", "warn", "fail"]

RELEASED_NS = 1_760_000_000 * 10**9
"""A clock before this was never set."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    level: Level
    sentence: str
    next: str = ""
    """What to type or to do; empty if nothing is wrong."""


def examine(home: Home, files: Files, time: Time) -> list[Check]:
    """All checks that make sense: what builds on a failed one is left out."""
    checks = [*_program(), *_guard("home", lambda: _home(home, files))]
    if any(check.level == "fail" for check in checks):
        return checks
    config = _guard("config", lambda: _config(home, files))
    checks += config
    if config[0].level != "fail":
        checks += _guard("key", lambda: _key(home, files))
    checks += _guard("disk", lambda: _disk(home, files))
    checks += _clock(time)
    checks += _guard("node", lambda: _node(home, files))
    checks += _guard("owner", lambda: (Check("owner", *finding) for finding in way_to_owner(home)))
    checks += _guard("service", lambda: (Check("service", *finding) for finding in findings(home)))
    return checks


def _guard(name: str, check: Callable[[], Iterator[Check]]) -> list[Check]:
    """A check that raises what a person can act upon has found something."""
    found: list[Check] = []
    try:
        found.extend(check())
    except NetskyError as error:
        found.append(Check(name, "fail", error.message, error.next))
    except OSError as error:
        found.append(Check(name, "fail", f"{error.filename or name}: {error.strerror}", "look at that path"))
    return found


def _program() -> Iterator[Check]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if __debug__:
        yield Check("python", "ok", f"Python {version}, with its own checks on")
    else:
        yield Check(
            "python", "fail", "Python runs without assertions, and this software relies on them",
            "unset PYTHONOPTIMIZE, leave -O away",
        )  # fmt: skip


def _home(home: Home, files: Files) -> Iterator[Check]:
    check_permissions(home, files)
    yield Check("home", "ok", f"{home.path} is yours alone")
    if not home.sockets_fit:
        yield Check("sockets", "ok", f"the path of the home is long, so the sockets are in {home.runtime_folder}")


def _config(home: Home, files: Files) -> Iterator[Check]:
    config = read_config(home, files)
    yield Check("config", "ok", f"{home.config} is in order: this node is {config.name}")


def _key(home: Home, files: Files) -> Iterator[Check]:
    from netsky.node.identity import read_identity  # noqa: PLC0415 - brings cryptography

    identity = read_identity(home, files, read_config(home, files))
    what = "the root of its mesh" if identity.root else "in no mesh yet" if identity.charter is None else "a sibling"
    yield Check("key", "ok", f"{identity.name}, key {identity.fingerprint}, {what}")
    folder = files.open_folder(home.path)
    try:
        owner_key_is_here = files.facts(folder, "owner.key") is not None
    finally:
        files.close(folder)
    if owner_key_is_here:
        yield Check(
            "owner key", "warn", f"the owner key is still on this machine: {home.at('owner.key')}",
            "copy it to something that you can unplug, then delete it here",
        )  # fmt: skip


def _disk(home: Home, files: Files) -> Iterator[Check]:
    try:
        floor = read_config(home, files).free_bytes_floor
    except NetskyError:
        floor = Config().free_bytes_floor
    free = files.free_bytes(home.path)
    said = f"{free >> 20} MiB free"
    if free < floor:
        yield Check(
            "disk", "fail", f"{said}, below the floor of {floor >> 20} MiB: nothing new is accepted",
            "free some space, or lower [bus] free_mib_floor",
        )  # fmt: skip
    elif free < 2 * floor:
        yield Check("disk", "warn", f"{said}; at {floor >> 20} MiB nothing new is accepted", "free some space")
    else:
        yield Check("disk", "ok", said)


def _clock(time: Time) -> Iterator[Check]:
    if time.wall() < RELEASED_NS:
        yield Check("clock", "fail", "the clock of this machine is years behind", "set it: timedatectl")
    else:
        yield Check("clock", "ok", "the clock is set")


def _node(home: Home, files: Files) -> Iterator[Check]:
    try:
        with Client.connect(home, timeout=5) as client:
            status = client.call("status")
    except (Unreachable, TimedOut):
        yield from _not_answering(home, files)
        return
    yield Check("node", "ok", f"{status['name']} runs (pid {status['pid']}, version {status['version']})")
    yield from _running(status)


def _not_answering(home: Home, files: Files) -> Iterator[Check]:
    lock = take_lock(home, files)
    if lock is not None:
        try:
            yield from _guard("database", lambda: _database(home, files))
            yield from _schedules(home, files)
        finally:
            lock.release()
        yield Check("node", "warn", "the node is not running", "netsky up")
        return
    pid = holder_pid(home)
    yield Check(
        "node", "fail", f"process {pid or '(unknown)'} holds this home and does not answer",
        f"look into {home.node_log}; if it hangs: kill -9 {pid or 'PID'}, then netsky up",
    )  # fmt: skip


def _schedules(home: Home, files: Files) -> Iterator[Check]:
    """While the node runs its status has them."""
    from netsky.node.schedule.reading import mistakes  # noqa: PLC0415 - brings time zones

    for fault in mistakes(home, files):
        yield Check("schedules", "fail", f"{fault}", f"correct {fault.path}; netsky help time")


def _database(home: Home, files: Files) -> Iterator[Check]:
    """What a start would say of it, with the lock held."""
    from netsky.node.db.examining import examine as examine_database  # noqa: PLC0415 - brings sqlite3
    from netsky.node.identity import NODE_KEY, check_owner, read_identity  # noqa: PLC0415 - brings cryptography

    try:
        owner = examine_database(home.database, program_version(), NODE_KEY)
    except LedgerUnusable as unusable:
        raise Unusable(str(unusable), home.database) from None
    try:
        identity = read_identity(home, files, read_config(home, files))
    except NetskyError:
        return  # said before, as config or key
    check_owner(home, identity, owner)
    whose = "new" if owner is None else "this node's, and of a version that this program reads"
    yield Check("database", "ok", f"{home.database} is {whose}")


def _running(status: dict[str, Any]) -> Iterator[Check]:
    ledger = status["ledger"]
    if ledger.get("journal_mode") == "wal" and ledger.get("synchronous") == 2:
        yield Check("database", "ok", "write-ahead log, synced at every commit, as read back from it")
    else:
        yield Check("database", "fail", f"the database runs with other settings: {ledger}", "netsky restart")
    if status["fence"] == "none":
        yield Check(
            "fence", "warn", f"no fence here ({status['fence_missing']}): programs of actors can do what you can do",
            "install bubblewrap, then netsky restart; netsky help trust says what it means",
        )  # fmt: skip
    else:
        yield Check("fence", "ok", f"programs of actors run behind a fence ({status['fence']})")
    for actor in status["actors"]:
        if actor["mode"] != "none" and not actor["fenced"]:
            sentence = f"{actor['name']} runs without a fence and counts as you"
            yield Check("fence", "warn", sentence, f"netsky agent rm {actor['name']}, and add it with one")
    if status.get("network") is not None and not any(fault["code"] == "network" for fault in status["faults"]):
        yield Check("network", "ok", f"links listen at {listens_at(status['network'])}")
    halted, cut = status["halted"], status["cut_off"]
    if halted is not None:
        step = f"on netsky0: netsky resume --node {status['name']}" if halted["by_root"] else "netsky resume"
        why = f": {halted['reason']}" if halted["reason"] else ""
        yield Check("halted", "warn", f"halted by {halted['who']}{why}: it runs nothing and takes no work", step)
    if cut is not None and cut["cut"]:
        sentence = "no link to netsky0, so nothing that came from there is handed out"
        yield Check("cut off", "warn", sentence, "netsky status says why there is no link")
    for fault in status["faults"]:
        yield Check(fault["code"], "fail", fault["sentence"], fault["next"])
    if status["crashes"]:
        yield Check(
            "crashes", "warn", f"{status['crashes']} crashes since it started",
            'netsky query "SELECT * FROM crashes ORDER BY id DESC LIMIT 5"',
        )  # fmt: skip
    if status["after_crash"]:
        sentence = "the last run did not end in order; the database was checked and is whole"
        yield Check("last run", "ok", sentence)
