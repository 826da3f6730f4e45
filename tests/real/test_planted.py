"""The proof is tried: a mistake is planted into a copy of the package, a node that runs from it is killed at the one
commit where it matters, and the checker finds it in what everybody wrote. The same kill without the mistake is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from netsky.node.lab.checker.__main__ import text

from tests.real.mesh import Mesh, until
from tests.real.planted import Death, Mistake, Trial

pytestmark = pytest.mark.real

ACK_BEFORE_COMMIT = Mistake(
    "mesh/driver.py",
    """\
            await self._store.persist(effects.persist)
        for channel, frame in effects.send:
            self._queue(channel, frame)
""",
    """\
            for channel, frame in effects.send:
                self._queue(channel, frame)
            await trio.lowlevel.checkpoint()  # and the writers write
            await self._store.persist(effects.persist)
        for channel, frame in () if effects.persist else effects.send:
            self._queue(channel, frame)
""",
)
DESTINATION = Death("netsky2", "INSERT INTO inbox")
ROOT = Death("netsky0", "INSERT INTO forward")


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three nodes that are joined and stand still."""
    folder = tmp_path_factory.mktemp("homes")
    mesh = Mesh(folder, routes='there = "*@netsky1 -> *@netsky2: text"', actors=1)
    try:
        mesh.build()
        until(lambda: "netsky2" in str(mesh.siblings[0].netsky("nodes")), what="the newest roster at netsky1")
    finally:
        mesh.end()
    return folder


@pytest.fixture
def trial(homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    monkeypatch.setenv("NETSKY_HISTORY", str(tmp_path))
    made = Trial(tmp_path, homes)
    try:
        yield made
    finally:
        made.end()


@pytest.mark.parametrize(
    ("mistake", "spoilt", "death", "rule"),
    [
        pytest.param(ACK_BEFORE_COMMIT, "netsky2", DESTINATION, "I7", id="ack before commit at the destination"),
        pytest.param(ACK_BEFORE_COMMIT, "netsky0", ROOT, "I7", id="ack before commit at the root"),
    ],
)
def test_a_planted_mistake_is_found(trial: Trial, mistake: Mistake, spoilt: str, death: Death, rule: str) -> None:
    trial.run(death, mistake, spoilt)
    report = trial.judge()
    assert rule in report.violations, text(report)


@pytest.mark.parametrize("death", [DESTINATION, ROOT], ids=["the destination", "the root"])
def test_the_same_kill_without_a_mistake_breaks_nothing(trial: Trial, death: Death) -> None:
    trial.run(death, None, death.node)
    report = trial.judge()
    assert not report.violations, text(report)
    assert report.tally.by_kind["deliver"] == report.tally.by_kind["archive"] == 3
