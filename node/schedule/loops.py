"""Loops at work: the files of `loops/` as they are in force, their part of each round, and what the commands ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netsky.node.db.schedules import ScheduleRow
from netsky.node.errors import Conflict, NotFound, TryLater, Usage
from netsky.node.schedule.entries import BadFile, Fault
from netsky.node.schedule.firing import Breath, Fire, Sent, with_fault
from netsky.node.schedule.limits import LOOP_BYTES_MAX, LOOPS_MAX
from netsky.node.schedule.loop import FOLDER, Loop, due_by, loop_text, next_due, read_loop
from netsky.node.schedule.part import SchedulePart
from netsky.node.schedule.reading import SUFFIX, file_in, loop_names

if TYPE_CHECKING:
    from netsky.node.daemon import node as daemon
    from netsky.node.daemon.node import Node

Mark = tuple[int, int, int]


@dataclass(slots=True)
class _File:
    """One file: the last good loop in it, and what is wrong with it now."""

    mark: Mark
    loop: Loop | None
    fault: Fault | None


class Loops(SchedulePart):
    name = "loops"

    def __init__(self, node: Node) -> None:
        super().__init__(node, "loop")
        self._files: dict[str, _File] = {}
        self._path = node.home.at(FOLDER)

    @property
    def in_force(self) -> dict[str, Loop]:
        return {name: one.loop for name, one in sorted(self._files.items()) if one.loop is not None}

    @property
    def faults(self) -> list[Fault]:
        return [one.fault for _, one in sorted(self._files.items()) if one.fault is not None]

    async def create(self, loop: Loop) -> ScheduleRow:
        """Its file, and in force; it is due at once."""
        async with self._lock:
            await self._look()
            if loop.id in self._files:
                raise Conflict(
                    f"there is a loop {loop.id} already",
                    next=f"netsky loop rm {loop.id}, or another id",
                    code="id_taken",
                )
            if len(self._files) >= LOOPS_MAX:
                raise TryLater(f"there are {LOOPS_MAX} loops already", next="netsky loop rm ID", code="loops_full")
            data = loop_text(loop).encode()
            try:
                read_loop(data, "this loop", loop.id)
            except BadFile as bad:
                raise Usage(
                    f"loop create: {bad.fault.sentence}", next="netsky loop create -h", code="bad_loop"
                ) from None
            self.firing.check(loop.target, loop.prompt)
            files = self._node.seams.files
            files.make_folder(self._path)
            folder = files.open_folder(self._path)
            try:
                files.replace(folder, f"{loop.id}{SUFFIX}", data)
            finally:
                files.close(folder)
            await self._look()
            return self.firing.rows[loop.id]

    async def rm(self, id: str) -> None:  # noqa: A002 - the file's word
        async with self._lock:
            await self._look()
            if id not in self._files:
                raise _no_loop(id)
            files = self._node.seams.files
            folder = files.open_folder(self._path)
            try:
                files.remove(folder, f"{id}{SUFFIX}")
                files.sync_folder(folder)
            finally:
                files.close(folder)
            await self._look()

    async def reschedule(self, id: str, span: int) -> ScheduleRow:  # noqa: A002
        """It is due so long from now, and not before."""
        async with self._lock:
            await self._look()
            if id not in self.in_force:
                raise _no_loop(id)
            row = replace(self.firing.rows[id], due=self._node.now() + span, span=span)
            await self.firing.store([row])
            return row

    async def _look(self) -> None:
        """Reads what was touched. What does not pass changes nothing: the last good loop stays in force."""
        if not self._loaded:
            await self.firing.load()
        breath = Breath(self._node.seams.time)
        marks = self._marks()
        before = [str(fault) for fault in self.faults]
        for name, mark in marks.items():
            known = self._files.get(name)
            if known is None or known.mark != mark:
                self._files[name] = self._read(name, mark, None if known is None else known.loop)
                await breath()
        for name in [name for name in self._files if name not in marks]:
            del self._files[name]
        now, loops = self._node.now(), self.in_force
        begun = [
            ScheduleRow(loop.id, loop.rule, now, due=now, span=loop.span)
            for loop in loops.values()
            if (row := self.firing.rows.get(loop.id)) is None or row.rule != loop.rule
        ]
        broken = {name for name, one in self._files.items() if one.loop is None}
        gone = [id for id in self.firing.rows if id not in loops and id not in broken]  # noqa: A001
        await self.firing.store(begun, gone)
        self._loaded = True
        after = [str(fault) for fault in self.faults]
        if after != before:
            self._node.log.event(
                "loops.refused" if after else "loops.taken", level="warn" if after else "info", faults=after
            )
            self._node.events.publish("loop_files", faults=after)

    def _marks(self) -> dict[str, Mark]:
        files = self._node.seams.files
        names = loop_names(files, self._path)
        if not names:
            return {}
        folder = files.open_folder(self._path)
        try:
            facts = {name.removesuffix(SUFFIX): files.facts(folder, name) for name in names}
        finally:
            files.close(folder)
        return {name: one.mark for name, one in facts.items() if one is not None}

    def _read(self, name: str, mark: Mark, good: Loop | None) -> _File:
        path = f"{self._path}/{name}{SUFFIX}"
        try:
            data = file_in(self._node.seams.files, self._path, f"{name}{SUFFIX}", LOOP_BYTES_MAX)
            loop = good if data is None else read_loop(data, path, name)  # gone since: the next look sees it
        except BadFile as bad:
            return _File(mark, good, bad.fault)
        return _File(mark, loop, None)

    async def _fire(self, now: int) -> Mapping[str, object]:
        due: list[tuple[Loop, int]] = []
        for id, loop in self.in_force.items():  # noqa: A001
            row = self.firing.rows[id]
            at = due_by(row.due or now, row.span or loop.span, now)
            if at != row.due:
                await self.firing.store([replace(row, due=at)])
            if at <= now:
                due.append((loop, at))
        sent = await self.firing.send([Fire(loop.id, at, loop.target, loop.prompt) for loop, at in due])
        await self.firing.store(self._concluded(due, sent, now))
        states = [one.state for one in sent]
        return {
            "loops": len(self._files),
            "fired": states.count("fired"),
            "refused": states.count("refused"),
            "waiting": states.count("later"),
        }

    def _concluded(self, due: Sequence[tuple[Loop, int]], sent: Sequence[Sent], now: int) -> list[ScheduleRow]:
        rows = []
        for (loop, at), one in zip(due, sent, strict=True):
            row = self.firing.rows[loop.id]
            if one.state == "later":
                rows.append(with_fault(row, one.sentence, now))
                continue
            row = replace(row, due=next_due(loop, at, now), span=loop.span, done=at)
            if one.state == "refused":
                rows.append(with_fault(row, one.sentence, now))
            else:
                rows.append(replace(row, fired=at, envelope=one.envelope or row.envelope, fault="", fault_at=0))
        return rows

    def _complaints(self) -> list[daemon.Fault]:
        found: list[daemon.Fault] = [
            {
                "code": "loop_file",
                "sentence": f"{fault}; the last good version is in force, if there was one",
                "next": f"correct {fault.path}",
            }
            for fault in self.faults[:3]
        ]
        return found + self.firing.complaints()


def _no_loop(id: str) -> NotFound:  # noqa: A002
    return NotFound(f"there is no loop {id[:64]!r}", next="netsky loop ls", code="no_loop")
