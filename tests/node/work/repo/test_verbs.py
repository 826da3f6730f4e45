"""The verbs of commits and gc in a whole node: what they answer, held against the schemas that ship."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trio
from netsky.node.daemon.build import Surroundings, open_node
from netsky.node.daemon.caller import OPERATOR
from netsky.node.daemon.node import Node
from netsky.node.db import commits
from netsky.node.errors import Conflict, NetskyError, NotFound
from netsky.node.home import Home
from netsky.node.init import init_home
from netsky.node.seams.real import real_seams
from netsky.node.verbs import TABLE
from netsky.node.verbs.args import Args
from netsky.node.work.repo.commission import AwaitsReview, Committed
from netsky.node.work.repo.sources import Source

from tests.node.work.repo.test_after import a_remote
from tests.node.work.repo.world import World, git

SCHEMAS = {
    "commit_log": "commit-log", "commit_rollback": "commit-rollback", "gc": "gc", "commit_decide": "commit-approve",
}  # fmt: skip


@asynccontextmanager
async def a_node(folder: Path) -> AsyncIterator[Node]:
    seams = real_seams()
    home = Home(str(folder))
    init_home(home, seams.files, seams.chance, seams.time, root=False, name=None, label="")
    async with open_node(home, seams, Surroundings(os.getpid())) as node, trio.open_nursery() as nursery:
        nursery.start_soon(node.group.run)
        yield node
        node.shelf.close()
        nursery.cancel_scope.cancel()


async def say(node: Node, verb: str, **args: Any) -> Any:
    handler = TABLE[verb].handler
    assert handler is not None
    assert not TABLE[verb].actors, "the operator alone"
    data = await handler(node, OPERATOR, Args(verb, args))
    name = SCHEMAS[verb] if args.get("approved", True) else "commit-refuse"
    schema = json.loads((resources.files("netsky.node") / "schemas" / f"{name}.json").read_text())
    whole = {"schema": f"netsky.{name}/1", "ok": True, "summary": "", "generated_at": "2026-11-26T00:00:00.000Z"}
    jsonschema.Draft202012Validator(schema).validate({**whole, "data": data})
    return data


async def test_what_was_committed_is_listed_and_taken_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    remote = a_remote(world)
    async with a_node(tmp_path / "home") as node:
        committer = await node.shelf.committer(remote, "main", remote)
        await node.shelf.workspace("r1.k1", remote, world.base, Source(url=remote))
        made = await committer.commit(world.commission("k1", push=remote))
        assert isinstance(made, Committed)
        await committer.commit(world.commission("k2", scope=("docs/",)))
        refused, committed = (await say(node, "commit_log"))["commits"]
        assert (refused["state"], refused["code"], refused["commit"]) == ("refused", "out_of_scope", None)
        assert (committed["commit"], committed["push"], committed["authorised_by"]) == (made.commit, "due", "env-1")
        back = await say(node, "commit_rollback", key="k1")
        assert (back["key"], back["again"], back["push"]) == ("rollback:k1", False, "pushed")
        assert (await say(node, "commit_rollback", key="k1"))["again"] is True
        assert git(remote, "log", "--format=%s", "main").splitlines() == [
            'Revert "Adds a line"',
            "Adds a line",
            "first",
        ]
        assert [one["push"] for one in (await say(node, "commit_log"))["commits"]] == ["pushed", None, "pushed"]
        with pytest.raises(NetskyError) as nothing:
            await say(node, "commit_rollback", key="k2")
        assert nothing.value.code == "not_committed"
        with pytest.raises(NotFound):
            await say(node, "commit_rollback", key="k3")


async def test_a_person_lets_through_or_turns_down(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with a_node(tmp_path / "home") as node:
        place = str(world.project)
        committer = await node.shelf.committer(place)
        await node.shelf.workspace("r1.k1", place, world.base, Source(url=place))
        for key in ("k1", "k2"):
            assert isinstance(await committer.commit(world.commission(key, review="person")), AwaitsReview)
        assert (await say(node, "commit_decide", key="k1", approved=True))["state"] == "approved"
        assert (await say(node, "commit_decide", key="k2", approved=False, why="no"))["state"] == "refused"
        with pytest.raises(Conflict) as over:
            await say(node, "commit_decide", key="k2", approved=True)
        assert over.value.code == "not_waiting"
        assert isinstance(await committer.commit(world.commission("k1", review="person")), Committed)
        assert (await committer.commit(world.commission("k2", review="person"))).sentence == "no"


async def test_gc_says_what_goes(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with a_node(tmp_path / "home") as node:
        place = str(world.project)
        await node.shelf.workspace("t1", place, world.base, Source(url=place))
        await node.group.write([commits.workspace_archived("t1", node.now())])
        dry = await say(node, "gc", dry=True)
        assert [(one["kind"], one["goes"]) for one in dry["things"]] == [("workspace", True), ("repository", True)]
        assert dry["freed"] > 0
        folder = tmp_path / "home" / "workspaces" / "t1"
        assert folder.exists()
        await say(node, "gc")
        assert not folder.exists()
        assert (await say(node, "gc"))["things"] == []
