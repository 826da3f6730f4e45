"""The sweep: at `[bus] sweep_ms` a look at each actor's folder, and work where time stamps say that something moved."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import trio
from netsky.envelope.address import actor_invalid
from netsky.node.bus import notice
from netsky.node.bus.door import Door
from netsky.node.bus.folders import FOLDERS, PROCESSED, Channel, open_channel
from netsky.node.bus.intake import Intake, Taken
from netsky.node.bus.limits import RETRY_NS_MAX, SCAN, SWEEP_PAUSE_FACTOR, SWEEP_PAUSE_NS_MAX, SWEEP_YIELD
from netsky.node.bus.project import Projector, Store, Told
from netsky.node.config import Config
from netsky.node.errors import NetskyError, TryLater
from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.time import Time

Marks = dict[str, int]
"""Folder -> its time of change."""


@dataclass(slots=True)
class _Look:
    """What was seen of one actor's folders, and whether to look once more."""

    marks: Marks = field(default_factory=dict)
    again: frozenset[str] = frozenset()
    waits: bool = False  # files stay in the outbox that no change of the folder will announce


class Sweep:
    def __init__(
        self,
        *,
        files: Files,
        channels: str,
        store: Store,
        time: Time,
        config: Callable[[], Config],
        door: Door,
        intake: Intake,
        projector: Projector,
        told: Told,
    ) -> None:
        self._files = files
        self._channels = channels
        self._store = store
        self._time = time
        self._config = config
        self._door = door
        self._intake = intake
        self._projector = projector
        self._told = told
        self._looks: dict[str, _Look] = {}
        self._faults: dict[str, str] = {}

    async def run(self) -> None:
        while True:
            began = self._time.monotonic()
            if await self.turn():
                await trio.lowlevel.checkpoint()
            else:
                ended = self._time.monotonic()
                pause = min((ended - began) * SWEEP_PAUSE_FACTOR, SWEEP_PAUSE_NS_MAX)
                await self._time.sleep_until(max(began + self._config().sweep_ns, ended + pause))

    @property
    def faults(self) -> dict[str, str]:
        """Paths of folders that cannot be looked at, and why."""
        return dict(self._faults)

    async def turn(self) -> bool:
        """One look at everything. True if there is more to do at once."""
        self._projector.retry(RETRY_NS_MAX // self._config().sweep_ns)
        try:
            self.look_at_disk()
            channels = self._files.open_folder(self._channels)
        except (OSError, HostileFile) as error:
            self._fault(self._channels, error)
            return False
        try:
            return await self._look_at_all(channels)
        except (OSError, HostileFile) as error:
            self._fault(self._channels, error)
            return False
        finally:
            self._files.close(channels)

    async def intake_of(self, actor: str) -> Taken:
        """For whoever asks at once."""
        with open_channel(self._files, self._channels, actor) as channel:
            return await self._intake.turn(channel)

    def look_again(self, actor: str) -> None:
        """Something about this actor's files changed that no time stamp shows."""
        look = self._looks.setdefault(actor, _Look())
        look.again |= {"inbox", "claimed"}

    def look_at_disk(self) -> None:
        floor = self._config().free_bytes_floor
        free = self._files.free_bytes(self._channels)
        low = None
        if free < floor:
            low = f"The disk has {free >> 20} MiB left, and below {floor >> 20} MiB nothing new is accepted."
        if (low is None) != (self._door.disk_low is None):
            self._told.event("disk_low" if low else "disk_recovered", free=free, floor=floor)
        self._door.disk_low = low

    async def _look_at_all(self, channels: int) -> bool:
        actors = _actors_in(self._files, channels)
        if self._faults:
            self._forget_faults({self._channels} | self._faults.keys() - {self._path(actor) for actor in actors})
        more = False
        for count, actor in enumerate(actors, 1):
            try:
                more |= await self._look(actor, channels)
                if self._faults:
                    self._forget_faults({self._path(actor)})
            except TryLater:
                more = False  # a full disk: the next turn tries again
            except (OSError, HostileFile, NetskyError) as error:
                self._fault(self._path(actor), error)
            if count % SWEEP_YIELD == 0:
                await trio.lowlevel.checkpoint()
        return more

    async def _look(self, actor: str, channels: int) -> bool:
        look = self._looks.setdefault(actor, _Look())
        marks = self._marks(actor, channels)
        if marks == look.marks and not look.again and not look.waits:
            return False
        changed = frozenset(folder for folder in marks if marks[folder] != look.marks.get(folder))
        due = changed | look.again
        if not due and not look.waits:
            return False
        # Two changes within one tick of the file system's clock look like one: so each is looked at twice.
        look.marks, look.again = marks, changed
        with open_channel(self._files, self._channels, actor) as channel:
            for sentence in channel.displaced:
                self._told.event("folder_replaced", actor=actor, sentence=sentence)
            try:
                return await self._work(channel, due, look)
            except BaseException:
                look.marks = {}  # not done: all of it again
                raise

    async def _work(self, channel: Channel, due: frozenset[str], look: _Look) -> bool:
        at, more = self._time.wall(), False
        if "outbox" in due or look.waits:
            taken = await self._intake.turn(channel)
            look.waits, more = bool(taken.left) or taken.more, taken.more and not taken.left
        if "archive" in due or PROCESSED in due:
            await notice.take_archived(channel, self._store, at, self._told)
        if "inbox" in due:
            notice.remove_strays(channel, at, all_of_ours=False)
            await notice.sort_out(channel, channel.inbox, self._store, strangers=True)
        if "claimed" in due:
            await notice.sort_out(channel, channel.claimed, self._store, strangers=False)
        if "quarantine" in due:
            limit = self._config().quarantine_files_max
            kept = await notice.record_quarantined(channel, self._store, at, self._told, limit)
            if kept and await notice.settle_quarantined(channel, kept, self._store, at, self._told):
                self._projector.reload()
        return more

    def _marks(self, actor: str, channels: int) -> Marks:
        """Cheap enough for every turn: one folder opened, one look at each in it."""
        folder = self._files.open_folder(actor, channels)
        try:
            found = {name: self._files.facts(folder, name) for name in (*FOLDERS, PROCESSED)}
        finally:
            self._files.close(folder)
        # A folder that is missing or replaced has a mark too, so that it is opened, and healed by that.
        return {
            name: -1 if facts is None or facts.kind != "folder" else facts.mtime_ns
            for name, facts in found.items()
            if facts is not None or name != PROCESSED
        }

    def _path(self, actor: str) -> str:
        return os.path.join(self._channels, actor)

    def _fault(self, path: str, error: Exception) -> None:
        sentence = getattr(error, "strerror", None) or str(error)
        if self._faults.get(path) != sentence:
            self._told.event("folder_unusable", path=path, sentence=sentence)
        self._faults[path] = sentence

    def _forget_faults(self, paths: set[str]) -> None:
        for path in paths:
            self._faults.pop(path, None)


def actors_with_folders(files: Files, channels: str) -> list[str]:
    """Names under channels/ that are an actor's; anything else there is not ours to touch."""
    folder = files.open_folder(channels)
    try:
        return _actors_in(files, folder)
    finally:
        files.close(folder)


def _actors_in(files: Files, channels: int) -> list[str]:
    return [name for name in files.names(channels, SCAN, SCAN) if actor_invalid(name) is None]
