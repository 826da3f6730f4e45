"""Cron at work: `cron.toml` as it is in force, its part of each round, and what the commands ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from netsky.node.db.schedules import ScheduleRow
from netsky.node.errors import Conflict, NotFound, Usage
from netsky.node.markers import FOLDER as STATE
from netsky.node.schedule.entries import (
    FILE,
    BadFile,
    Block,
    Entry,
    Fault,
    entry_text,
    read_entries,
    with_entry,
    without,
)
from netsky.node.schedule.firing import Breath, Fire, Sent, with_fault
from netsky.node.schedule.limits import CRON_BYTES_MAX, LATE_NS
from netsky.node.schedule.part import SchedulePart
from netsky.node.schedule.reading import file_in
from netsky.node.schedule.timetable import Due, Timetable
from netsky.node.schedule.zones import UTC_NAME, NoZone, Zones

if TYPE_CHECKING:
    from netsky.node.daemon import node as daemon
    from netsky.node.daemon.node import Node

GOOD_COPY = "cron.good.toml"
"""In `state/`: the last good version, for a start while somebody's mistake stands in the file."""


class Cron(SchedulePart):
    name = "cron"

    def __init__(self, node: Node) -> None:
        super().__init__(node, "cron")
        self.table = Timetable()
        self.zones = Zones()
        self.fault: Fault | None = None
        self.blocks: dict[str, Block] = {}
        """Where each entry stands in the file that is in force."""
        self._path = node.home.at(FILE)
        self._seen: tuple[int, int, int] | None = None
        self._seen_tz = ""
        self._in_force = b""

    @property
    def default_tz(self) -> str:
        """Of an entry that names none; a config that names one that does not exist is shown as a fault."""
        wanted = self._node.config.tick_tz or UTC_NAME
        try:
            self.zones(wanted)
        except NoZone:
            return UTC_NAME
        return wanted

    async def add(self, values: dict[str, object]) -> Entry:
        """One more entry, in the file and in force."""
        async with self._lock:
            text = await self._whole_file()
            label = str(values["label"])
            if label in self.blocks:
                raise Conflict(
                    f"{label} is there already",
                    next=f"netsky cron rm {label}, or another label",
                    code="label_taken",
                )
            written = entry_text(values)
            try:
                [(entry, _)] = read_entries(written.encode(), self._path, self.zones, self.default_tz)
            except BadFile as bad:
                raise Usage(f"cron add: {bad.fault.sentence}", next="netsky cron add -h", code="bad_schedule") from None
            self.firing.check(entry.target, entry.prompt)
            await self._write(with_entry(text, written))
            return entry

    async def rm(self, label: str) -> None:
        async with self._lock:
            text = await self._whole_file()
            if label not in self.blocks:
                raise NotFound(f"there is no schedule {label!r}", next="netsky cron ls", code="no_schedule")
            await self._write(without(text, self.blocks[label]))

    async def _whole_file(self) -> str:
        """Its text, which is in force: a file with a mistake in it is left to whoever made it."""
        await self._look()
        if self.fault is not None:
            raise Conflict(
                f"{self.fault}; nothing was changed", next=f"correct {self._path}, then again", code="bad_cron_file"
            )
        return self._in_force.decode("utf-8")

    async def _write(self, text: str) -> None:
        data = text.encode()
        if len(data) > CRON_BYTES_MAX:
            raise Usage(
                f"{self._path} would be larger than {CRON_BYTES_MAX >> 20} MiB",
                next="netsky cron rm LABEL",
                code="cron_full",
            )
        files = self._node.seams.files
        folder = files.open_folder(self._node.home.path)
        try:
            if self._read() != self._in_force:
                raise Conflict(
                    f"{self._path} was changed just now; nothing was changed by this",
                    next="the same again",
                    code="cron_changed",
                )
            files.replace(folder, FILE, data)
        finally:
            files.close(folder)
        self._seen = None
        await self._look()
        if self.fault is not None:  # a limit of the whole file
            raise Conflict(f"{self.fault}", next="netsky cron ls", code="bad_cron_file")

    def _read(self) -> bytes:
        found = file_in(self._node.seams.files, self._node.home.path, FILE, CRON_BYTES_MAX)
        return b"" if found is None else found

    async def _look(self) -> None:
        """Reads the file again if it was touched; what does not pass changes nothing."""
        mark = self._mark()
        if self._loaded and mark == self._seen and self._seen_tz == self.default_tz:
            return
        if not self._loaded:
            await self.firing.load()
        self._seen, self._seen_tz = mark, self.default_tz
        before = self.fault
        try:
            data = self._read()
            await self._take(data, self._path)
            self.fault = None
        except BadFile as bad:
            self.fault = bad.fault
            await self._fall_back()
        else:
            self._keep_copy(data)
        self._loaded = True
        if self.fault != before:
            told = None if self.fault is None else str(self.fault)
            self._node.log.event("cron.refused" if told else "cron.taken", level="warn" if told else "info", fault=told)
            self._node.events.publish("cron_file", fault=told)

    async def _fall_back(self) -> None:
        """At a start there is nothing in force yet."""
        if self._loaded:
            return
        folder = self._node.home.at(STATE)
        try:
            copy = file_in(self._node.seams.files, folder, GOOD_COPY, CRON_BYTES_MAX)
            if copy is not None:
                await self._take(copy, GOOD_COPY)
        except BadFile as bad:
            self._node.log.event("cron.copy_refused", level="warn", fault=str(bad.fault))

    def _keep_copy(self, data: bytes) -> None:
        try:
            self._node.markers.write(GOOD_COPY, data)
        except OSError as error:
            self._node.log.event("cron.no_copy", level="warn", why=str(error))

    def _mark(self) -> tuple[int, int, int] | None:
        folder = self._node.seams.files.open_folder(self._node.home.path)
        try:
            facts = self._node.seams.files.facts(folder, FILE)
        finally:
            self._node.seams.files.close(folder)
        return None if facts is None else facts.mark

    async def _take(self, data: bytes, path: str) -> None:
        """These entries are in force: those that are new or have another rule begin now, the others go on."""
        breath, now = Breath(self._node.seams.time), self._node.now()
        found: dict[str, Entry] = {}
        places: dict[str, Block] = {}
        begun = []
        for entry, block in read_entries(data, path, self.zones, self.default_tz):
            found[entry.label], places[entry.label] = entry, block
            row = self.firing.rows.get(entry.label)
            if row is None or row.rule != entry.rule:
                begun.append(ScheduleRow(entry.label, entry.rule, now))
            await breath()
        await self.firing.store(begun, [label for label in self.firing.rows if label not in found])
        for label in self.table.labels():
            if label not in found:
                self.table.drop(label)
        for entry in found.values():
            if not self.table.keep(entry):
                self.table.put(entry, self.firing.rows[entry.label].done)
                await breath()
        self.blocks = places
        self._in_force = data

    async def _fire(self, now: int) -> Mapping[str, object]:
        breath = Breath(self._node.seams.time)
        await self._begin_anew(self.table.ahead(now), now, breath)
        late_ns = max(LATE_NS, 2 * self._node.config.tick_seconds * 10**9)
        decided: list[Due] = []
        for label in self.table.due(now):
            steps = self.table.decide(label, now, late_ns)
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    decided.append(end.value)
                    break
                await breath()
        fires = [self._one(due.label, at) for due in decided for at in due.fires]
        sent = await self.firing.send(fires) if fires else []
        await self._conclude(decided, sent, now, breath)
        states = [one.state for one in sent]
        return {
            "entries": len(self.table),
            "fired": states.count("fired"),
            "late": sum(due.late for due in decided),
            "missed": sum(due.missed for due in decided),
            "refused": states.count("refused"),
            "waiting": states.count("later"),
        }

    async def _begin_anew(self, labels: Sequence[str], now: int, breath: Breath) -> None:
        """Those that the clock led too far ahead."""
        if not labels:
            return
        self._node.log.event("cron.clock_was_wrong", level="warn", entries=len(labels))
        await self.firing.store([replace(self.firing.rows[label], done=now) for label in labels])
        for label in labels:
            self.table.dealt_with(label, now)
            await breath()

    def _one(self, label: str, at: int) -> Fire:
        entry = self.table.entry(label)
        return Fire(label, at, entry.target, entry.prompt)

    async def _conclude(self, decided: Sequence[Due], sent: Sequence[Sent], now: int, breath: Breath) -> None:
        """How far each has come, in one commit for all of the round."""
        at, rows = 0, []
        for due in decided:
            row = self.firing.rows[due.label]
            rows.append(_concluded(row, due, sent[at : at + len(due.fires)], now))
            at += len(due.fires)
        await self.firing.store(rows)
        for row in rows:
            self.table.dealt_with(row.id, row.done)
            await breath()

    def _complaints(self) -> list[daemon.Fault]:
        found: list[daemon.Fault] = []
        if self.fault is not None:
            sentence = f"{self.fault}; the last good schedule is in force"
            found.append({"code": "cron_file", "sentence": sentence, "next": f"correct {self._path}"})
        if self._node.config.tick_tz and self.default_tz != self._node.config.tick_tz:
            found.append(
                {
                    "code": "tick_tz",
                    "sentence": f"[tick] tz: {self._node.config.tick_tz!r} is no time zone; {UTC_NAME} is used",
                    "next": f"correct {self._node.home.config}",
                }
            )
        return found + self.firing.complaints()


def _concluded(row: ScheduleRow, due: Due, sent: Sequence[Sent], now: int) -> ScheduleRow:
    """What waits for room is not dealt with, nor is what comes after it."""
    row = replace(row, missed=row.missed + due.missed)
    for at, one in zip(due.fires, sent, strict=True):
        if one.state == "later":
            return replace(with_fault(row, one.sentence, now), missed=row.missed - due.missed)
        if one.state == "refused":
            row = replace(with_fault(row, one.sentence, now), done=at)
        else:
            row = replace(row, done=at, fired=at, envelope=one.envelope or row.envelope, fault="", fault_at=0)
    return replace(row, done=max(row.done, due.newest))
