"""Homes with an owner's command, and what that command was told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netsky.node.config import with_line

HASTY = Path(__file__).with_name("hasty_escalate.py")
CLI = ("-m", "netsky.node.cli.main")


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def telling(folder: Path, ends: str = "exit 0") -> Path:
    """A command that writes what it was told into `folder`/told, one file a time."""
    told = folder / "told"
    told.mkdir(mode=0o777)
    told.chmod(0o777)
    return script(folder / "tell-owner", f'd={told}/$$\n{{ echo "$NETSKY_FROM|$NETSKY_SUBJECT"; cat; }} > $d\n{ends}')


def told(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted((folder / "told").iterdir())]


def set_command(home: Path, *words: object) -> None:
    config = home / "config.toml"
    config.write_text(with_line(config.read_text(), "owner", "command", tuple(map(str, words))))


def marker(home: Path, name: str = "escalate-failed") -> dict[str, Any] | None:
    path = home / "state" / f"{name}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@dataclass
class Shell:
    """A person's shell with one home."""

    home: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        usual = {name: value for name, value in os.environ.items() if not name.startswith("NETSKY_")}
        return usual | {"NETSKY_HOME": str(self.home)} | self.more

    def run(self, *argv: str, stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *argv], env=self.environ, input=stdin, capture_output=True, text=True, check=False,
            timeout=timeout,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def netsky(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.run(*CLI, *words, stdin=stdin)

    def escalate(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.netsky("escalate", *words, stdin=stdin)

    def hastily(self, *words: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
        """With short pauses, and so much time for each run of the command."""
        return self.run(str(HASTY), str(seconds), *words)
