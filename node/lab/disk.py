"""The disk of one simulated machine: real files in a folder, and what befalls a disk.

    disk = Disk(chance, time)
    Seams(files=disk.files, ledger=disk.ledger, …)
    disk.power_cut()          after its node is dead: every file, name and database as of its last sync
    disk.full = True          until it is False again
    disk.sync_seconds = 3.0   what commits and `settle` take
    disk.fail_syncs = 1       the next one fails, and what it was to write is never written

What the node syncs is seen, not known: the shipped classes run, and tell by what they sync what is durable. Torn pages
within a database are not here (`pages/`).
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import trio
from netsky.node.lab.databases import Databases
from netsky.node.lab.disk_files import DiskFiles
from netsky.node.lab.interpose import Killed
from netsky.node.lab.unsynced import Cut
from netsky.node.seams.chance import Chance
from netsky.node.seams.ledger import OpenLedger
from netsky.node.seams.time import Time


class Disk:
    """Of one machine, for all lives of its node."""

    def __init__(self, chance: Chance, time: Time, ledgers: OpenLedger | None = None, home: str = "") -> None:
        """`home`: if it is not given, the first folder that is named by its path."""
        self.chance = chance
        self.time = time
        self.home = home
        self.full = False
        self.no_files = False
        """No entry is left for a new file; what is there may still grow."""
        self.sync_seconds = 0.0
        """Of virtual time. Plain calls of the files seam cannot wait, and do not."""
        self.fail_syncs = 0
        self.files = DiskFiles(self)
        self.ledger = Databases(self, ledgers)
        self.cuts = 0
        """How often everything on this machine died at once."""
        self._kept = 0
        self._waits: list[trio.CancelScope] = []

    def power_cut(self) -> int:
        """What was not synced is lost, from points on that chance draws; how many changes that were."""
        self.let_go()
        self.cuts += 1
        cut = Cut(self.chance)
        lost = self.files.journal.lose(self.time.monotonic(), cut)
        lost += self.ledger.lose(cut)
        shutil.rmtree(self._hidden, ignore_errors=True)
        return lost

    def let_go(self) -> None:
        """The node is dead: nothing of it waits for a sync any longer."""
        while self._waits:
            self._waits.pop().cancel()

    def write_back(self) -> None:
        """All is durable as it is now, as half a minute later it would be."""
        self.files.journal.forget()
        shutil.rmtree(self._hidden, ignore_errors=True)

    def copy(self, to: str) -> None:
        """The home as it is now. A commit is one call, so its database is whole as well."""
        left_out = shutil.ignore_patterns("*-shm")
        shutil.copytree(self.home, to, symlinks=True, ignore=left_out, copy_function=_copy_one)

    def put_back(self, copy: str, *, keeps: str | None = None) -> None:
        """While its node is dead: the home is what it was when the copy was made, but for that file."""
        self.let_go()
        self.cuts += 1
        self.write_back()
        self.ledger.put_away()
        kept = Path(self.home, keeps) if keeps is not None else None
        data = kept.read_bytes() if kept is not None and kept.exists() else None
        shutil.rmtree(self.home)
        shutil.copytree(copy, self.home, symlinks=True, copy_function=_copy_one)
        if kept is not None and data is not None:
            kept.write_bytes(data)

    # For its files and databases.

    async def wait(self) -> None:
        """For as long as a sync takes; nobody can cancel one. Raises Killed if who waits dies meanwhile."""
        if self.sync_seconds <= 0:
            return
        with trio.CancelScope(shield=True) as scope:
            self._waits.append(scope)
            await self.time.sleep_until(self.time.monotonic() + round(self.sync_seconds * 1e9))
            self._waits.remove(scope)
        if scope.cancelled_caught:
            raise Killed("sync")

    def sync_fails(self) -> bool:
        if self.fail_syncs <= 0:
            return False
        self.fail_syncs -= 1
        return True

    def place_to_keep(self) -> str:
        """A path beside the home for what lost its last name, so that it can come back."""
        os.makedirs(self._hidden, mode=0o700, exist_ok=True)
        self._kept += 1
        return f"{self._hidden}/{self._kept}"

    @property
    def _hidden(self) -> str:
        above, name = os.path.split(self.home)
        return f"{above}/.{name}.unsynced"


def _copy_one(source: str, to: str) -> None:
    """What somebody hostile put into a channel folder is no file, and is in the copy too."""
    if stat.S_ISFIFO(os.stat(source).st_mode):
        os.mkfifo(to)
    else:
        shutil.copy2(source, to)
