"""What a test needs of the machine: without it the test is skipped with the reason, and in CI it fails."""

from __future__ import annotations

import os
import shutil

import pytest


def missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must be able to run this test: {reason}")
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of a program, or the end of the test."""
    path = shutil.which(name)
    if path is None:
        missing(f"the program {name} is not installed")
    assert path is not None
    return path


def root() -> None:
    """Tests that make users, mounts or devices."""
    if os.geteuid() != 0:
        missing("it makes users or mounts, which only root may")
