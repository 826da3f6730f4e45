"""The benches of the mesh beside a dead node, beside a flood, with many siblings: small here, judged by their books."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from netsky.node.bench.fairness import FairnessBench
from netsky.node.bench.mesh import data_of
from netsky.node.bench.siblings import SiblingsBench

pytestmark = pytest.mark.real

SCHEMA = json.loads((Path(str(resources.files("netsky.node"))) / "schemas" / "bench-mesh.json").read_text())
SIBLINGS = 20


def measured(run: FairnessBench | SiblingsBench) -> dict[str, float]:
    """Its figures by key: nothing lost, nothing doubled, and as --json would show them."""
    try:
        figures = run.measure()
    finally:
        run.fleet.end()
    data = data_of(run, {}, figures)
    validator = jsonschema.Draft202012Validator(SCHEMA["properties"]["data"])
    validator.validate(data)
    assert (data["lost"], data["doubled"], data["ended"]) == (0, 0, {})
    return {figure.key: figure.value for figure in figures}


def test_twenty_siblings_link_with_one_root_and_each_answers_ten_envelopes(tmp_path: Path) -> None:
    found = measured(SiblingsBench(str(tmp_path), print, SIBLINGS, idle_seconds=1))
    assert found["siblings"] == SIBLINGS
    assert found["window_envelopes"] == 20_000 // (2 * SIBLINGS)


@pytest.mark.long
def test_all_arrives_that_was_sent_beside_a_destination_dead_and_full_and_beside_one_who_floods(tmp_path: Path) -> None:
    found = measured(FairnessBench(str(tmp_path), print, seconds=1, pairs=1))
    assert found["dead_queued"] >= 5_000  # two origins, each held at its share
