"""Who sends and takes in a mesh campaign: processes of their own, each with a history, killed and begun again."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.real.mesh import Machine
from tests.real.mesh_client import Flow

REPO = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Client:
    node: str
    argv: list[str]
    process: subprocess.Popen[bytes]
    resting: bool = False
    """Its machine is being put back."""


class People:
    def __init__(self, folder: Path, machines: Sequence[Machine], keys: Mapping[str, str]) -> None:
        self._folder = folder
        self._machines = {machine.name: machine for machine in machines}
        self._keys = keys
        self._everybody: dict[str, Client] = {}
        self._lock = threading.Lock()
        self.killed = 0

    def drains(self, node: str, actor: str) -> None:
        self._begin(f"drain-{node}-{actor}", "drain", node, actor)

    def sends(self, node: str, flow: Flow) -> None:
        self._begin(f"send-{node}-{flow.name}", "send", node, json.dumps(asdict(flow)))

    def begun(self) -> bool:
        """Each has opened its history."""
        self.check()
        return all(Path(one.argv[-2]).exists() for one in self._everybody.values())

    def kill_one(self, chance: random.Random) -> None:
        with self._lock:
            client = self._everybody[chance.choice(sorted(self._everybody))]
            if client.process.poll() is None and not client.resting:
                client.process.send_signal(signal.SIGKILL)
                client.process.wait()
                client.process = self._process(client.argv)
                self.killed += 1

    def rest(self, node: str) -> None:
        """All of this machine fall with it."""
        with self._lock:
            for client in self._of(node):
                client.resting = client.resting or client.process.poll() is None
                client.process.kill()
                client.process.wait()

    def go_on(self, node: str) -> None:
        with self._lock:
            for client in self._of(node):
                if client.resting:
                    client.process, client.resting = self._process(client.argv), False

    def check(self) -> None:
        """Nobody ended by itself but senders that are done."""
        with self._lock:
            codes = {name: one.process.poll() for name, one in self._everybody.items() if not one.resting}
        fell = {name: code for name, code in codes.items() if code}
        if fell:
            raise RuntimeError(f"{fell} ended by themselves: {(self._folder / 'errors').read_text()[-2000:]}")

    def all_sent(self) -> bool:
        self.check()
        with self._lock:
            senders = [one for name, one in self._everybody.items() if name.startswith("send")]
            return all(one.process.poll() is not None and not one.resting for one in senders)

    def stop(self) -> None:
        for client in self._everybody.values():
            client.process.kill()
            client.process.wait()

    def _of(self, node: str) -> list[Client]:
        return [one for one in self._everybody.values() if one.node == node]

    def _begin(self, name: str, role: str, node: str, what: str) -> None:
        argv = [sys.executable, "-m", "tests.real.mesh_client", role, self._machines[node].home.path, node]
        argv += [self._keys[node], str(self._folder / f"{name}.history"), what]
        self._everybody[name] = Client(node, argv, self._process(argv))

    def _process(self, argv: list[str]) -> subprocess.Popen[bytes]:
        with open(self._folder / "errors", "ab") as errors:
            return subprocess.Popen(argv, stderr=errors, cwd=REPO)
