"""Mistakes as patches beside this file: reading them, and a copy of the tree with one of them in it.

A patch begins with lines that say what the mistake is, how it harms, which invariants of the checker may name it, and
who wrote it: `A` wrote the lab too, `B` did not; and `run`, where it takes a longer run than others to show. The
product holds no switch for any of them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
PACKAGES = ("envelope", "mesh", "relay", "node")
_HEAD = re.compile(r"what: (.+)\nharm: (.+)\nnamed by: (.+)\nby: ([AB])\n(?:run: ([^\n]+)\n)?\n", re.DOTALL)
matches_name = re.compile(r"\d\d-[a-z0-9-]+").fullmatch


@dataclass(frozen=True, slots=True)
class Patch:
    name: str
    what: str
    harm: str
    named_by: tuple[str, ...]
    """The invariants of which one must name it."""
    by: str
    run: str
    """Words for the simulation, where it takes another run than `run.SMALL` to show."""

    @property
    def path(self) -> Path:
        return HERE / f"{self.name}.patch"

    @property
    def files(self) -> list[str]:
        return re.findall(r"^\+\+\+ b/(.+)$", self.path.read_text(), re.MULTILINE)


def read_patch(path: Path) -> Patch:
    found = _HEAD.match(path.read_text())
    assert found is not None, f"{path.name} does not begin with what, harm, named by and by"
    what, harm, named_by, by, run = (" ".join((part or "").split()) for part in found.groups())
    return Patch(path.stem, what, harm, tuple(named_by.split()), by, run)


def all_patches() -> list[Patch]:
    return [read_patch(path) for path in sorted(HERE.glob("*.patch"))]


def wrong_with(patch: Patch, tree: Path = REPO) -> str | None:
    """Why it does not apply to this tree, or None."""
    done = _git("apply", "--check", str(patch.path), at=tree)
    return done.stderr.strip() if done.returncode else None


def copied(folder: Path, patch: Patch | None) -> Path:
    """What `folder` stands for on the path of an interpreter that is to import the package from there."""
    tree = folder / "netsky"
    names = _git("ls-files", "-z", "--", *PACKAGES, at=REPO).stdout.split("\0")
    # What was removed and is not committed yet is still named.
    _copy([name for name in names if name and (REPO / name).is_file()], tree)
    if patch is not None:
        _apply(patch, tree)
    return folder


def spoilt(patch: Patch, folder: Path) -> list[Path]:
    """The files that it changes, alone."""
    _copy(patch.files, folder)
    _apply(patch, folder)
    return [folder / name for name in patch.files]


def chosen(words: Sequence[str]) -> list[Patch]:
    """Those whose name has one of the words in it; all of them without any."""
    return [one for one in all_patches() if not words or any(word in one.name for word in words)]


def _copy(names: Sequence[str], tree: Path) -> None:
    for name in names:
        to = tree / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPO / name, to)


def _apply(patch: Patch, tree: Path) -> None:
    done = _git("apply", str(patch.path), at=tree)
    assert done.returncode == 0, f"{patch.name} no longer applies: {done.stderr}"


def _git(*words: str, at: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=at, capture_output=True, text=True, check=False)
