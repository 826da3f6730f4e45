"""Plays every scenario file of this folder. `NETSKY_REWRITE=1` writes down what happened: read the difference."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from netsky.node.lab.scenario import difference, play
from netsky.node.lab.scheduler import run_seeded
from netsky.node.links.store import PeerStore

from tests.scenarios.stage import MeshStage

FILES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_it_happens_as_it_is_written(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = file.read_text()

    async def main() -> str:
        async with trio.open_nursery() as nursery:
            stage = MeshStage(tmp_path, nursery)
            for call in ("persist", "offers", "tell"):
                monkeypatch.setattr(PeerStore, call, stage.around(call, getattr(PeerStore, call)))
            played = await play(text, stage)
            nursery.cancel_scope.cancel()
        assert not stage.failing, "what was to fail was never called"
        return played

    played = run_seeded(main, seed=1)
    if os.environ.get("NETSKY_REWRITE"):
        file.write_text(played)
    else:
        assert played == text, difference(text, played)
