"""The wheel, installed into a project that has packages named node, mesh, relay and envelope of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.real.installed import install_wheel, own_packages, run

USE = """
import envelope, mesh, node, relay
import trio
from netsky.node.api import connect

assert {module.OURS for module in (envelope, mesh, node, relay)} == {"the project's own"}

async def main():
    async with connect(HOME) as netsky, netsky.inbox("agent1") as inbox:
        sent = await netsky.send("agent1", "hello from a project", sender="agent0")
        async for item in inbox:
            assert item.envelope.id == sent.id and item.envelope.text == "hello from a project", item
            await item.ack()
            break
        print("taken", sent.id)

trio.run(main)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with its own packages, and an environment into which only the wheel was installed."""
    install_wheel(tmp_path)
    return own_packages(tmp_path / "project")


@pytest.mark.real
def test_the_wheel_works_beside_a_projects_own_packages_of_the_same_names(project: Path, tmp_path: Path) -> None:
    binaries = tmp_path / "environment" / "bin"
    python, netsky = str(binaries / "python"), str(binaries / "netsky")
    home = str(tmp_path / "home")
    env = {**os.environ, "NETSKY_HOME": home, "PYTHONPATH": ""}
    where = run(python, "-c", "import netsky.node.home as home; print(home.__file__)", cwd=project, env=env).stdout
    assert where.startswith(str(tmp_path)), f"the checkout was used instead of the wheel: {where}"
    run(netsky, "init", "--root", cwd=project, env=env)
    run(netsky, "up", "1", cwd=project, env=env)
    try:
        (project / "use.py").write_text(USE.replace("HOME", repr(home)))
        assert run(python, "use.py", cwd=project, env=env).stdout.startswith("taken ")
        run(netsky, "help", "start", cwd=project, env=env)
        run(netsky, "query", "SELECT count(*) FROM messages", cwd=project, env=env)
    finally:
        run(netsky, "down", cwd=project, env=env)
