"""One case: a disk that lives through some falls, all of it drawn from one seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field

from netsky.node.lab.pages.disk import EVERY_CALL, Disk, PowerCut, any_mood
from netsky.node.lab.pages.ledger import PATH, PageLedgers
from netsky.node.lab.pages.reference import Reference, Violation, done, start
from netsky.node.lab.pages.vfs import Vfs
from netsky.node.seams.ledger import Ledger, LedgerBroken, LedgerUnusable

FILES = ("database", "log", "journal")
CHANGES = frozenset(f"{what} {file}" for what in ("write", "truncate", "sync", "delete", "create") for file in FILES)
SYNCS = frozenset(f"sync {file}" for file in FILES)
WRITING_BACK = frozenset({"write database", "truncate database", "sync database", "truncate log", "delete log"})

BETWEEN = "between calls"

LIVES_MAX = 8
TRANSACTIONS_MAX = 48
"""In one life: a commit of its length is where most cuts fall, and a log is written back after some sixty."""

KILLS = 0.12
FAILED_SYNCS = 0.15


@dataclass
class Tally:
    cuts: int = 0
    kills: int = 0
    failed_syncs: int = 0
    lives: int = 0
    where: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    replays: int = 0  # starts that found a log to put in order
    effects: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        for name in ("cuts", "kills", "failed_syncs", "lives", "acknowledged", "replays"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.where.update(other.where)
        self.effects.update(other.effects)


class Case:
    def __init__(self, seed: int, reference: Reference, vfs: Vfs, synchronous: str = "full") -> None:
        self.tally = Tally()
        self.story: list[str] = []
        """A line for each life: what was done, and how it ended."""
        self._chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self._reference = reference
        self._aim = self._chance.choices(("commit", "write back", "end", "create"), (8, 8, 2, 3))[0]
        self._sure, self._disk = self._place()
        self._given = self._sure
        vfs.put_in(self._disk, seed)
        self._ledgers = PageLedgers(vfs, synchronous)
        self._ledger: Ledger | None = None
        self._phase = ""

    def run(self) -> Tally:
        """Raises Violation."""
        try:
            for _ in range(self._chance.randint(1, LIVES_MAX)):
                if self._sure == len(self._reference.traffic.transactions):
                    break
                self._life()
            self._open()
        except (LedgerBroken, LedgerUnusable) as error:
            raise Violation(f"it cannot be opened: {error}") from error
        finally:
            self._ledgers.die()
        return self.tally

    def _place(self) -> tuple[int, Disk]:
        """What is on the disk when the first life begins."""
        reference, chance = self._reference, self._chance
        if self._aim == "create":
            return 0, Disk()
        last = len(reference.traffic.transactions)
        targets = {"write back": reference.written_back, "end": sorted(reference.traffic.ends)}.get(self._aim)
        near = chance.choice(targets) - chance.randint(0, 8) if targets else chance.randrange(last)
        return reference.disk_before(max(0, near))

    # Its lives.

    def _life(self) -> None:
        self._arm()
        call = None
        try:
            self._open()
            self._play()
            call = BETWEEN
        except PowerCut as cut:
            call = str(cut)
        except (LedgerBroken, LedgerUnusable) as error:
            if self._disk.failed is None:
                raise Violation(f"the ledger failed by itself: {error}") from error
            call = self._stop()
        self._end(call)

    def _stop(self) -> str | None:
        """After a sync that failed: at once, or in order, and then the power may go meanwhile."""
        if self._ledger is not None and self._chance.random() < 0.5:
            self._phase = "ending"
            try:
                self._ledger.close()
            except PowerCut as cut:
                return str(cut)
        return None if self._chance.random() < 0.5 else BETWEEN

    def _arm(self) -> None:
        chance, disk = self._chance, self._disk
        counted, most = self._target()
        disk.arm(counted, int(most ** chance.random()))
        if chance.random() < FAILED_SYNCS:
            disk.arm_sync(int(24 ** chance.random()))

    def _target(self) -> tuple[Container[str], int]:
        """Which calls count, and how many there may be before the power goes."""
        if self._aim == "write back" and self._chance.random() < 0.6:
            return WRITING_BACK, 400
        return self._chance.choices(((CHANGES, 900), (SYNCS, 30), (EVERY_CALL, 6_000)), (5, 2, 3))[0]

    def _open(self) -> None:
        disk = self._disk
        self._phase = "starting"
        self.tally.lives += 1
        log = disk.files.get(f"{PATH}-wal")
        self.tally.replays += log is not None and len(log.data) > 0
        try:
            self._ledger = start(self._ledgers)
        except AssertionError as error:
            raise Violation(f"a start goes wrong: {error}") from error
        armed = disk.disarm()
        try:
            self._sure = self._given = self._reference.judge(self._ledger, self._sure, self._given)
        except (LedgerBroken, AssertionError) as error:
            raise Violation(f"meta.db cannot be read: {error}") from error
        disk.arm(*armed)

    def _play(self) -> None:
        traffic = self._reference.traffic
        began = self._sure
        for number in range(began, min(began + TRANSACTIONS_MAX, len(traffic.transactions))):
            if number in traffic.ends and number > began:
                self._phase = "ending"
                self._alive.close()
                self._open()
            self._phase = "working"
            self._given = number + 1
            done(self._alive.transaction(traffic.transactions[number]))
            self._sure = number + 1
            self.tally.acknowledged += 1

    @property
    def _alive(self) -> Ledger:
        assert self._ledger is not None
        return self._ledger

    def _end(self, call: str | None) -> None:
        """The process is no more, and mostly the power neither. Without a call it was only killed."""
        disk, tally = self._disk, self.tally
        if disk.failed is not None:
            tally.failed_syncs += 1
        killed = call is None or self._chance.random() < KILLS
        self._ledgers.die()
        self._ledger = None
        if killed:
            tally.kills += 1
        else:
            tally.cuts += 1
            back = self._phase == "working" and call in WRITING_BACK
            tally.where[f"{'writing back' if back else self._phase}: {call}"] += 1
        failed = "" if disk.failed is None else f", {disk.failed} failed"
        mood = None if killed else any_mood(self._chance)
        effects = disk.revive(self._chance, mood)
        tally.effects.update(effects)
        how = "killed" if mood is None else f"power cut ({mood.text()}; {effects['torn writes']} writes torn)"
        at = "" if call in {None, BETWEEN} else f" before {call}"
        self.story.append(
            f"life {len(self.story) + 1}: {self._sure} acknowledged, {self._given} given{failed}, "
            f"{self._phase}, {how}{at}"
        )
