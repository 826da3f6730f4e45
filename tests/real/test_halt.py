"""Three daemons as shipped and their programs, each with children and grandchildren: `netsky halt --all` ends every
process, and after `netsky resume` all that was asked is answered once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.mesh import Machine, Mesh, until

pytestmark = pytest.mark.real

EACH = 3
"""Processes that each program is: itself, a child in a session of its own, and that one's child."""

WORKS = 4

FAMILY = """
import os, sys, time
def live(until):
    with open(f"{os.environ['PIDS']}/{os.environ['NETSKY_ACTOR']}-{os.getpid()}", "w"): pass
    while not until(): time.sleep(0.02)
if os.fork() == 0:
    os.setsid()
    os.fork()
    live(lambda: False)
"""
RESIDENT = FAMILY + "live(lambda: False)\n"
ANSWERS = FAMILY + "live(lambda: os.path.exists(os.environ['PIDS'] + '/go'))\nprint('done')\n"


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    made = Mesh(tmp_path / "m", routes="", actors=2)
    try:
        (tmp_path / "m").mkdir()
        made.build()
        for machine in made.machines:
            pids(machine).mkdir()
            add(machine, "agent1", "resident", RESIDENT)
            add(machine, "agent2", "per-envelope", ANSWERS)
        yield made
    finally:
        made.end()


def pids(machine: Machine) -> Path:
    return Path(machine.home.path).with_suffix(".pids")


def add(machine: Machine, name: str, mode: str, script: str) -> None:
    options = ["--mode", mode, "--unfenced", "--confirm", name, "--env", f"PIDS={pids(machine)}", "--cwd", "/"]
    machine.netsky("agent", "add", name, *options, "--", sys.executable, "-c", script)


def alive(machine: Machine, actor: str = "agent") -> list[int]:
    """Of the processes that ever reported, those that are still there."""
    found = [int(path.name.rpartition("-")[2]) for path in pids(machine).glob(f"{actor}*-*")]
    return [pid for pid in found if os.path.exists(f"/proc/{pid}") and not is_zombie(pid)]


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def run(machine: Machine, *words: str, exit: int = 0, as_json: bool = True) -> Any:  # noqa: A002
    done = subprocess.run(
        [sys.executable, "-m", "netsky.node.cli.main", "--home", machine.home.path, *(["--json"] * as_json), *words],
        env=machine.environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == exit, done
    return json.loads(done.stdout) if as_json else done.stdout


def ask_for_work(mesh: Mesh) -> list[str]:
    """From netsky0's agent0, to agent2 of each machine."""
    return [
        str(mesh.root.netsky("send", "--from", "agent0", to, f"work {at}")["id"])
        for to in ("agent2", "agent2@netsky1", "agent2@netsky2")
        for at in range(WORKS)
    ]


def all_run(mesh: Mesh, processes: int = 2 * EACH) -> None:
    for machine in mesh.machines:
        until(lambda machine=machine: len(alive(machine)) == processes, what=f"the programs of {machine.name}")


def test_every_process_ends_and_after_the_resume_all_work_is_done_once(mesh: Mesh) -> None:
    works = ask_for_work(mesh)
    all_run(mesh)
    data = run(mesh.root, "halt", "--all", "--reason", "the bill")["data"]
    assert [alive(machine) for machine in mesh.machines] == [[], [], []]
    ended = {one["name"]: (one["ended"], one["still"]) for one in (data["here"], *data["nodes"])}
    assert ended == dict.fromkeys(("netsky0", "netsky1", "netsky2"), (2 * EACH, 0))
    assert (data["done"], data["waiting"], data["ended"]) == (3, 0, 6 * EACH)

    for machine in mesh.machines:
        refused = run(machine, "send", "--from", "agent0", "agent1", "more", exit=8)["error"]
        assert refused["code"] == "halted"
        assert "the bill" in refused["message"]
        status = machine.netsky("status")
        assert status["halted"]["reason"] == "the bill"
        assert {one["state"] for one in status["actors"] if one["mode"] != "none"} == {"halted"}
        waiting = {
            one["actor"]: (one["waiting"], one["claimed"]) for one in machine.netsky("channel", "ls")["channels"]
        }
        assert waiting["agent2"] == (WORKS, 0)
    assert [one["halted"]["halted"] for one in mesh.root.netsky("nodes")["members"]] == [True] * 3
    checks = {one["name"]: one["level"] for one in mesh.siblings[0].netsky("doctor")["checks"]}
    assert checks["halted"] == "warn"

    mesh.siblings[0].kill()
    mesh.siblings[0].up()
    until(lambda: all(link["up"] for link in mesh.siblings[0].netsky("status")["links"]))
    assert alive(mesh.siblings[0]) == []

    run(mesh.root, "resume", "--all")
    all_run(mesh)
    for machine in mesh.machines:
        (pids(machine) / "go").touch()
    answers = "SELECT in_reply_to, count(*) FROM messages WHERE kind = 'reply' GROUP BY in_reply_to"
    until(lambda: len(mesh.root.rows(answers)) >= len(works), what="the answers")
    assert dict(mesh.root.rows(answers)) == dict.fromkeys(works, 1)
    taken = "SELECT state, count(*) FROM inbox WHERE actor = 'agent2' GROUP BY state"
    for machine in mesh.machines:
        until(lambda machine=machine: machine.rows(taken) == [("taken", WORKS)], what="the taking of all")
        assert machine.rows("SELECT * FROM crashes") == []


def test_a_machine_that_is_away_is_named_and_halts_when_it_is_back(mesh: Mesh) -> None:
    one, two = mesh.siblings
    all_run(mesh, EACH)
    two.kill()
    until(lambda: alive(two) == [])
    until(lambda: mesh.root.netsky("nodes")["members"][2]["state"] != "up")
    said = run(mesh.root, "halt", "--all", exit=6, as_json=False)
    lines = said.splitlines()
    assert [line.split()[:5] for line in lines[:2]] == [
        ["netsky0", "halted", f"{EACH}", "processes", "ended"],
        ["netsky1", "halted", f"{EACH}", "processes", "ended"],
    ]
    assert lines[2].startswith("netsky2 was not reached, seen ")
    assert "it ends routed work by itself within 60 s of silence; the order waits for it" in lines[2]
    assert "halt ordered" in run(mesh.root, "nodes", as_json=False)
    two.up()
    until(lambda: two.netsky("status")["halted"] is not None, what="the halt of netsky2")
    until(lambda: alive(two) == [])
    again = run(mesh.root, "halt", "--all")["data"]
    assert (again["done"], again["ended"]) == (3, 0)
    assert alive(one) == []
    run(mesh.root, "resume", "--node", "netsky1")
    until(lambda: len(alive(one)) == EACH)
    assert alive(two) == []


def test_behind_a_fence_every_process_is_counted_and_ends(mesh: Mesh) -> None:
    root = mesh.root
    if root.netsky("status")["fence"] == "none":
        pytest.skip("this system offers no fence")
    root.netsky("agent", "rm", "agent1")
    until(lambda: alive(root) == [])
    stubborn = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); os.fork(); "
    mark = f"time.sleep(7{os.getpid()})"
    root.netsky("agent", "add", "worker1", "--mode", "resident", "--", sys.executable, "-c", stubborn + mark)

    def there() -> int:
        listed = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout
        return sum(mark in line and "keeper" not in line for line in listed.splitlines())

    until(lambda: there() == 4)
    assert run(root, "halt")["data"]["ended"] == 4
    assert there() == 0
