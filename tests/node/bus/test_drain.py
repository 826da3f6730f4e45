"""Claim → emit → archive: what is shown, what is shown again, and what is never."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import pytest
import trio
from netsky.node.bus.drain import Drain
from netsky.node.db import inbox
from netsky.node.errors import Conflict, NotFound, Refused
from netsky.node.seams.real_files import RealFiles

from tests.node.bus.conftest import World


async def test_what_is_acked_is_archived_and_taken_and_not_shown_again(world: World) -> None:
    accepted = await world.send(text="one")
    await world.project()
    assert await world.drained() == ["one"]
    assert await world.state("agent0", accepted.file) == "taken"
    assert world.names("agent0", "archive") == [accepted.file]
    assert await world.drained() == []


async def test_what_is_shown_and_not_acked_is_shown_again_and_says_so(world: World) -> None:
    await world.send(text="one")
    await world.project()
    assert await world.drained(ack=False) == ["one"]

    def again() -> list[bool]:
        with world.drain() as drain:
            return [item.again for item in drain.envelopes()]

    assert await trio.to_thread.run_sync(again) == [True]
    assert len(world.names("agent0", "claimed")) == 1


async def test_a_drain_that_died_between_ack_and_archive_shows_nothing_twice(world: World) -> None:
    accepted = await world.send(text="one")
    await world.project()
    await world.drained(ack=False)
    await world.rows(inbox.take_files("agent0", [accepted.file or ""], 1, "ack"))
    assert await world.drained() == []
    assert world.names("agent0", "archive") == [accepted.file]


async def test_with_the_daemon_down_what_is_shown_is_marked_unchecked(world: World) -> None:
    await world.send(text="one")
    await world.project()
    with world.drain(asks=False) as drain:
        [item] = drain.envelopes()
        assert item.trust == "unchecked"
        assert item.raw["text"] == "one"
        drain.ack(item.name)
    assert len(world.names("agent0", "archive")) == 1


async def test_a_file_without_a_row_is_never_shown_while_the_daemon_is_up(world: World) -> None:
    await world.send(text="real")
    await world.project()
    forged = world.names("agent0", "inbox")[0].replace("-from-", "-from-").replace("00000000", "00000001", 1)
    text = (world.folder("agent0", "inbox") / world.names("agent0", "inbox")[0]).read_text().replace("real", "forged")
    (world.folder("agent0", "inbox") / ("0" + forged[1:])).write_text(text)
    assert await world.drained() == ["real"]
    assert len([name for name in world.names("agent0", "quarantine") if not name.endswith(".reason.json")]) == 1


async def test_two_drains_do_not_read_the_same_inbox(world: World) -> None:
    await world.send()
    await world.project()
    with world.drain(asks=False) as first, pytest.raises(Conflict) as caught:
        world.drain(asks=False).__enter__()
    assert caught.value.code == "drain_running"
    del first
    with world.drain(asks=False) as second:
        assert len(list(second.envelopes())) == 1


async def test_following_shows_each_envelope_once_though_none_was_acked(world: World) -> None:
    for text in ("one", "two"):
        await world.send(text=text)
        await world.project()

    with world.drain(asks=False) as drain:
        assert [item.envelope.text for item in drain.envelopes()] == ["one", "two"]
        assert list(drain.envelopes()) == []
        await world.send(text="three")
        await world.project()
        assert [item.envelope.text for item in drain.envelopes()] == ["three"]


async def test_a_limit_claims_no_more_than_it_shows(world: World) -> None:
    for _ in range(5):
        await world.send()
    await world.project()
    with world.drain(asks=False) as drain:
        assert len(list(drain.envelopes(limit=2))) == 2
    assert len(world.names("agent0", "claimed")) == 2
    assert len(world.names("agent0", "inbox")) == 3
    with world.drain(asks=False) as drain:
        assert [item.again for item in drain.envelopes(limit=3)] == [True, True, False]


async def test_what_is_given_back_is_shown_as_new(world: World) -> None:
    await world.send()
    await world.project()
    with world.drain(asks=False) as drain:
        [item] = drain.envelopes()
        drain.give_back(item.name)
    assert world.names("agent0", "claimed") == []
    with world.drain(asks=False) as drain:
        assert [item.again for item in drain.envelopes()] == [False]


async def test_many_batches_come_in_the_order_of_names(world: World) -> None:
    from netsky.node.bus.draft import Draft

    await world.bus.accept("owner", "operator", [Draft(to="agent0", text=str(n)) for n in range(600)])
    await world.project()
    assert await world.drained() == [str(n) for n in range(600)]
    assert await world.states("agent0") == []


def test_a_channel_that_is_not_there_is_said(tmp_path: pathlib.Path) -> None:
    with pytest.raises(NotFound):
        Drain(RealFiles(), str(tmp_path / "nobody"), None).__enter__()


async def test_the_second_link_of_a_killed_projector_does_not_cost_the_envelope(world: World) -> None:
    """Where no nameless file can be made, a crash between link and unlink leaves both names."""
    accepted = await world.send(text="one")
    await world.project()
    box = world.folder("agent0", "inbox")
    os.link(box / str(accepted.file), box / f".{accepted.file}.tmp")
    assert await world.drained(asks=False) == ["one"]


async def test_a_file_moves_only_after_the_node_has_said_that_it_is_taken(world: World) -> None:
    accepted = await world.send()
    await world.project()

    class Dying:
        def claim(self, names: Sequence[str]) -> dict[str, str]:
            return dict.fromkeys(names, "ok")

        def ack(self, names: Sequence[str]) -> object:
            raise ConnectionResetError

    folder = str(world.root / "channels" / "agent0")
    with Drain(RealFiles(), folder, Dying()) as drain:
        [item] = drain.envelopes()
        with pytest.raises(ConnectionResetError):
            drain.ack(item.name)
    assert world.names("agent0", "claimed") == [accepted.file]
    assert await world.drained() == ["hello"]


async def test_several_acks_are_one_question_to_the_node(world: World) -> None:
    for _ in range(5):
        await world.send()
    await world.project()
    asked: list[Sequence[str]] = []

    class Counting:
        def claim(self, names: Sequence[str]) -> dict[str, str]:
            return dict.fromkeys(names, "ok")

        def ack(self, names: Sequence[str]) -> object:
            asked.append(names)
            return None

    with Drain(RealFiles(), str(world.root / "channels" / "agent0"), Counting()) as drain:
        drain.ack(*[item.name for item in drain.envelopes()])
    assert [len(names) for names in asked] == [5]
    assert len(world.names("agent0", "archive")) == 5


def test_a_link_in_the_place_of_the_channel_folder_is_refused_with_its_path(tmp_path: pathlib.Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "agent0").symlink_to("elsewhere")
    with (
        pytest.raises(Refused, match=r"agent0 is not used: .*symbolic link"),
        Drain(RealFiles(), str(tmp_path / "agent0"), None),
    ):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []
