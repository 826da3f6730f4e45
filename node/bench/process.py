"""A node as shipped, and a drainer beside it, each as a process: what benches drive and measure from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from typing import Any

from netsky.node.client import Client
from netsky.node.db.outcomes import key_of
from netsky.node.errors import NetskyError
from netsky.node.home import Home

LINKED_WITHIN_SECONDS = 20.0
ANSWERED_WITHIN_SECONDS = 60.0
PAGE = 5_000


class Machine:
    """One home and its daemon."""

    def __init__(self, home_path: str) -> None:
        self.home_path = home_path
        self.home = Home.find(home_path)
        self._pid: int | None = None

    def netsky(self, *command: str) -> str:
        argv = [sys.executable, "-m", "netsky.node.cli.main", "--home", self.home_path, *command]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise NetskyError(f"netsky {' '.join(command)}: {done.stderr.strip()}", next="netsky doctor")
        return done.stdout

    def data(self, *command: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.netsky("--json", *command))["data"]
        return found

    def up(self, *actors: str) -> None:
        self.netsky("up", *actors)
        self._pid = None

    def down(self) -> None:
        self.netsky("down")
        self._pid = None

    def configure(self, bind: str, *routes: str) -> None:
        """Edits config.toml as a person would."""
        with open(self.home.config) as file:
            text = file.read()
        text = text.replace('# bind = ""', f'bind = "{bind}"')
        text = text.replace("[routes]\n", "".join(("[routes]\n", *(f"{line}\n" for line in routes))))
        with open(self.home.config, "w") as file:
            file.write(text)

    def wait_linked(self) -> None:
        limit = time.monotonic() + LINKED_WITHIN_SECONDS
        with Client.connect(self.home) as client:
            while not all(link["up"] for link in client.call("status")["links"]):
                if time.monotonic() > limit:
                    raise NetskyError(f"{self.home_path} did not link", next="look into its log", code="not_linked")
                time.sleep(0.05)

    def wait_answered(self) -> None:
        """Until every envelope of this node has its outcome."""
        limit = time.monotonic() + ANSWERED_WITHIN_SECONDS
        while self.count("SELECT count(*) FROM outbox WHERE state != 'done'") and time.monotonic() < limit:
            time.sleep(0.05)

    def count(self, sql: str) -> int:
        with Client.connect(self.home) as client:
            return int(client.call("query", sql=sql)["rows"][0][0])

    def mark(self) -> int:
        """The last of what has arrived so far."""
        return self.count("SELECT coalesce(max(seq), 0) FROM inbox")

    def arrived(self, mark: int, count: int) -> list[tuple[str, int]]:
        """(id, when stored) of what came after that mark, once so many have, or when it is clear that they will not."""
        limit = time.monotonic() + ANSWERED_WITHIN_SECONDS
        while self.count(f"SELECT count(*) FROM inbox WHERE seq > {mark}") < count and time.monotonic() < limit:  # noqa: S608 - a number of ours
            time.sleep(0.05)
        return self.rows(None, mark)

    def rows(self, wanted: Collection[str] | None, mark: int = 0) -> list[tuple[str, int]]:
        """(id, when stored) of what is in inboxes behind that mark, page by page; with the wanted ids, once all are
        there."""
        limit = time.monotonic() + ANSWERED_WITHIN_SECONDS
        while True:
            found = [(str(id_), int(at)) for _, id_, at in self._pages(mark)]
            if wanted is None or {id_ for id_, _ in found} >= set(wanted) or time.monotonic() > limit:
                return found
            time.sleep(0.2)

    def _pages(self, mark: int) -> Iterator[list[Any]]:
        sql = "SELECT inbox.seq, messages.id, stored_at FROM inbox JOIN messages USING (seq)"
        with Client.connect(self.home) as client:
            while True:
                page = f"{sql} WHERE inbox.seq > {mark} ORDER BY inbox.seq LIMIT {PAGE}"
                rows = client.call("query", sql=page)["rows"]
                yield from rows
                if len(rows) < PAGE:
                    return
                mark = rows[-1][0]

    def ended(self, origin: bytes, ids: Collection[str]) -> dict[str, str]:
        """The fate and reason of those that this node knows to have ended otherwise than by being delivered."""
        sql = "SELECT hex(key), fate, coalesce(code, '') FROM outcomes WHERE fate != 'delivered'"
        with Client.connect(self.home) as client:
            known = {key: f"{fate} {code}".strip() for key, fate, code in client.call("query", sql=sql)["rows"]}
        keys = {id_: key_of(origin, id_).hex().upper() for id_ in ids}
        return {id_: known[key] for id_, key in keys.items() if key in known}

    def commits(self) -> int:
        with Client.connect(self.home) as client:
            return int(client.call("status")["commits"]["commits"])

    def cpu_seconds(self) -> float:
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        with open(f"/proc/{self.pid}/status") as file:
            kilobytes = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        return kilobytes / 1024

    @property
    def pid(self) -> int:
        if self._pid is None:
            with Client.connect(self.home) as client:
                self._pid = int(client.call("status")["pid"])
        return self._pid


class Drainer:
    """The consumer: it is told how many there will be when that is known."""

    def __init__(self, home_path: str, actor: str) -> None:
        argv = [sys.executable, "-m", "netsky.node.bench.drainer", home_path, actor]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def finished(self, count: int) -> dict[str, Any]:
        said, _ = self._process.communicate(f"{count}\n", timeout=300)
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        return found
