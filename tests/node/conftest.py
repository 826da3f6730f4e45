"""What all tests of nodes share."""

from __future__ import annotations

import pytest
from trio.testing import MockClock


@pytest.fixture
def jumping_clock() -> MockClock:
    """Time passes when nobody has work. A test takes it as an argument, by no mark: it would run in real time else."""
    return MockClock(autojump_threshold=0)
