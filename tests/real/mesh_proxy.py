"""A UDP proxy in front of a mesh's root, as a process: siblings reach the root by it alone, and datagrams fare badly.

    python -m tests.real.mesh_proxy SEED
        reads lines: "to PORT", "rule HOST both|to_root|from_root LOSS TWICE DELAY JITTER", "hold HOST WAY", "pass HOST"

Each sibling is bound to a loopback address of its own, by which the proxy tells them apart. Shares are between 0 and 1,
delays in seconds; what is held leaves at "pass". What it says, a line each: the port of its front; and, at "pass",
how many datagrams it lost, held back and sent twice.
"""

from __future__ import annotations

import heapq
import os
import random
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.real.mesh import Machine, Ways

REPO = Path(__file__).resolve().parents[2]
BUFFER = 8 << 20
AT_ONCE = 64
DATAGRAM = 65_536
LATE_MAX = 8_192
"""Datagrams that wait at once; more are lost, as in a router."""
WAYS = ("both", "to_root", "from_root")


@dataclass(frozen=True, slots=True)
class Rule:
    """How datagrams of one host and way fare. With more jitter than lies between two, they overtake each other."""

    loss: float = 0.0
    twice: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    held: bool = False

    def words(self) -> str:
        return f"{self.loss} {self.twice} {self.delay} {self.jitter}"


CUT = Rule(loss=1.0)
CLOG = Rule(held=True)


def udp() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        made.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    made.bind(("127.0.0.1", 0))
    made.setblocking(False)
    return made


def free_port() -> int:
    """One that the kernel gives to nobody by itself, so that it is still free after each kill."""
    for _ in range(100):
        port = random.SystemRandom().randrange(20_000, 32_000)
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
            found.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Proxy:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._selector = selectors.DefaultSelector()
        self._front = udp()
        self._selector.register(self._front, selectors.EVENT_READ, self._from_siblings)
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._order)
        self._root = ("127.0.0.1", 0)
        self._behind: dict[tuple[str, int], socket.socket] = {}
        self._rules: dict[tuple[str, str], Rule] = {}
        self._fared: dict[str, list[int]] = {}
        self._late: list[tuple[float, int, socket.socket, bytes, tuple[str, int] | None]] = []
        self._held: dict[str, list[tuple[socket.socket, bytes, tuple[str, int] | None]]] = {}
        self._count = 0
        self.over = False

    def run(self) -> None:
        print(self._front.getsockname()[1], flush=True)
        while not self.over:
            wait = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            for key, _ in self._selector.select(wait):
                with suppress(BlockingIOError):  # a full buffer loses a datagram, as networks do
                    key.data()
            while self._late and self._late[0][0] <= time.monotonic():
                self._send(*heapq.heappop(self._late)[2:])

    def _order(self) -> None:
        lines = os.read(sys.stdin.fileno(), 4096).decode().splitlines()
        self.over = not lines
        for line in lines:
            self._obey(line.split())

    def _obey(self, words: list[str]) -> None:
        match words:
            case ["to", port]:
                self._root = ("127.0.0.1", int(port))
            case ["rule", host, way, *figures]:
                self._rules[host, way] = Rule(*map(float, figures))
            case ["hold", host, way]:
                self._rules[host, way] = CLOG
            case ["pass", host]:
                for way in WAYS:
                    self._rules.pop((host, way), None)
                for one in self._held.pop(host, []):
                    self._send(*one)
                print(*self._fared.pop(host, [0, 0, 0]), flush=True)

    def _pass(self, host: str, way: str, out: socket.socket, data: bytes, to: tuple[str, int] | None) -> None:
        """By the rule of this host and way. Nobody `to`: the root, wherever it is by then."""
        rule = self._rules.get((host, way)) or self._rules.get((host, "both"))
        if rule is None:
            self._send(out, data, to)
            return
        fared = self._fared.setdefault(host, [0, 0, 0])
        held = self._held.setdefault(host, [])
        if self._chance.random() < rule.loss or len(held) + len(self._late) >= LATE_MAX:
            fared[0] += 1
        elif rule.held:
            fared[1] += 1
            held.append((out, data, to))
        else:
            again = self._chance.random() < rule.twice
            fared[2] += again
            for _ in range(1 + again):
                self._count += 1
                due = time.monotonic() + rule.delay + self._chance.random() * rule.jitter
                heapq.heappush(self._late, (due, self._count, out, data, to))
            fared[1] += rule.delay > 0

    def _send(self, out: socket.socket, data: bytes, to: tuple[str, int] | None) -> None:
        with suppress(OSError):
            out.sendto(data, to or self._root)

    def _from_siblings(self) -> None:
        for _ in range(AT_ONCE):
            data, source = self._front.recvfrom(DATAGRAM)
            if source not in self._behind:
                self._behind[source] = made = udp()
                self._selector.register(made, selectors.EVENT_READ, partial(self._from_root, made, source))
            self._pass(source[0], "to_root", self._behind[source], data, None)

    def _from_root(self, behind: socket.socket, source: tuple[str, int]) -> None:
        for _ in range(AT_ONCE):
            try:
                data, _ = behind.recvfrom(DATAGRAM)
            except ConnectionRefusedError:  # it is down
                continue
            self._pass(source[0], "from_root", self._front, data, source)


class ByProxy(Ways):
    """Three nodes on loopback, the siblings behind the proxy."""

    WAYS = WAYS

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def prepare(self, machines: Sequence[Machine]) -> None:
        self._hosts = {machine.name: f"127.0.1.{number}" for number, machine in enumerate(machines)}
        argv = [sys.executable, "-m", "tests.real.mesh_proxy", str(self._seed)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPO)
        assert self._process.stdout is not None
        for machine in machines[1:]:
            machine.troubled = "-"
        machines[0].troubled = f"127.0.0.1:{int(self._process.stdout.readline())}"
        port = free_port()  # the root cannot choose one itself: it would take the announced one for its own
        self.bind = f"127.0.0.1:{port}"
        self._say(f"to {port}")

    def sibling_joined(self, sibling: Machine) -> None:
        sibling.configure("link", "bind", f"{self._hosts[sibling.name]}:0")

    def cut(self, name: str, way: str) -> None:
        self.trouble(name, way, CUT)

    def trouble(self, name: str, way: str, rule: Rule) -> None:
        host = self._hosts[name]
        self._say(f"hold {host} {way}" if rule.held else f"rule {host} {way} {rule.words()}")

    def heal(self, name: str) -> dict[str, int]:
        """How many datagrams fared how."""
        self._say(f"pass {self._hosts[name]}")
        assert self._process.stdout is not None
        told = map(int, self._process.stdout.readline().split())
        return dict(zip(("lost", "late", "twice"), told, strict=True))

    def end(self) -> None:
        if hasattr(self, "_process"):
            self._process.kill()
            self._process.communicate()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


if __name__ == "__main__":
    Proxy(random.Random(int(sys.argv[1]))).run()
