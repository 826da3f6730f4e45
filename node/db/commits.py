"""The committer's log, the fences it has seen, what is to be pushed, and the workspaces on this disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.seams.ledger import Row, Statement, Value


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants what committed: what of a row never changes in one try."""

    repository: str
    key: str
    ticket: str
    run: str
    worker: str
    node: str
    fence: str
    branch: str
    base: str
    patch: str
    title: str
    authorised_by: str
    reverts: str


@dataclass(frozen=True, slots=True)
class CommitRow:
    seq: int
    repository: str
    key: str
    ticket: str
    run: str
    worker: str
    node: str
    fence: str
    branch: str
    base: str
    patch: str
    title: str
    authorised_by: str
    reverts: str
    state: str
    parent: str
    made: str
    content: bytes | None
    code: str
    said: str
    decided_by: str
    at: int
    changed: int


@dataclass(frozen=True, slots=True)
class PushRow:
    seq: int
    repository: str
    key: str
    branch: str
    url: str
    state: str
    tries: int
    said: str
    at: int
    changed: int


@dataclass(frozen=True, slots=True)
class WorkspaceRow:
    task: str
    repository: str
    base: str
    made_at: int
    archived: int | None


_ASKED = "repository, key, ticket, run, worker, node, fence, branch, base, patch, title, authorised_by, reverts"
_ROW = f"seq, {_ASKED}, state, parent, made, content, code, said, decided_by, at, changed"
_RENEWED = ", ".join(
    f"{name} = excluded.{name}"
    for name in (*_ASKED.split(", ")[2:], "state", "parent", "made", "content", "code", "said", "changed")
)
_PUSH = "seq, repository, key, branch, url, state, tries, said, at, changed"


def _values(asked: Asked) -> list[Value]:
    return [getattr(asked, name) for name in _ASKED.split(", ")]


# Fences.


def raise_fence(ticket: str, fence: Sequence[int]) -> Statement:
    """One row if none higher was seen of this ticket before; from now on this one is the least that counts."""
    return Statement(
        "INSERT INTO commit_fences (ticket, reign, life, counter) VALUES (?, ?, ?, ?) ON CONFLICT (ticket) DO UPDATE "
        "SET reign = excluded.reign, life = excluded.life, counter = excluded.counter "
        "WHERE (excluded.reign, excluded.life, excluded.counter) >= (reign, life, counter) RETURNING 1",
        (ticket, *fence),
    )


# Commits.


@dataclass(frozen=True, slots=True)
class Step:
    """How far a commit has come."""

    state: str
    parent: str = ""
    made: str = ""
    content: bytes | None = None
    code: str = ""
    said: str = ""


def put(asked: Asked, step: Step, fence: Sequence[int], at: int) -> Statement:
    """The row as it is now; its number if it was stored. What is committed stays, and so does what came with a higher
    fence than this one."""
    values = _values(asked)
    return Statement(
        f"INSERT INTO commits ({_ASKED}, state, parent, made, content, code, said, at, changed) "
        "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS "
        "(SELECT 1 FROM commit_fences WHERE ticket = ? AND (reign, life, counter) > (?, ?, ?)) "
        f"ON CONFLICT (repository, key) DO UPDATE SET {_RENEWED} WHERE commits.state != 'committed' RETURNING seq",
        (
            *values,
            step.state,
            *(step.parent, step.made, step.content, step.code, step.said),
            *(at, at),
            asked.ticket,
            *fence,
        ),
    )


def given_up(repository: str, key: str, at: int, code: str, said: str) -> Statement:
    """What was prepared cannot be done any more: whoever wants it asks again."""
    return Statement(
        "UPDATE commits SET state = 'conflict', content = NULL, code = ?, said = ?, changed = ? "
        "WHERE repository = ? AND key = ? AND state = 'prepared'",
        (code, said, at, repository, key),
    )


def decide(repository: str, key: str, by: str, at: int, *, approved: bool, said: str) -> Statement:
    """A person's word about what waits for it. Its number if it did."""
    state, code = ("approved", "") if approved else ("refused", "review")
    return Statement(
        "UPDATE commits SET state = ?, code = ?, said = ?, decided_by = ?, changed = ? "
        "WHERE repository = ? AND key = ? AND state = 'waiting' RETURNING seq",
        (state, code, said, by, at, repository, key),
    )


def committed(asked: Asked, made: str, parent: str, at: int) -> Statement:
    """The repository has it, whatever is known of it here."""
    values = _values(asked)
    return Statement(
        f"INSERT INTO commits ({_ASKED}, state, parent, made, at, changed) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'committed', ?, ?, ?, ?) "
        "ON CONFLICT (repository, key) DO UPDATE SET state = 'committed', made = excluded.made, content = NULL, "
        "code = '', said = '', changed = excluded.changed "
        "WHERE commits.state != 'committed'",
        (*values, parent, made, at, at),
    )


def find(repository: str, key: str) -> Statement:
    return Statement(f"SELECT {_ROW} FROM commits WHERE repository = ? AND key = ?", (repository, key))


def by_key(key: str) -> Statement:
    """In whatever repository."""
    return Statement(f"SELECT {_ROW} FROM commits WHERE key = ? ORDER BY seq", (key,))


def prepared(repository: str) -> Statement:
    return Statement(
        f"SELECT {_ROW} FROM commits WHERE repository = ? AND state = 'prepared' ORDER BY seq", (repository,)
    )


def made_in(repository: str) -> Statement:
    """The ids of all commits that are known."""
    return Statement("SELECT made FROM commits WHERE repository = ? AND state = 'committed'", (repository,))


def listed(limit: int) -> Statement:
    """Newest first."""
    return Statement(f"SELECT {_ROW} FROM commits ORDER BY seq DESC LIMIT ?", (limit,))


def rows(found: list[Row]) -> list[CommitRow]:
    return [CommitRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


# Pushes.


def push_due(repository: str, key: str, branch: str, url: str, at: int) -> Statement:
    return Statement(
        "INSERT OR IGNORE INTO pushes (repository, key, branch, url, state, at, changed) "
        "VALUES (?, ?, ?, ?, 'due', ?, ?)",
        (repository, key, branch, url, at, at),
    )


def pushes_due(repository: str, limit: int) -> Statement:
    return Statement(
        f"SELECT {_PUSH} FROM pushes WHERE repository = ? AND state = 'due' ORDER BY seq LIMIT ?", (repository, limit)
    )


def pushes_in(repository: str, numbers: Sequence[int]) -> Statement:
    """These rows, in their order."""
    least, most = (min(numbers), max(numbers)) if numbers else (1, 0)
    return Statement(
        f"SELECT {_PUSH} FROM pushes WHERE repository = ? AND seq BETWEEN ? AND ? ORDER BY seq",
        (repository, least, most),
    )


def push_tried(ids: Sequence[int], state: str, said: str, at: int) -> Statement:
    return Statement(
        "UPDATE pushes SET state = ?, said = ?, tries = tries + 1, changed = ? WHERE seq = ?",
        many=[(state, said, at, number) for number in ids],
    )


def pushes_of(repository: str, key: str) -> Statement:
    return Statement(f"SELECT {_PUSH} FROM pushes WHERE repository = ? AND key = ? ORDER BY seq", (repository, key))


def pushes_listed(limit: int) -> Statement:
    """Newest first."""
    return Statement(f"SELECT {_PUSH} FROM pushes ORDER BY seq DESC LIMIT ?", (limit,))


def push_rows(found: list[Row]) -> list[PushRow]:
    return [PushRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


# Workspaces.


def workspace_made(task: str, repository: str, base: str, at: int) -> Statement:
    """Before its folder is."""
    return Statement(
        "INSERT OR REPLACE INTO workspaces (task, repository, base, made_at, archived) VALUES (?, ?, ?, ?, NULL)",
        (task, repository, base, at),
    )


def workspace_archived(task: str, at: int) -> Statement:
    """What came of it is stored elsewhere. For the transaction that stores it."""
    return Statement("UPDATE workspaces SET archived = ? WHERE task = ?", (at, task))


def workspace_gone(task: str) -> Statement:
    """After its folder is."""
    return Statement("DELETE FROM workspaces WHERE task = ?", (task,))


def workspaces() -> Statement:
    return Statement("SELECT task, repository, base, made_at, archived FROM workspaces ORDER BY task")


def workspace_rows(found: list[Row]) -> list[WorkspaceRow]:
    return [WorkspaceRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types
