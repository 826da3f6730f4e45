"""What all tests of nodes share."""

from __future__ import annotations

import pytest
from netsky.node.lab.scheduler import JumpingClock


@pytest.fixture
def jumping_clock() -> JumpingClock:
    """Time passes when nobody has work. A test takes it as an argument, by no mark: it would run in real time else."""
    return JumpingClock()
