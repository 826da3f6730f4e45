"""A short run of the mesh campaign; `python -m tests.real.mesh_campaign` is the long one, with the same judgement.

`NETSKY_MESH_SECONDS`, `…_ENVELOPES`, `…_KILLS` and `…_SEED` change it. It prints the seed.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.real.mesh_campaign import Options, run


@pytest.mark.real
def test_killing_and_pausing_any_daemon_at_random_loses_nothing_and_doubles_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(
        seconds=float(os.environ.get("NETSKY_MESH_SECONDS", "25")),
        envelopes=int(os.environ.get("NETSKY_MESH_ENVELOPES", "6000")),
        kills=int(os.environ.get("NETSKY_MESH_KILLS", "10")),
        seed=int(os.environ.get("NETSKY_MESH_SEED", str(random.SystemRandom().randrange(1 << 32)))),
    )
    result = run(tmp_path, options)
    with capsys.disabled():
        print(f"\n{result.figures}")
    assert result.wrong == [], f"seed {options.seed}"
