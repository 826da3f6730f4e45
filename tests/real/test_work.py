"""Tickets with files over real daemons, with real git and real sandboxes: what is killed costs time, and no commit is
made twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.work.repo.world import git
from tests.node.work.yard import Project
from tests.real.mesh import Machine, Mesh, until

pytestmark = pytest.mark.real


def plan_of(project: Project, *tickets: str) -> str:
    head = f'name = "demo"\nrepository = "{project.path}"\nbranch = "main"\n[defaults]\nruntime = "command"\n'
    return head + "".join(tickets)


def ticket(name: str, script: str, **more: Any) -> str:
    lines = {
        "id": name,
        "command": ["sh", "-c", script],
        "idempotency_key": f"key-{name}",
        "permission_scope.fs_write": ["src/"],
        **more,
    }
    return "[[ticket]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())


def start(machine: Machine, folder: Path, plan: str) -> str:
    (folder / "plan.toml").write_text(plan)
    return str(machine.netsky("run", str(folder / "plan.toml"), "--no-wait")["run"]["id"])


def ended(machine: Machine, run: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        [found] = [one for one in machine.netsky("task", "ls", "--runs")["runs"] if one["id"] == run]
        return found if found["state"] in {"completed", "blocked"} else None

    return until(look, 60)  # type: ignore[no-any-return]


def state(machine: Machine, name: str) -> str:
    [(found,)] = machine.rows("SELECT state FROM work_tickets WHERE id LIKE ?", f"%.{name}")
    return str(found)


def subjects(machine: Machine) -> list[str]:
    """Of the commits that the plan's branch has got, the oldest first."""
    [bare] = (Path(machine.home.path) / "repos").glob("*.git")
    return git(bare, "log", "--reverse", "--format=%(trailers:key=Netsky-Key,valueonly,separator=%x00)", "main").split()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "netsky0", "netsky0")
    machine.netsky("init", "--root")
    machine.configure("link", "bind", "127.0.0.1:0")
    machine.up()
    yield machine
    machine.kill()


def test_a_node_that_is_killed_while_it_works_and_while_it_judges_commits_each_once(
    tmp_path: Path, root: Machine
) -> None:
    project = Project(tmp_path / "project")
    run = start(
        root,
        tmp_path,
        plan_of(
            project,
            ticket("first", "echo 1 > src/1", success_criteria=["sleep 1"]),
            ticket("second", "sleep 1; cat src/1 src/1 > src/2", after=["first"]),
            ticket("third", "echo 3 > src/3", after=["second"], success_criteria=["test -e src/2"]),
        ),
    )
    until(lambda: state(root, "first") == "reported", 30)
    root.kill()
    assert state(root, "first") == "reported"
    root.up()
    until(lambda: state(root, "second") == "leased", 30)
    root.kill()
    root.up()
    assert ended(root, run)["state"] == "completed"
    assert subjects(root) == ["key-first", "key-second", "key-third"]
    [bare] = (Path(root.home.path) / "repos").glob("*.git")
    assert git(bare, "show", "main:src/2") == "1\n1"
    assert git(bare, "for-each-ref", "--format=%(refname)", "refs/netsky/pending") == ""
    lost = [step["code"] for step in root.netsky("task", "show", "second")["story"] if step["event"] == "again"]
    assert lost == ["node_died"]
    assert list((Path(root.home.path) / "workspaces").iterdir()) == []


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    made = Mesh(tmp_path / "m", routes="", actors=0)
    try:
        (tmp_path / "m").mkdir()
        made.build()
        yield made
    finally:
        made.end()


def test_siblings_work_on_what_they_were_sent_and_one_is_killed(tmp_path: Path, mesh: Mesh) -> None:
    project = Project(tmp_path / "project")
    run = start(
        mesh.root,
        tmp_path,
        plan_of(
            project,
            ticket("first", "echo 1 > src/1", on=["netsky1"]),
            ticket("second", "sleep 2; cat src/1 > src/2", after=["first"], on=["netsky2"]),
            ticket("third", "echo 3 > src/3", on=["netsky2", "netsky1"]),
        ),
    )
    until(lambda: state(mesh.root, "second") == "leased", 40)
    mesh.siblings[1].kill()
    mesh.siblings[1].up()
    assert ended(mesh.root, run)["state"] == "completed"
    assert sorted(subjects(mesh.root)) == ["key-first", "key-second", "key-third"]
    lost = [step["code"] for step in mesh.root.netsky("task", "show", "second")["story"] if step["event"] == "again"]
    assert lost == ["node_died"]
