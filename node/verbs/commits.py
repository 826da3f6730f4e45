"""Verbs of commits: what this node's committers did, a person's word about what waits, a revert, and gc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsky.node.db import commits
from netsky.node.errors import Conflict, NetskyError, NotFound, Refused
from netsky.node.limits import LIST_ROWS_MAX
from netsky.node.work.repo import commission as outcomes
from netsky.node.work.repo.after import Revert, decide, push, rollback
from netsky.node.work.repo.git import GitError
from netsky.node.work.repo.sweep import sweep
from netsky.node.work.reviewing import decided

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.commits import CommitRow
    from netsky.node.verbs.args import Args


async def commit_log(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001 - as all verbs
    """What was committed or was to be, newest first."""
    limit = args.whole("limit", 50, 1, LIST_ROWS_MAX)
    args.nothing_else()
    found, pushes = await node.group.read([commits.listed(limit), commits.pushes_listed(limit)])
    states = {(row.repository, row.key): row for row in reversed(commits.push_rows(pushes))}
    return {"commits": [_told(row, states.get((row.repository, row.key))) for row in commits.rows(found)]}


async def commit_rollback(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """A commit that takes back what was committed for a key."""
    key, branch = args.text("key"), args.maybe_text("branch") or ""
    args.nothing_else()
    row = await _row(node, key)
    [[pushed]] = [await node.group.read([commits.pushes_of(row.repository, key)])]
    url = next((one.url for one in commits.push_rows(pushed)), "")
    revert = Revert(
        key, by="operator", node=node.identity.name, run=row.run, ticket=f"rollback of {key}", fence=(0, 0, 0),
        authorised_by="", created=node.now(), branch=branch, push=url,
    )  # fmt: skip
    try:
        committer = await node.shelf.committer_named(row.repository, branch or row.branch, url)
        outcome = await rollback(committer, node.group, revert)
        made = _made(outcome)
        pushes = await push(committer.repository, node.group, node.seams.time) if url else []
    except GitError as error:
        raise _failed(error) from None
    state = next((one.state for one in pushes if one.key == f"rollback:{key}"), "")
    return {"key": f"rollback:{key}", "commit": made.commit, "again": made.again, "push": state}


async def commit_decide(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """A person's word about what waits for it."""
    key, approved, why = args.text("key"), args.flag("approved"), args.maybe_text("why") or ""
    args.nothing_else()
    row = await _row(node, key)
    if not await decide(node.group, node.seams.time, row.repository, key, "operator", approved=approved, why=why):
        raise Conflict(
            f"nothing waits for a word about {key}: it is {row.state}", next="netsky commit log", code="not_waiting"
        )
    await decided(node, row.ticket, f"operator@{node.identity.name}", approved=approved, why=why)
    return {"key": key, "state": "approved" if approved else "refused", "commit": row.made}


async def gc(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """Removes what is archived or pushed, and where nothing runs."""
    dry = args.flag("dry")
    args.nothing_else()
    try:
        decisions = await sweep(node.shelf, node.group, node.seams, node.work.in_use(), dry=dry)
    except GitError as error:
        raise _failed(error) from None
    things = [
        {
            "kind": decision.thing.kind.name.lower(), "name": decision.thing.name, "bytes": decision.thing.size,
            "goes": decision.goes, "why": decision.why,
        }
        for decision in decisions
    ]  # fmt: skip
    return {"dry": dry, "things": things, "freed": sum(one.thing.size for one in decisions if one.goes)}


async def _row(node: Node, key: str) -> CommitRow:
    [found] = await node.group.read([commits.by_key(key)])
    rows = commits.rows(found)
    if not rows:
        raise NotFound(f"no commit of the key {key} is known here", next="netsky commit log", code="no_such_key")
    return rows[-1]


def _made(outcome: outcomes.Outcome) -> outcomes.Committed:
    if isinstance(outcome, outcomes.Committed):
        return outcome
    if isinstance(outcome, outcomes.Conflict):
        raise Conflict(
            outcome.sentence, next="look at the branch; a person has to revert it by hand", code=outcome.code
        )
    assert isinstance(outcome, outcomes.Refused)
    raise Refused(outcome.sentence, next="netsky commit log", code=outcome.code)


def _failed(error: GitError) -> NetskyError:
    return NetskyError(error.sentence, next="netsky help commits names the reasons", code=error.code)


def _told(row: CommitRow, pushed: commits.PushRow | None) -> dict[str, Any]:
    return {
        "key": row.key, "ticket": row.ticket, "run": row.run, "worker": row.worker, "node": row.node,
        "fence": row.fence, "branch": row.branch, "repository": row.repository, "title": row.title, "state": row.state,
        "commit": row.made or None, "parent": row.parent or None, "reverts": row.reverts or None,
        "authorised_by": row.authorised_by or None, "decided_by": row.decided_by or None, "code": row.code or None,
        "said": row.said or None, "push": None if pushed is None else pushed.state,
        "push_said": None if pushed is None else pushed.said or None, "at": row.at, "changed": row.changed,
    }  # fmt: skip
