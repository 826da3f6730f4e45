"""Homes that are put back by `netsky restore`: three processes, real iroh on loopback, and their people's commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.test_join import Machine, until

pytestmark = pytest.mark.real

LINES = 'work = "*@netsky1 -> *@netsky2: *"\n'


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[list[Machine]]:
    """netsky0, netsky1 and netsky2, linked."""
    machines = [Machine(tmp_path / str(number)) for number in range(3)]
    root = machines[0]
    try:
        root.netsky("init", "--root")
        config = Path(root.home.config)
        text = config.read_text().replace('# bind = ""', 'bind = "127.0.0.1:0"')
        config.write_text(text.replace("[routes]\n", "[routes]\n" + LINES) if "[routes]" in text else text + LINES)
        root.netsky("up")
        for machine in machines[1:]:
            machine.netsky("join", root.netsky("invite", machine.home.path[-1])["ticket"], "--yes")
            machine.netsky("up")
        until(lambda: all(linked(machine) for machine in machines[1:]))
        yield machines
    finally:
        for machine in machines:
            machine.kill()


def linked(machine: Machine) -> bool:
    [found] = machine.netsky("query", "SELECT count(*) FROM iroh_events WHERE event = 'up'")["rows"]
    return bool(found[0])


def send(machine: Machine, text: str) -> str:
    return str(machine.netsky("send", "agent0@netsky2", text, "--from", "agent0")["id"])


def received(machine: Machine) -> list[Any]:
    return [row[0] for row in machine.netsky("query", "SELECT id FROM messages JOIN inbox USING (seq)")["rows"]]


def done(machine: Machine) -> bool:
    return bool(
        machine.netsky("query", "SELECT count(*) FROM outbox WHERE state != 'done'")["rows"] == [[0]]
        and machine.netsky("query", "SELECT count(*) FROM outcomes WHERE fate != 'delivered'")["rows"] == [[0]]
    )


def test_a_receiver_and_then_the_root_are_put_back_and_nothing_is_lost_or_doubled(
    mesh: list[Machine], tmp_path: Path
) -> None:
    root, one, two = mesh
    sent = [send(one, "before")]
    until(lambda: done(one))
    copies = {machine: str(tmp_path / f"{machine.home.path[-1]}.tar") for machine in (root, two)}
    for machine, path in copies.items():
        machine.netsky("backup", path)
    sent += [send(one, f"after {at}") for at in range(3)]
    until(lambda: done(one) and len(received(two)) == 4)

    two.netsky("restore", copies[two], exit=7)
    two.netsky("down")
    two.netsky("restore", copies[two])
    shutil.rmtree(two.home.channels)  # another disk
    two.netsky("up")
    until(lambda: sorted(received(two)) == sorted(sent) and done(one))
    files = Path(two.home.channel("agent0"), "inbox")
    until(lambda: len(list(files.glob("*.json"))) == 4)

    root.netsky("invite", "somebody")
    root.netsky("down")
    root.netsky("restore", copies[root])
    root.netsky("up")
    sent.append(send(one, "over the new root"))
    until(lambda: sorted(received(two)) == sorted(sent) and done(one))
    assert [life for (life,) in root.netsky("query", "SELECT DISTINCT max(life) FROM lives GROUP BY peer")["rows"]]
    for machine in mesh:
        status = machine.netsky("status")
        assert not any(link["frozen"] for link in status.get("links", []) if isinstance(link, dict))
