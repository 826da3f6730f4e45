"""netsky0 is killed before each seam call around an answer and around a page, and lives on."""

from __future__ import annotations

import collections
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing
from netsky.envelope.file import FileEnvelope
from netsky.node.lab.interpose import was_killed
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.virtual import MemorySockets
from netsky.node.seams import Seams

from tests.node.crash_world import LOOKS, Client, World, file_at
from tests.node.owner.dying import Life
from tests.node.owner.office import HOUR, MINUTE, Building, JumpingTime

BEFORE_READY = 10
"""Calls at the end of a start, in which the desk has its first look. NETSKY_OWNER_ALL=1 begins at the first one."""

PARTS = 4
"""Of the calls: no test takes long beside other work."""

TEXT, OTHERWISE = "drop it", "keep it"


class OwnersWorld(World):
    """A node whose wall clock can be moved between its lives; what the people know of it."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.counted = lambda call: call not in LOOKS
        self.jump_s = 0.0
        self.asked = ""
        self.told: list[str] = []
        self.window = (0, 0)
        """The calls between which the answer was made."""

    def seams(self, sockets: MemorySockets) -> Seams:
        time = JumpingTime()
        time.jump_s = self.jump_s
        return replace(super().seams(sockets), time=time)

    @property
    def calls(self) -> int:
        assert self.life is not None
        return len(self.life.calls)


class Asking:
    """agent1 asks the owner."""

    def __init__(self, world: OwnersWorld) -> None:
        self._world = world

    async def __call__(self, _: World, sockets: MemorySockets) -> None:
        client = Client(self._world, sockets)
        await client.call("agent_add", actor="agent1", mode="none")
        said = {"do": "ask", "from": "agent1", "text": "drop the table?", "within": HOUR, "otherwise": OTHERWISE}
        self._world.asked = (await client.call("owner", **said))["id"]


class Answering:
    """The owner answers, and says it again as long as nobody confirms it; agent1 waits for what comes."""

    def __init__(self, world: OwnersWorld, *, owner: bool = True) -> None:
        self._world = world
        self._owner = owner

    async def __call__(self, _: World, sockets: MemorySockets) -> None:
        world, client = self._world, Client(self._world, sockets)
        begun = world.calls
        if self._owner and not world.told:
            try:
                replied = await client.call("owner", do="reply", id=world.asked, text=TEXT)
                world.told.append(replied["id"])
            except AssertionError as refused:  # the client's way to say that the node said no
                world.told.append(str(refused))
        await client.call("wait", what="reply", id=world.asked, timeout=20)
        while not answers_of(world):  # noqa: ASYNC110 - for a file that no bell tells of
            await trio.sleep(0.01)
        world.window = (begun, world.calls)


def answers_of(world: OwnersWorld) -> list[FileEnvelope]:
    """The files of all answers that agent1 has, wherever they stand."""
    folders = [os.path.join(world.home.channels, "agent1", place) for place in ("inbox", "claimed", "archive")]
    paths = [os.path.join(folder, name) for folder in folders for name in os.listdir(folder) if name[0] != "."]
    return [file for file in map(file_at, paths) if file.in_reply_to == world.asked]


def play(folder: Path, jump_s: float, kill_before: int | None) -> tuple[OwnersWorld, list[str]]:
    """An ask in one life, its answer in the next one, with a death if wanted, and what is left in lives after it."""

    async def lives() -> tuple[OwnersWorld, list[str]]:
        world = OwnersWorld(str(folder))
        await world.live(Asking(world), None)
        world.jump_s = jump_s
        calls = await world.live(Answering(world), kill_before)
        window = world.window
        if kill_before is not None and len(calls) >= kill_before:
            await world.live(Answering(world), None)
        world.jump_s = 3.0 * HOUR  # whatever came first: its deadline is over now
        await world.live(Answering(world, owner=False), None)
        world.window = window
        return world, calls

    return trio.run(lives, clock=trio.testing.MockClock(autojump_threshold=0))


def judge(world: OwnersWorld) -> str:
    """There is one answer, and whoever was told that his was it was told the truth. Whose it is."""
    [file] = answers_of(world)
    by = json.loads(file.data or b"")["by"]
    assert (by, file.text) in {("owner", TEXT), ("deadline", OTHERWISE)}
    assert str(file.id).startswith("deadline-") == (by == "deadline")
    if by == "owner":
        assert world.told in ([], [file.id])
    else:
        assert all("answered_before" in said for said in world.told)
    return by


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, PARTS))])
@pytest.mark.parametrize(
    ("jump_s", "who"), [(0.0, {"owner"}), (2.0 * HOUR, {"owner", "deadline"})], ids=["in time", "too late"]
)
def test_a_node_killed_before_any_call_around_an_answer_gives_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], jump_s: float, who: set[str], part: int
) -> None:
    """`too late`: the deadline passed while the node was down, so owner and deadline race in the life that dies."""
    world, _ = play(tmp_path / "whole", jump_s, None)
    assert judge(world) in who
    begun, ended = world.window
    points: collections.Counter[str] = collections.Counter()
    winners: collections.Counter[str] = collections.Counter()
    first = begun if not jump_s else 1 if os.environ.get("NETSKY_OWNER_ALL") else begun - BEFORE_READY
    for number in range(first + part, ended + 2, PARTS):
        world, calls = play(tmp_path / str(number), jump_s, number)
        assert len(calls) == number
        points[calls[-1]] += 1
        winners[judge(world)] += 1
    assert set(winners) <= who
    with capsys.disabled():
        print(f"\nkilled before each of {sum(points.values())} calls: {dict(points)}; answered by {dict(winners)}")


# Pages.


async def one_page(folder: Path, number: int) -> tuple[Life, list[str]]:
    """A report is due; netsky0 dies at that call of looking and paging, and lives on. The pages that went out."""
    building = Building(folder, life=Life())
    life = building.life
    assert life is not None
    try:
        async with building.open(desk=False) as office:
            await office.root.send("owner", "the build is red", kind="report")
            await trio.sleep(11 * MINUTE)
            life.end_at(number)
            await office.look()
    except BaseException as error:
        if not (life.dead and was_killed(error)):
            raise
    building.life, building.net = None, MemoryNetwork()
    async with building.open(desk=False) as office:
        await office.look()
        await office.look(HOUR)
        assert await office.root.rows("SELECT state FROM owner_pages") == [("told",)]
        assert await office.root.one("SELECT count(*) FROM owner_items WHERE page IS NULL") == 0
    return life, [page.key for page in building.pages]


async def test_a_node_killed_before_any_call_around_a_page_pages_once_more_at_most(
    tmp_path: Path, autojump_clock: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once more only where it died between the page and the note that it went."""
    number, twice, points = 0, [], []
    while True:
        number += 1
        (tmp_path / str(number)).mkdir()
        life, keys = await one_page(tmp_path / str(number), number)
        if not life.dead:
            break
        points.append(life.calls[-1])
        assert set(keys) == {"owner/1"}
        if len(keys) > 1:
            twice.append(life.calls[-1])
        assert len(keys) <= 2
        assert len(keys) == 1 or "page" in life.calls[:-1]
    assert keys == ["owner/1"]
    assert "page" in points
    with capsys.disabled():
        print(f"\nkilled before {points}; paged twice after: {twice}")
