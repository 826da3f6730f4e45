"""Short runs of the mesh campaign; `python -m tests.real.mesh_campaign` is the long one, with the same judgement.

`NETSKY_MESH_ARGS` is added to the words of the first. They print their seeds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs
from tests.real.mesh_campaign import REPO
from tests.real.mesh_faults import why_no_mounts
from tests.real.mesh_spaces import why_not

pytestmark = pytest.mark.real


def campaign(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """As it is typed: it makes a mount namespace of its own."""
    argv = [sys.executable, "-m", "tests.real.mesh_campaign", "--at", str(folder), *words]
    done = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, timeout=400, check=False)
    with capsys.disabled():
        print(f"\n{done.stdout}{done.stderr}")
    assert done.returncode == 0, done.stdout[-4_000:]


def test_whatever_befalls_three_daemons_nothing_is_lost_and_nothing_doubled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of fault but losses, at least once."""
    needs.root()
    if (why := why_no_mounts()) is not None:
        needs.missing(why)
    kinds = "crash,pause,disk_slow,disk_full,read_only,descriptors,part,one_way,clog,delay,loss,hostile,client"
    clocks = "clock_jump,clock_drift,clock_freeze"
    words = ("--seconds", "12", "--envelopes", "2400", "--every", "1", "--faults", f"{kinds},{clocks}")
    campaign(tmp_path, capsys, *words, *os.environ.get("NETSKY_MESH_ARGS", "").split())


def test_a_home_that_is_put_back_from_a_backup_under_load_surprises_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In network namespaces where each node has an address of its own."""
    needs.root()
    needs.program("ip")
    if (why := why_not()) is not None:
        needs.missing(why)
    faults = ("--faults", "crash,part,restore", "--every", "2")
    campaign(tmp_path, capsys, "--namespaces", "--seconds", "8", "--envelopes", "1600", *faults)
