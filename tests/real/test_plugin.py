"""The pytest plugin as a project has it that installed the wheel: the examples, the page about testing, and projects
that do not want it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.real.installed import ROOT, install_wheel, own_packages

EXAMPLES = ROOT / "deploy" / "examples" / "testing"
PATTERNS = ROOT / "deploy" / "examples" / "patterns"
PAGE = ROOT / "node" / "docs" / "testing.md"
OWN = """
import mesh as their_mesh
import node as their_node

def test_the_packages_are_the_projects_own():
    assert their_mesh.OURS == their_node.OURS == "the project's own"
"""

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_wheel(tmp_path_factory.mktemp("installed"))


class Project:
    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = own_packages(folder)
        self._python = programs / "python"
        self.write("test_own.py", OWN)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(textwrap.dedent(text))

    def pytest(self, *words: str, failed: bool = False) -> str:
        argv = [str(self._python), "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *words]
        env = {**os.environ, "PYTHONPATH": ""}
        done = subprocess.run(
            argv, cwd=self.folder, env=env, capture_output=True, text=True, check=False, timeout=300
        )  # fmt: skip
        assert done.returncode == int(failed), done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def project(installed: Path, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", installed)


@pytest.mark.parametrize(
    ("words", "setting"),
    [((), "trio_mode = true"), (("-p", "no:trio", "-p", "no:hypothesispytest"), "")],
    ids=["with pytest-trio", "without"],
)
def test_the_examples_pass_in_a_project_with_packages_named_node_and_mesh(
    project: Project, words: tuple[str, ...], setting: str
) -> None:
    for name in ("agents.py", "test_agents.py"):
        shutil.copy(EXAMPLES / name, project.folder)
    project.write("pytest.ini", f"[pytest]\n{setting}\n")
    assert "6 passed" in project.pytest(*words)


def test_the_patterns_of_work_pass_as_a_project_has_them(project: Project) -> None:
    for name in ("patterns.py", "test_patterns.py"):
        shutil.copy(PATTERNS / name, project.folder)
    assert "6 passed" in project.pytest()


def test_what_the_page_shows_is_a_test_that_passes(project: Project) -> None:
    shown = re.findall(r"(?:^    .*\n|^\n)+", PAGE.read_text(), re.MULTILINE)
    tests = [textwrap.dedent(block) for block in shown if "async def test_" in block]
    assert len(tests) == 2
    project.write("test_page.py", "import pytest\n" + "\n".join(tests))
    assert "3 passed" in project.pytest()


def test_a_failure_tells_its_seed_and_what_agents_raised(project: Project) -> None:
    project.write(
        "test_failing.py",
        """
        async def test_nobody_answers(mesh, netsky_seed):
            async def divide(envelope):
                return str(1 / int(envelope.text))

            await mesh.agent("agent1@netsky1", divide)
            sent = await mesh.send("agent0@netsky0", "0", to="agent1@netsky1")
            assert (await mesh.reply(sent)).text == "nothing"
        """,
    )
    said = project.pytest("test_failing.py", "--netsky-seed", "6-7", failed=True)
    assert "2 failed" in said
    assert "seed 7. The same run again: pytest 'test_failing.py::test_nobody_answers' --netsky-seed 7" in said
    assert "agent1@netsky1, 5 times, first after" in said
    assert "ZeroDivisionError: division by zero" in said
    assert "could not do this" in said  # the test's own assertion
    assert "node/lab" not in said  # nothing but lines of the project is shown
    again = project.pytest("test_failing.py::test_nobody_answers", "--netsky-seed", "7", failed=True)
    assert "seed 7." in again


def test_what_the_mesh_loses_fails_a_test_that_saw_nothing(project: Project) -> None:
    project.write(
        "test_loss.py",
        """
        import pytest

        @pytest.mark.parametrize("judge", [True, False])
        async def test_somebody_deletes_a_row(mesh, judge):
            mesh.judge = judge
            await mesh.partition("netsky1")
            await mesh.send("agent0@netsky0", "lost", to="agent0@netsky1")
            await mesh["netsky0"].rows("DELETE FROM outbox")
        """,
    )
    said = project.pytest("test_loss.py", failed=True)
    assert "1 failed, 1 passed" in said
    assert re.search(r"I3: netsky0 \w+ ended and its sender was not told", said)


def test_what_a_mesh_cannot_be_asked_is_said_in_a_sentence(project: Project) -> None:
    project.write(
        "test_wrong.py",
        """
        import pytest

        def test_plain(mesh): ...

        @pytest.fixture
        def team(mesh):
            return mesh.agent("agent1@netsky1")

        async def test_fixture(mesh, team): ...

        @pytest.mark.netsky(nodes=3)
        async def test_marked(mesh): ...

        async def test_unknown(mesh):
            await mesh.crash("netsky9")
        """,
    )
    said = project.pytest("test_wrong.py", failed=True)
    assert "so it must be an async function: async def test_plain" in said
    assert "a mesh runs in `async def` tests only, not in fixtures and plain tests" in said
    assert "@pytest.mark.netsky takes siblings and routes by name, not nodes" in said
    assert "there is no machine 'netsky9' in this mesh: there are netsky0, netsky1, netsky2" in said


def test_a_project_that_does_not_use_it_pays_nothing_and_keeps_its_own_fixture(project: Project) -> None:
    project.write(
        "test_theirs.py",
        """
        import sys

        import pytest

        @pytest.fixture
        def mesh():
            return "a net of triangles"

        def test_mesh(mesh):
            assert mesh == "a net of triangles"

        def test_nothing_heavy_was_imported():
            heavy = {"trio", "cryptography", "iroh", "netsky.node.lab.mesh"}
            assert not heavy & set(sys.modules)
            assert "netsky.node.lab.plugin" in sys.modules
        """,
    )
    assert "3 passed" in project.pytest("-p", "no:trio", "-p", "no:hypothesispytest")
