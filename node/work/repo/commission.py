"""What the committer is asked for, what it answers, and the commit that follows from it. Pure.

Nothing in a commit comes from a clock or from the machine that makes it: the same commission on the same parent is the
same commit, wherever and however often it is made.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from netsky.node.work.repo.limits import MESSAGE_BYTES_MAX, TITLE_CHARS_MAX, WORD_CHARS_MAX

Fence = tuple[int, int, int]
"""Reign, root life, counter; compared in this order."""


@dataclass(frozen=True, slots=True)
class Commission:
    key: str
    run: str
    ticket: str
    worker: str
    node: str
    fence: Fence
    branch: str
    base: str
    """The commit that the worker began from."""
    patch: bytes
    scope: tuple[str, ...]
    """fs_write of its ticket."""
    title: str
    body: str
    authorised_by: str
    """The id of the owner's envelope; "" if there is none."""
    created: int
    """ns, wall clock: of the ticket."""
    review: Literal["", "person"] = ""
    push: str = ""
    """The repository to push to, once it is committed; "" is none."""
    reverts: str = ""
    """The key whose commit this takes back."""

    @property
    def patch_id(self) -> str:
        return hashlib.sha256(self.patch).hexdigest()


@dataclass(frozen=True, slots=True)
class Committed:
    commit: str
    again: bool = False
    """It was there before: this call changed nothing."""


@dataclass(frozen=True, slots=True)
class Refused:
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """It is well made, and what others have committed since its base is in its way."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class AwaitsReview:
    """A person decides. What would be committed stands in the repository under this name."""

    commit: str
    ref: str


Outcome = Committed | Refused | Conflict | AwaitsReview


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of the criteria."""

    passed: bool
    code: str = ""
    sentence: str = ""


Criteria = Callable[[str], Awaitable[Verdict]]
"""Gets a folder with the files as they would be after the commit; nothing in it is read again."""


def done_ref(key: str) -> str:
    return f"refs/netsky/done/{_name(key)}"


def pending_ref(key: str) -> str:
    """There while the refs of a commit are being moved: git moves several one after the other."""
    return f"refs/netsky/pending/{_name(key)}"


def review_ref(key: str) -> str:
    return f"refs/netsky/review/{_name(key)}"


def branch_ref(branch: str) -> str:
    return f"refs/heads/{branch}"


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


_BRANCH = re.compile(r"(?!.*(\.\.|//|/\.|\.lock(/|$)|[./]$))[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def fault_of(commission: Commission) -> str | None:
    """A sentence if it cannot be one: then whoever made it was wrong, not the worker."""
    for name in ("key", "run", "ticket", "worker", "node"):
        word = getattr(commission, name)
        if not word or not _is_word(word):
            return f"its {name} has to be 1 to {WORD_CHARS_MAX} printable characters without a space at its ends"
    for name in ("authorised_by", "reverts"):
        if getattr(commission, name) and not _is_word(getattr(commission, name)):
            return f"its {name} has to be {WORD_CHARS_MAX} printable characters at most"
    if not is_branch(commission.branch):
        return f"{commission.branch!r} is no name of a branch"
    if not is_commit(commission.base):
        return "its base has to be the whole id of a commit, 40 hex digits"
    if min(commission.fence) < 0 or commission.created < 0:
        return "its fence and its time cannot be negative"
    return None


def is_branch(name: str) -> bool:
    return _BRANCH.fullmatch(name) is not None


def is_commit(name: str) -> bool:
    return _COMMIT.fullmatch(name) is not None


def _is_word(text: str) -> bool:
    return len(text) <= WORD_CHARS_MAX and text.isprintable() and text == text.strip()


@dataclass(frozen=True, slots=True)
class Commit:
    """Ready to be written: its bytes decide its id."""

    id: str
    content: bytes
    parent: str
    tree: str


def make_commit(commission: Commission, tree: str, parent: str) -> Commit:
    seconds = commission.created // 10**9
    author = _person(commission.worker, commission.node)
    head = (
        f"tree {tree}\nparent {parent}\nauthor {author} {seconds} +0000\n"
        f"committer netsky <netsky@netsky> {seconds} +0000\n\n"
    )
    content = (head + message(commission)).encode()
    return Commit(commit_id(content), content, parent, tree)


def commit_id(content: bytes) -> str:
    return hashlib.sha1(b"commit %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def message(commission: Commission) -> str:
    """Title and body are text from outside: no line of them can be taken for a trailer."""
    title = _one_line(commission.title)[:TITLE_CHARS_MAX].strip() or f"Ticket {commission.ticket}"
    fence = ".".join(map(str, commission.fence))
    trailers = {
        "Netsky-Task": commission.ticket,
        "Netsky-Run": commission.run,
        "Netsky-Worker": commission.worker,
        "Netsky-Node": commission.node,
        "Netsky-Key": commission.key,
        "Netsky-Fence": fence,
        "Netsky-Patch": commission.patch_id,
        "Netsky-Reverts": commission.reverts,
        "Authorised-By": commission.authorised_by,
    }
    last = "".join(f"{name}: {value}\n" for name, value in trailers.items() if value)
    body = _body(commission.body)
    return f"{title}\n\n{body}\n\n{last}" if body else f"{title}\n\n{last}"


_LOOKS_OURS = re.compile(r"(?i)\s*(netsky-|authorised-by|---)")


def _body(text: str) -> str:
    cut = text.encode("utf-8", "replace")[:MESSAGE_BYTES_MAX].decode("utf-8", "ignore")
    lines = ["".join(char for char in line if char.isprintable() or char == "\t").rstrip() for line in cut.split("\n")]
    return "\n".join(f"| {line}" if _LOOKS_OURS.match(line) else line for line in lines).strip("\n")


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _person(worker: str, node: str) -> str:
    name, host = (re.sub(r"[^A-Za-z0-9._+-]", "-", word.partition("@")[0]) for word in (worker, node))
    return f"{name} <{name}@{host}>"


def trailers_of(content: bytes) -> dict[str, str]:
    """Of a commit's bytes: the lines of its last paragraph."""
    text = content.decode("utf-8", "replace").rstrip("\n").rpartition("\n\n")[2]
    pairs = (line.partition(": ") for line in text.split("\n"))
    return {name: value for name, _, value in pairs if value}


def parent_of(content: bytes) -> str:
    """The first one; "" for a commit without."""
    return next((line[7:].decode("ascii") for line in _head(content) if line.startswith(b"parent ")), "")


def _head(content: bytes) -> list[bytes]:
    return content.partition(b"\n\n")[0].split(b"\n")
