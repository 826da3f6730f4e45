"""Three nodes in network namespaces with addresses of their own: cables to a bridge, which is in a fourth. Root only.

Everything is made in namespaces with names of ours, and goes with them: the network of the machine is not touched.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from tests.real.mesh import Machine, Ways

SUBNET = "10.83.7"
PORT = 7000
NOBODY = "02:00:00:00:00:99"
"""The hardware address of no interface: what is sent there gets lost in silence."""


def why_not() -> str | None:
    """Why namespaces cannot be made here, or None."""
    name = f"netsky-{os.getpid()}-try"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"network namespaces cannot be made here: {done.stderr.strip()}"
    try:
        for line in (["add", "eth0", "type", "veth", "peer", "name", "cable"], ["add", "hub", "type", "bridge"]):
            done = subprocess.run(["ip", "-n", name, "link", *line], capture_output=True, text=True, check=False)
            if done.returncode:
                return f"no {line[3]} can be made here: {done.stderr.strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)
    return None


class BySpaces(Ways):
    WAYS = ("both", "interface", "to_root", "from_root")
    bind = f"0.0.0.0:{PORT}"

    def __init__(self) -> None:
        self._mark = f"netsky-{os.getpid()}"
        self._hub = f"{self._mark}-hub"
        self._made: list[str] = []
        self._addresses: dict[str, str] = {}
        self._cuts: dict[str, str] = {}

    def prepare(self, machines: Sequence[Machine]) -> None:
        self._space(self._hub)
        _ip(self._hub, "link add hub type bridge", "link set hub up")
        for number, machine in enumerate(machines):
            space, cable = self._of(machine.name), f"to{number}"
            self._space(space)
            self._addresses[machine.name] = f"{SUBNET}.{number + 1}"
            _ip(self._hub, f"link add {cable} type veth peer name eth0 netns {space}")
            _ip(self._hub, f"link set {cable} master hub", f"link set {cable} up")
            _ip(space, "link set lo up", f"addr add {self._addresses[machine.name]}/24 dev eth0", "link set eth0 up")
            machine.shell = ("ip", "netns", "exec", space)

    def sibling_joined(self, sibling: Machine) -> None:
        sibling.configure("link", "bind", f"{self._addresses[sibling.name]}:0")

    def cut(self, name: str, way: str) -> None:
        """`both` pulls the cable out of the hub, `interface` takes the node's own down, others lose one direction."""
        self._cuts[name] = way
        space, cut, _ = self._lines(name, way)
        _ip(space, cut)

    def heal(self, name: str) -> dict[str, int]:
        """Nobody counts what is lost in a cable."""
        space, _, heal = self._lines(name, self._cuts.pop(name))
        _ip(space, heal)
        return {}

    def _lines(self, name: str, way: str) -> tuple[str, str, str]:
        """In which space, what cuts, what heals."""
        if way in {"both", "interface"}:
            space, device = (self._hub, f"to{name[-1]}") if way == "both" else (self._of(name), "eth0")
            return space, f"link set {device} down", f"link set {device} up"
        near, far = (name, "netsky0") if way == "to_root" else ("netsky0", name)
        other = self._addresses[far]
        dead_end = f"neigh replace {other} lladdr {NOBODY} nud permanent dev eth0"
        return self._of(near), dead_end, f"neigh del {other} dev eth0"

    def end(self) -> None:
        for space in self._made:
            subprocess.run(["ip", "netns", "del", space], check=False)
        self._made.clear()

    def _of(self, name: str) -> str:
        return f"{self._mark}-{name[-1]}"

    def _space(self, name: str) -> None:
        subprocess.run(["ip", "netns", "add", name], check=True)
        self._made.append(name)


def _ip(space: str, *lines: str) -> None:
    subprocess.run(["ip", "-n", space, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)
