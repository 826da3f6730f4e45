"""`netsky gc`: looks at what is on the disk and in the rows, and removes what `gc.decide` lets go."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace

import trio
from netsky.node.db import commits
from netsky.node.db.group import GroupCommit
from netsky.node.seams import Seams
from netsky.node.seams.processes import CannotStart
from netsky.node.seams.real_processes import end
from netsky.node.work.repo.committer import CHECKS
from netsky.node.work.repo.gc import Decision, Kind, Thing, decide
from netsky.node.work.repo.git import GitError
from netsky.node.work.repo.limits import CHUNK_BYTES, GIT_ERRORS_MAX, GIT_SECONDS, REFS_BYTES_MAX, THINGS_MAX
from netsky.node.work.repo.repository import Repository
from netsky.node.work.repo.shelf import Shelf
from netsky.node.work.repo.trees import remove_tree


async def sweep(
    shelf: Shelf, group: GroupCommit, seams: Seams, running: Collection[str], *, dry: bool, needed: int | None = None
) -> list[Decision]:
    """`running`: the tasks that somebody works on or is about to, and the repositories of runs that go on. What was
    decided, in that order; with `dry`, nothing is removed. What stays of the repositories is packed. GitError if one of
    them does not go: what comes after it stays."""
    decisions = decide(await look(shelf, group, seams, running), needed)
    if not dry:
        for decision in decisions:
            if decision.goes:
                await _remove(shelf, seams, decision.thing)
            elif decision.thing.kind is Kind.REPOSITORY and not decision.thing.running:
                await shelf.tidy(decision.thing.name.removesuffix(".git"))
    return decisions


async def look(shelf: Shelf, group: GroupCommit, seams: Seams, running: Collection[str]) -> list[Thing]:
    """All that there is."""
    [found] = await group.read([commits.workspaces()])
    rows = {row.task: row for row in commits.workspace_rows(found)}
    checks = os.path.join(shelf.repos, CHECKS)
    names = {
        Kind.CHECK: (checks, _names(seams, checks)),
        Kind.BUNDLE: (shelf.bundles, _names(seams, shelf.bundles)),
        Kind.WORKSPACE: (shelf.workspaces.folder, _names(seams, shelf.workspaces.folder)),
        Kind.REPOSITORY: (shelf.repos, [name for name in _names(seams, shelf.repos) if name.endswith(".git")]),
    }
    paths = [os.path.join(folder, name) for folder, some in names.values() for name in some]
    sizes = await _sizes(seams, paths)
    things = []
    for kind, (folder, some) in names.items():
        for name in some:
            thing = Thing(kind, name, sizes.get(os.path.join(folder, name), 0), _used(seams, folder, name))
            if kind is Kind.WORKSPACE and (row := rows.get(name)) is not None:
                thing = replace(thing, used=row.archived or row.made_at, archived=row.archived is not None)
            if kind is Kind.REPOSITORY:
                borrowers = tuple(task for task, row in rows.items() if f"{row.repository}.git" == name)
                pushed = await _is_elsewhere(await shelf.by_name(name.removesuffix(".git")))
                thing = replace(thing, pushed=pushed, needed_by=borrowers)
            busy = shelf.busy and kind in {Kind.CHECK, Kind.REPOSITORY}
            things.append(replace(thing, running=busy or name.removesuffix(".git") in running))
    return things


async def _is_elsewhere(repository: Repository) -> bool:
    """Whether each branch here is behind what is known of another repository, and nothing waits for a person. Without
    a branch nothing was committed here."""
    heads = await repository.refs("refs/heads/", REFS_BYTES_MAX)
    if await repository.refs("refs/netsky/review/", REFS_BYTES_MAX):
        return False
    there = await repository.refs("refs/netsky/from/", REFS_BYTES_MAX)
    for name, tip in heads.items():
        seen = there.get(f"refs/netsky/from/{name.removeprefix('refs/heads/')}")
        if seen is None or not await repository.is_ancestor(tip, seen):
            return False
    return True


async def _remove(shelf: Shelf, seams: Seams, thing: Thing) -> None:
    if thing.kind is Kind.WORKSPACE:
        await shelf.workspaces.remove(thing.name)
        return
    if thing.kind is Kind.REPOSITORY:
        await shelf.forget(thing.name.removesuffix(".git"))
    folder = {Kind.CHECK: os.path.join(shelf.repos, CHECKS), Kind.BUNDLE: shelf.bundles}.get(thing.kind, shelf.repos)
    await remove_tree(seams.processes, seams.files, folder, thing.name)


def _names(seams: Seams, path: str) -> list[str]:
    try:
        folder = seams.files.open_folder(path)
    except FileNotFoundError:
        return []
    try:
        return [name for name in seams.files.names(folder, THINGS_MAX) if not name.startswith(".")]
    finally:
        seams.files.close(folder)


def _used(seams: Seams, path: str, name: str) -> int:
    folder = seams.files.open_folder(path)
    try:
        facts = seams.files.facts(folder, name)
    finally:
        seams.files.close(folder)
    return 0 if facts is None else facts.mtime_ns


async def _sizes(seams: Seams, paths: Sequence[str]) -> dict[str, int]:
    """As `du` counts them; what it cannot read counts nothing."""
    if not paths:
        return {}
    try:
        process = await seams.processes.start(
            ["du", "-sk", "--", *paths], env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, cwd="/", stdin=False,
            stdout=True, log=os.devnull, log_bytes=GIT_ERRORS_MAX,
        )  # fmt: skip
    except CannotStart as error:
        raise GitError("du_missing", f"du cannot be started: {error}") from None
    out, ended = bytearray(), None
    try:
        with trio.move_on_after(GIT_SECONDS):
            while piece := await process.receive(CHUNK_BYTES):
                out += piece
            ended = await process.wait()
    finally:
        if ended is None:
            with trio.CancelScope(shield=True):
                await end(process, 0)
    pairs = (line.split("\t", 1) for line in out.decode("utf-8", "surrogateescape").splitlines())
    return {pair[1]: int(pair[0]) * 1024 for pair in pairs if len(pair) == 2 and pair[0].isdigit()}
