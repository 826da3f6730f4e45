"""Short runs of the mesh campaign; `python -m tests.real.mesh_campaign` is the long one, with the same judgement.

`NETSKY_MESH_SECONDS`, `…_ENVELOPES`, `…_KILLS`, `…_CUTS` and `…_SEED` change the first. They print their seeds.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests import needs
from tests.real.mesh_campaign import Options, run
from tests.real.mesh_spaces import why_not

pytestmark = pytest.mark.real


def chosen(what: str, usual: int) -> int:
    return int(os.environ.get(f"NETSKY_MESH_{what}", str(usual)))


def seed() -> int:
    return chosen("SEED", random.SystemRandom().randrange(1 << 32))


def test_killing_and_cutting_off_any_daemon_at_random_loses_nothing_and_doubles_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds, kills, cuts = chosen("SECONDS", 60), chosen("KILLS", 15), chosen("CUTS", 3)
    options = Options(seconds, chosen("ENVELOPES", 20_400), kills, seed(), cuts)
    result = run(tmp_path, options)
    with capsys.disabled():
        print(f"\n{result.figures}")
    assert result.wrong == [], f"seed {options.seed}"


def test_a_home_that_is_put_back_from_a_backup_under_load_surprises_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In network namespaces where each node has an address of its own."""
    needs.root()
    needs.program("ip")
    if (why := why_not()) is not None:
        needs.missing(why)
    result = run(tmp_path, options := Options(12, 2_400, 3, seed(), cuts=2, restores=1, namespaces=True))
    with capsys.disabled():
        print(f"\n{result.figures}")
    assert result.wrong == [], f"seed {options.seed}"
