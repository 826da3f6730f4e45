"""agent0 stopped with SIGSTOP while a blocker of another machine waits for it: the owner hears of it in time, the
program is ended and begun anew, and who only works hard is left alone. Real processes, real iroh, short times."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from netsky.node.config import with_line

from tests.real.mesh import Machine, Mesh, until

pytestmark = pytest.mark.real

HANG_S = 6
PAGED_WITHIN_S = HANG_S + 2 + 10
"""Two rounds of the ticker; and the program that pages has to start, on a machine that may be busy."""

READER = (sys.executable, "-m", "netsky.node.cli.main", "channel", "drain", "--follow", "--exec", "true")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("watched")
    made = Mesh(folder, routes="", actors=0)
    try:
        made.build()
        for machine in made.machines:
            configure(machine, "tick", "seconds", 1)
            configure(machine, "watch", "hang_s", HANG_S)
        hook = folder / "page.sh"
        hook.write_text(f'#!/bin/sh\n{{ echo "SUBJECT $NETSKY_SUBJECT"; cat; echo; }} >> {folder}/pages\n')
        hook.chmod(0o755)
        configure(made.root, "owner", "command", (str(hook),))
        for machine in made.machines:  # what the ticker sleeps for is changed by its next round, in a minute
            machine.netsky("down")
            machine.up()
        yield made
    finally:
        made.end()


def configure(machine: Machine, section: str, name: str, value: object) -> None:
    config = Path(machine.home.config)
    config.write_text(with_line(config.read_text(), section, name, value))


def pages(mesh: Mesh) -> str:
    path = Path(mesh.root.home.path).parent / "pages"
    return path.read_text() if path.exists() else ""


def alarms(machine: Machine) -> list[str]:
    return [alarm["key"] for alarm in machine.netsky("watchdog")["alarms"]]


def stop(machine: Machine) -> list[int]:
    """SIGSTOP for everything that agent0's program is. The pids, which are not the same after it was begun anew."""
    [actor] = [one for one in machine.netsky("agent", "ls")["actors"] if one["name"] == "agent0"]
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = stat.read_text().split(" (", 1)
        except OSError:
            continue
        parents[int(pid)] = int(rest.rpartition(")")[2].split()[1])
    found = [actor["pid"]]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    readers = [pid for pid in found if Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1] == [*READER]]
    for pid in readers:
        os.kill(pid, signal.SIGSTOP)
    return readers


def waiting(machine: Machine, actor: str = "agent0") -> int:
    sql = "SELECT count(*) FROM inbox WHERE actor = ? AND state != 'taken'"
    return int(machine.rows(sql, actor)[0][0])


def test_agent0_stopped_and_a_blocker_of_netsky2_are_paged_within_the_time(
    mesh: Mesh, capsys: pytest.CaptureFixture[str]
) -> None:
    root, _, two = mesh.root, *mesh.siblings
    root.netsky("agent", "add", "agent0", "--", *READER)
    two.netsky("send", "agent0@netsky0", "are you there?", "--kind", "question")
    until(lambda: root.rows("SELECT 1 FROM inbox WHERE actor = 'agent0' AND state = 'taken'"), what="the reader")
    for _ in range(2 * HANG_S):  # who works is left alone
        two.netsky("send", "agent0@netsky0", "and now?", "--kind", "question")
        time.sleep(1)
    until(lambda: not waiting(root), what="the rest")
    assert (pages(mesh), alarms(root)) == ("", [])

    assert stop(root)
    two.netsky("send", "agent0@netsky0", "I am blocked: which branch?", "--kind", "question")
    until(lambda: waiting(root), what="the blocker")
    at = time.monotonic()
    until(lambda: "agent0 has not moved" in pages(mesh), PAGED_WITHIN_S, "the page")
    with capsys.disabled():
        print(f"\n  paged {time.monotonic() - at:.1f} s after the blocker came, hang_s = {HANG_S}")
    assert "SUBJECT netsky0: agent0 has not moved" in pages(mesh)
    assert (Path(root.home.path) / "state" / "alarm.hang.agent0.json").exists()

    until(lambda: not waiting(root), 3 * HANG_S + 20, "its program, begun anew, takes it")
    until(lambda: not alarms(root), 10, "the end of the alarm")
    assert not (Path(root.home.path) / "state" / "alarm.hang.agent0.json").exists()
    assert pages(mesh).count("SUBJECT") == 1
    statuses = [status for (status,) in root.rows("SELECT status FROM watchdog_events ORDER BY id")]
    assert [one for one in statuses if one in {"raised", "revived", "cleared"}] == ["raised", "revived", "cleared"]


def test_agent0_of_a_sibling_is_told_to_the_owner_through_netsky0(mesh: Mesh) -> None:
    root, one, _ = mesh.root, *mesh.siblings
    one.netsky("agent", "add", "agent0", "--", *READER)
    one.netsky("send", "agent0", "hello", "--from", "agent0")
    until(lambda: one.rows("SELECT 1 FROM inbox WHERE actor = 'agent0' AND state = 'taken'"), what="the reader")
    assert stop(one)
    one.netsky("send", "agent0", "work", "--from", "agent0")
    told = "SELECT sender, kind FROM messages WHERE recipient LIKE 'owner%' AND sender LIKE 'agentinfinity%'"
    found = until(lambda: root.rows(told), PAGED_WITHIN_S + 10, "the escalation")
    assert found == [("agentinfinity@netsky1", "escalation")]
