"""What is a call of the short program and what is not, and that nothing heavy stands in its way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from netsky.node.escalate.program import verb_at


@pytest.mark.parametrize(
    ("words", "at"),
    [
        (["escalate"], 0),
        (["--json", "escalate", "x"], 1),
        (["--home", "escalate", "escalate"], 2),
        (["--home=/x", "-q", "--no-color", "escalate"], 3),
        (["send", "agent1", "escalate"], None),
        (["--home", "escalate", "status"], None),
        (["--", "escalate"], None),
        (["help", "escalate"], None),
        (["--home"], None),
        ([], None),
    ],
)
def test_the_word_counts_where_the_command_stands(words: list[str], at: int | None) -> None:
    assert verb_at(words) == at


@pytest.mark.real
def test_it_imports_the_standard_library_and_its_own_folder_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "netsky.node.cli.main", "--home", str(tmp_path / "none")]
    done = subprocess.run(
        [*command, "escalate", "hello"], capture_output=True, text=True, check=False, timeout=60, env={"PATH": ""}
    )
    assert done.returncode == 3, done.stderr[-500:]
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    ours = {name for name in names if name.startswith("netsky.")}
    assert {name for name in ours if not name.startswith("netsky.node.escalate")} <= {
        *("netsky.node", "netsky.node.cli", "netsky.node.cli.main", "netsky.node.marker")
    }
    heavy = {"trio", "iroh", "msgpack", "cryptography", "asyncio", "sqlite3", "aiosqlite"}
    assert not {name.partition(".")[0] for name in names} & heavy
    print(f"{len(names)} modules")
