"""A UDP proxy in front of a mesh's root, as a process: siblings reach the root by it alone, and links are cut here.

    python -m tests.real.mesh_proxy    reads lines: "to PORT", "drop HOST both|to_root|from_root", "pass HOST"

Each sibling is bound to a loopback address of its own, by which the proxy tells them apart. What it says, a line each:
the port of its front; and, at "pass", how many datagrams it dropped.
"""

from __future__ import annotations

import os
import random
import selectors
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.real.mesh import Machine, Ways

REPO = Path(__file__).resolve().parents[2]
BUFFER = 8 << 20
AT_ONCE = 64
DATAGRAM = 65_536


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
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._front = udp()
        self._selector.register(self._front, selectors.EVENT_READ, self._from_siblings)
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._order)
        self._root = ("127.0.0.1", 0)
        self._behind: dict[tuple[str, int], socket.socket] = {}
        self._dropping: dict[str, str] = {}
        self._dropped: dict[str, int] = {}
        self.over = False

    def run(self) -> None:
        print(self._front.getsockname()[1], flush=True)
        while not self.over:
            for key, _ in self._selector.select():
                with suppress(BlockingIOError):  # a full buffer loses a datagram, as networks do
                    key.data()

    def _order(self) -> None:
        words = os.read(sys.stdin.fileno(), 4096).decode().split()
        self.over = not words
        if words[:1] == ["to"]:
            self._root = ("127.0.0.1", int(words[1]))
        elif words[:1] == ["drop"]:
            self._dropping[words[1]] = words[2]
        elif words[:1] == ["pass"]:
            self._dropping.pop(words[1], None)
            print(self._dropped.pop(words[1], 0), flush=True)

    def _loses(self, host: str, way: str) -> bool:
        lost = self._dropping.get(host) in {"both", way}
        if lost:
            self._dropped[host] = self._dropped.get(host, 0) + 1
        return lost

    def _from_siblings(self) -> None:
        for _ in range(AT_ONCE):
            data, source = self._front.recvfrom(DATAGRAM)
            if self._loses(source[0], "to_root"):
                continue
            if source not in self._behind:
                self._behind[source] = made = udp()
                self._selector.register(made, selectors.EVENT_READ, partial(self._from_root, made, source))
            with suppress(OSError):
                self._behind[source].sendto(data, self._root)

    def _from_root(self, behind: socket.socket, source: tuple[str, int]) -> None:
        for _ in range(AT_ONCE):
            try:
                data, _ = behind.recvfrom(DATAGRAM)
            except ConnectionRefusedError:  # it is down
                continue
            if not self._loses(source[0], "from_root"):
                with suppress(OSError):
                    self._front.sendto(data, source)


class ByProxy(Ways):
    """Three nodes on loopback, the siblings behind the proxy."""

    WAYS = ("both", "to_root", "from_root")

    def prepare(self, machines: Sequence[Machine]) -> None:
        self._hosts = {machine.name: f"127.0.1.{number}" for number, machine in enumerate(machines)}
        argv = [sys.executable, "-m", "tests.real.mesh_proxy"]
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
        self._say(f"drop {self._hosts[name]} {way}")

    def heal(self, name: str) -> int:
        """How many datagrams were lost."""
        self._say(f"pass {self._hosts[name]}")
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def end(self) -> None:
        if hasattr(self, "_process"):
            self._process.kill()
            self._process.communicate()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


if __name__ == "__main__":
    Proxy().run()
