"""How the refs of a commit are moved, and how a move that was cut off is read. Pure.

git's ref transaction locks all refs, then renames one after the other: a kill in between leaves some moved. So a first
transaction says what is going to happen (`refs/netsky/pending/…`), and the second one takes that back as its last act
(git deletes after it has updated). While it stands, whoever comes finishes the move or undoes it; once it is gone, all
of it has happened. No database is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from netsky.node.work.repo.commission import branch_ref, done_ref, pending_ref, review_ref

NOWHERE = "0" * 40


@dataclass(frozen=True, slots=True)
class Move:
    """A branch goes from its tip (None: it is not there) to a commit, for a key."""

    key: str
    branch: str
    commit: str
    tip: str | None
    reviewed: str = ""
    """What stood under the key's review ref, and goes with it."""

    @property
    def refs(self) -> tuple[str, ...]:
        return (done_ref(self.key), branch_ref(self.branch), pending_ref(self.key))

    def text(self) -> str:
        """For `git update-ref --stdin`. The done ref first: it is the one that counts."""
        done, branch, pending = self.refs
        last = [f"create {done} {self.commit}", _to(branch, self.commit, self.tip)]
        if self.reviewed:
            last.append(f"delete {review_ref(self.key)} {self.reviewed}")
        last.append(f"delete {pending} {self.commit}")
        return _transaction([f"create {pending} {self.commit}"]) + _transaction(last)


@dataclass(frozen=True, slots=True)
class CutOff:
    """A move of which the pending ref was found. `tip`: of the branch, None if it is not there."""

    key: str
    branch: str
    commit: str
    parent: str
    tip: str | None
    done: str | None
    in_branch: bool
    """The commit is the tip or behind it."""
    begins: bool
    """The branch was to begin with it."""
    reviewed: str = ""
    """As of a move."""

    @property
    def way(self) -> Literal["finish", "undo"]:
        """Undone if the branch went another way meanwhile: the commit is in nobody's history."""
        reachable = self.tip == self.parent or (self.tip is None and self.begins)
        return "finish" if self.in_branch or reachable else "undo"

    def text(self) -> str:
        done, branch, pending = done_ref(self.key), branch_ref(self.branch), pending_ref(self.key)
        lines = []
        if self.way == "finish":
            if self.done is None:
                lines.append(f"create {done} {self.commit}")
            if not self.in_branch:
                lines.append(_to(branch, self.commit, self.tip))
            if self.reviewed:
                lines.append(f"delete {review_ref(self.key)} {self.reviewed}")
        elif self.done is not None:
            lines.append(f"delete {done} {self.done}")
        return _transaction([*lines, f"delete {pending} {self.commit}"])


def _to(ref: str, commit: str, old: str | None) -> str:
    return f"create {ref} {commit}" if old is None else f"update {ref} {commit} {old}"


def _transaction(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in ("start", *lines, "prepare", "commit"))
