"""Joins over a network in memory, as two people would see them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
import trio
from netsky.mesh import join_frames
from netsky.mesh.join import Joiner
from netsky.mesh.join_frames import JoinStream, Knock, Proof
from netsky.mesh.limits import JOIN_ALPN
from netsky.mesh.roster import Member, open_roster, seal_roster
from netsky.mesh.ticket import Ticket
from netsky.mesh.transport import PeerAddress, TransportError, TransportOptions
from netsky.node.daemon.told import ROSTER_SIGNAL
from netsky.node.errors import Conflict, NetskyError, NotFound, Refused, TimedOut, TryLater, Unreachable, Usage
from netsky.node.identity import fingerprint
from netsky.node.membership import limits
from netsky.node.membership.joining import check_home
from netsky.node.membership.rosters import with_member
from netsky.node.seams.real_files import RealFiles
from trio.testing import MockClock

from tests.node.membership.world import (
    ROOT_AT,
    Machine,
    Office,
    World,
    content,
    exists,
    member_of,
    names,
    remove,
    write,
)

HOUR = 3_600


async def refused(machine: Machine, ticket: Ticket) -> NetskyError:
    with pytest.raises(NetskyError) as caught:
        await machine.join(ticket)
    assert caught.value.next
    return caught.value


async def test_a_ticket_makes_a_machine_a_member_with_charter_and_roster(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        rung = root.signals.count(ROSTER_SIGNAL)
        machine = world.machine()
        ticket = await root.invite("studio", "gpu", "docker")
        assert root.membership.door_open()
        admission = await machine.join(ticket)
        assert (admission.name, names(root.roster)) == ("netsky1", ["netsky0", "netsky1"])
        assert member_of(root.roster, machine.key) == admission.roster.members[1]
        assert (admission.roster.members[1].label, admission.roster.members[1].capabilities) == (
            "studio",
            ("gpu", "docker"),
        )
        assert root.signals.count(ROSTER_SIGNAL) == rung + 1
        assert not root.membership.door_open()
        assert root.told() == ["roster", "joined"]
        # Both sides store the same bytes.
        _, sealed = root.membership.roster()
        assert content(machine.home.roster) == content(root.home.roster) == sealed
        assert content(machine.home.charter) == content(root.home.charter)
        assert json.loads(content(machine.home.at("root.json")).decode()) == {"addresses": [ROOT_AT]}
        identity = machine.identity()
        assert (identity.name, identity.root, identity.mesh) == ("netsky1", False, root.identity.mesh)
        [(state, secret, words)] = await root.rows("SELECT state, secret, words FROM invites")
        assert (state, secret) == ("enrolled", None)
        assert [tuple(str(words).split())] == machine.seen.words_seen
        assert root.crashes == []


async def test_a_sibling_knows_itself_and_its_root_after_a_start(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        machine = world.machine()
        await machine.join(await root.invite())
        sealed = root.membership.roster()[1]
    async with world.office_of(machine.home, replace(root.seams, time=machine.time)) as office:
        membership = office.membership
        assert membership.roster() == (root.roster, sealed)
        assert membership.key_of("netsky0") == root.identity.key
        assert membership.name_of(machine.key) == "netsky1"
        assert membership.label == "studio"
        assert membership.root_addresses() == (ROOT_AT,)
        membership.remember_root_addresses(["10.0.0.1:4433", "https://relay.example/"])
        assert membership.root_addresses() == ("10.0.0.1:4433", "https://relay.example/")
        membership.remember_root_addresses([])
        assert len(membership.root_addresses()) == 2
        assert not membership.door_open()
        assert membership.register is None
        [(stored,)] = await office.rows("SELECT value FROM node_state WHERE key = 'roster'")
        assert stored == sealed


async def test_the_answer_that_was_lost_is_given_again_to_the_same_key(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        machine = world.machine()
        ticket = await root.invite()
        # It asks, and is gone before the answer.
        connection = await asking(world, machine, root, ticket)
        await trio.sleep(1)
        assert machine.key in root.roster.by_key
        connection.close(0, b"gone")
        assert not exists(machine.home.charter)
        admission = await machine.join(ticket)
        assert admission.name == "netsky1"
        assert root.roster.version == 2
        # And again, and long after the ticket's end.
        await trio.sleep(2 * HOUR)
        assert (await machine.join(ticket)).name == "netsky1"
        assert root.roster.version == 2


async def test_two_machines_with_one_ticket_are_one_member(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        first, second = world.machine(1), world.machine(2)
        ticket = await root.invite()
        await root.invite("another")  # keeps the door open
        results: list[str] = []

        async def one(machine: Machine) -> None:
            try:
                results.append((await machine.join(ticket)).name)
            except Refused as error:
                results.append(error.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, first)
            nursery.start_soon(one, second)
        assert sorted(results) == ["netsky1", "ticket_used"]
        assert names(root.roster) == ["netsky0", "netsky1"]
        [loser] = [machine for machine in (first, second) if machine.key not in root.roster.by_key]
        assert not exists(loser.home.charter)
        assert "another machine" in (await refused(loser, ticket)).message
        await trio.sleep(1)
        strangers = await root.rows("SELECT key, code, times FROM strangers")
        assert strangers == [(loser.key, "ticket_used", 2)]


async def test_a_used_ticket_at_a_closed_door_ends_before_a_byte_is_read(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        ticket = await root.invite()
        await world.machine(1).join(ticket)
        error = await refused(world.machine(2), ticket)
        assert (error.code, error.exit) == ("door_closed", 5)
        assert "netsky invite" in error.next
        await trio.sleep(1)
        assert await root.rows("SELECT code FROM strangers") == [("door_closed",)]


async def test_a_ticket_ends_by_the_roots_clock(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        ticket = await root.invite()
        await trio.sleep(HOUR - 60)
        await root.invite("another")
        await trio.sleep(61)
        error = await refused(world.machine(), ticket)
        assert (error.code, error.exit) == ("ticket_ended", 5)
        assert (await root.rows("SELECT state, secret FROM invites"))[0] in [("ended", None), ("open", ticket.secret)]
        await root.invite("third")  # any commit notices
        assert (await root.rows("SELECT state, secret FROM invites"))[0] == ("ended", None)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_an_hour_off_is_told_and_changes_nothing(
    hours: int, world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        machine = world.machine()
        machine.time._epoch_ns += hours * HOUR * 10**9
        await machine.join(await root.invite())
        [behind] = machine.seen.clocks
        assert abs(behind + hours * HOUR * 10**9) < 10**9


async def test_a_ticket_of_a_withdrawn_invite_says_so(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        older = await root.invite("studio")
        newer = await root.invite("studio")
        assert (await refused(world.machine(), older)).code == "ticket_withdrawn"
        assert (await world.machine(2).join(newer)).name == "netsky1"


async def test_a_secret_that_was_guessed_or_made_up_opens_nothing(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        ticket = await root.invite()
        assert (await refused(world.machine(), replace(ticket, secret=b"?" * 16))).code == "ticket_unknown"
        # The right invite named, and a proof with another secret.
        transport = await world.net.open(world.machine(2).identity().secret, [JOIN_ALPN], TransportOptions("memory:0"))
        connection = await transport.dial(PeerAddress(root.identity.key, (ROOT_AT,)), JOIN_ALPN)
        stream = JoinStream(await connection.open_stream(), root=False)
        await stream.send(Knock(1, b"n" * 32, ticket.invite, "x"))
        await stream.receive()
        await stream.send(Proof(b"m" * 32, 0))
        answer = await stream.receive()
        assert isinstance(answer, join_frames.Refusal)
        assert answer.code == "ticket_wrong"
        assert names(root.roster) == ["netsky0"]
        assert len(root.register.open_invites()) == 1


async def test_a_root_with_another_charter_than_the_ticket_is_not_believed(
    world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        ticket = replace(await root.invite(), charter_hash=b"x" * 32)
        machine = world.machine()
        error = await refused(machine, ticket)
        assert (error.code, error.exit) == ("root_answer", 5)
        assert not exists(machine.home.charter)


async def test_a_root_that_is_away_is_tried_for_half_a_minute(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        ticket = await root.invite()
    machine = world.machine()
    began = trio.current_time()
    with pytest.raises(Unreachable) as caught:
        await machine.join(ticket)
    assert ROOT_AT in caught.value.message
    assert limits.UNREACHABLE_SECONDS <= trio.current_time() - began <= 2 * limits.UNREACHABLE_SECONDS
    assert machine.seen.troubles


async def test_a_root_that_never_answers_is_not_said_to_wait_for_its_operator(
    world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        ticket = await root.invite()
    with pytest.raises(Unreachable) as caught:
        await world.machine().join(ticket, wait_seconds=3)
    assert "within 3 s" in caught.value.message
    assert "netsky status there" in caught.value.next


async def test_a_root_that_comes_back_in_time_is_found(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        ticket = await root.invite()
    machine = world.machine()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(machine.join, ticket)
        await trio.sleep(10)
        async with world.office() as root:
            await trio.sleep(20)
            assert names(root.roster) == ["netsky0", "netsky1"]


# Waiting for a person.


async def test_a_held_join_waits_with_the_same_words_on_both_screens(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        machine = world.machine()
        ticket = await root.invite("box", hold=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(machine.join, ticket)
            await trio.sleep(60)
            [row] = root.register.pending()
            assert (row.name, row.label, row.key, row.program) == ("netsky1", "box", machine.key, "9.9")
            assert [tuple((row.words or "").split())] == machine.seen.words_seen
            assert machine.seen.pendings >= 10
            assert names(root.roster) == ["netsky0"]
            assert root.membership.door_open()
            assert not exists(machine.home.charter)
            await root.register.approve("box", refuse=False)
        assert machine.identity().name == "netsky1"
        assert not root.membership.door_open()
        assert root.told("joined", "join_pending", "joined_again") == ["join_pending", "joined"]


@pytest.mark.parametrize("how", ["name", "label", "fingerprint"])
async def test_a_join_is_approved_by_name_label_or_fingerprint(how: str, world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        machine = world.machine()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(machine.join, await root.invite("box", hold=True))
            await trio.sleep(1)
            said = {"name": "netsky1", "label": "box", "fingerprint": fingerprint(machine.key)}[how]
            await root.register.approve(said, refuse=False)
        with pytest.raises(NotFound):
            await root.register.approve(said, refuse=False)


async def test_a_refused_join_hears_it_at_once_and_again_when_typed_again(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        machine = world.machine()
        ticket = await root.invite("box", hold=True)
        await root.invite("another")

        async def asked() -> None:
            error = await refused(machine, ticket)
            assert (error.code, error.exit) == ("refused", 5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked)
            await trio.sleep(1)
            await root.register.approve("box", refuse=True)
        await asked()
        assert names(root.roster) == ["netsky0"]
        # The name was promised to nobody else and is free again.
        assert (await world.machine(2).join(await root.invite("third"))).name == "netsky1"


async def test_a_join_that_nobody_approves_ends_in_time_and_goes_on_when_typed_again(
    world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        machine = world.machine()
        ticket = await root.invite("box", hold=True)
        with pytest.raises(TimedOut) as caught:
            await machine.join(ticket, wait_seconds=120)
        assert "netsky approve" in caught.value.next
        await trio.sleep(2 * HOUR)  # the ticket's hour is over; the join still waits
        async with trio.open_nursery() as nursery:
            nursery.start_soon(machine.join, ticket)
            await trio.sleep(5)
            [row] = root.register.pending()
            assert tuple((row.words or "").split()) == machine.seen.words_seen[-1] != machine.seen.words_seen[0]
            await root.register.approve("netsky1", refuse=False)
        assert machine.identity().name == "netsky1"


async def test_a_pending_join_outlives_a_restart_of_the_root(world: World, autojump_clock: object) -> None:
    machine = world.machine()
    async with world.office() as root:
        ticket = await root.invite("box", hold=True)
        with pytest.raises(TimedOut):
            await machine.join(ticket, wait_seconds=5)
    async with world.office() as root:
        assert [row.label for row in root.register.pending()] == ["box"]
        await root.register.approve("box", refuse=False)
        assert (await machine.join(ticket)).name == "netsky1"


async def test_a_waiting_joiner_finds_its_root_again(world: World, autojump_clock: object) -> None:
    machine = world.machine()
    async with trio.open_nursery() as nursery:
        async with world.office() as root:
            nursery.start_soon(machine.join, await root.invite("box", hold=True))
            await trio.sleep(30)
        await trio.sleep(120)  # longer than a root may be away for who never reached it
        async with world.office() as root:
            await trio.sleep(30)
            await root.register.approve("box", refuse=False)
            await trio.sleep(10)
            assert machine.identity().name == "netsky1"


async def test_a_join_that_waited_a_day_is_given_up(world: World, autojump_clock: MockClock) -> None:
    async with world.office() as root:
        machine = world.machine()
        ticket = await root.invite("box", hold=True)

        async def waits() -> None:
            with pytest.raises(Refused) as caught:
                await machine.join(ticket, wait_seconds=30 * HOUR)
            assert caught.value.code == "ticket_ended"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits)
            await trio.sleep(60)
            autojump_clock.jump(24 * HOUR - 120)  # it asks every five seconds: a day of that shows no more
            await trio.sleep(50)
            assert root.membership.door_open()
        assert not root.membership.door_open()
        assert trio.current_time() < 24 * HOUR + 60


# Members.


async def test_names_are_never_given_twice(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        first, second, third = (world.machine(at) for at in (1, 2, 3))
        await first.join(await root.invite("one"))
        await second.join(await root.invite("two"))
        revoked: list[bytes] = []
        root.membership.on_revoked = revoked.append
        member, changed = await root.register.revoke("netsky2")
        assert changed
        assert (member.key, member.revoked > 0, revoked) == (second.key, True, [second.key])
        assert (await third.join(await root.invite("two"))).name == "netsky3"
        assert root.membership.key_of("netsky2") is None
        assert root.membership.name_of(second.key) is None
        assert await root.register.revoke("netsky2") == (member, False)
        assert revoked == [second.key]


async def test_a_revoked_key_stays_out(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        machine = world.machine()
        await machine.join(await root.invite("one"))
        await root.register.revoke("one")
        for _ in range(2):
            error = await refused(machine, await root.invite("again"))
            assert (error.code, error.exit) == ("revoked", 5)
            assert "netsky --home" in error.next


async def test_what_cannot_be_revoked_says_why(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        with pytest.raises(Conflict):
            await root.register.revoke("netsky0")
        with pytest.raises(NotFound):
            await root.register.revoke("netsky7")


async def test_invites_that_make_no_sense_are_refused(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        await world.machine().join(await root.invite("studio"))
        with pytest.raises(Conflict) as caught:
            await root.invite("studio")
        assert caught.value.code == "label_taken"
        for label in ("", " a", "x" * 65, "a\nb"):
            with pytest.raises(Usage):
                await root.invite(label)
        for words in (["a b"], ["ü"], ["x" * 33], ["a"] * 17):
            with pytest.raises(Usage):
                await root.invite("box", *words)
        with pytest.raises(Conflict) as caught:
            await root.register.invite("box", [], hold=False, address=None)
        assert caught.value.code == "not_listening"
        for at in range(limits.INVITES_MAX):
            await root.invite(f"box{at}")
        with pytest.raises(TryLater):
            await root.invite("one more")
        await root.invite("box3")  # one that is replaced makes room for itself


async def test_a_label_that_waits_for_approval_is_not_invited_again(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        with pytest.raises(TimedOut):
            await world.machine().join(await root.invite("box", hold=True), wait_seconds=2)
        with pytest.raises(Conflict) as caught:
            await root.invite("box")
        assert caught.value.code == "join_pending"


async def test_a_member_joins_again_with_any_ticket_of_its_mesh_and_keeps_its_name(
    world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        machine = world.machine()
        await machine.join(await root.invite("studio"))
        remove(machine.home.roster)
        ticket = await root.invite("whatever")
        assert (await machine.join(ticket)).name == "netsky1"
        assert member_of(root.roster, machine.key).label == "studio"
        assert root.register.open_invites() == []
        assert (await refused(world.machine(2), ticket)).code == "door_closed"


async def test_a_root_that_was_restored_learns_from_the_roster_that_a_member_shows(
    world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        first, second, third = (world.machine(at) for at in (1, 2, 3))
        await first.join(await root.invite("one"))
    saved = {name: content(root.home.at(name)) for name in ("meta.db", "roster")}
    async with world.office() as root:
        await second.join(await root.invite("two"))
        await third.join(await root.invite("three"))
        await root.register.revoke("netsky1")
        await second.join(await root.invite("any"))  # second knows of it all
    for name, data in saved.items():
        write(root.home.at(name), data)
    async with world.office() as root:
        assert names(root.roster) == ["netsky0", "netsky1"]
        # A new machine would get a name that was given: so the member is asked first.
        admission = await second.join(await root.invite("two"))
        assert admission.name == "netsky2"
        assert names(root.roster) == ["netsky0", "netsky2", "netsky3"]
        assert root.roster.by_name["netsky1"].revoked
        assert admission.roster == root.roster
        assert (await world.machine(4).join(await root.invite("four"))).name == "netsky4"


async def test_a_restored_root_that_gave_a_name_anew_does_not_give_it_twice(
    world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        first, second = world.machine(1), world.machine(2)
    saved = {name: content(root.home.at(name)) for name in ("meta.db", "roster")}
    async with world.office() as root:
        await first.join(await root.invite("one"))
    for name, data in saved.items():
        write(root.home.at(name), data)
    async with world.office() as root:
        await second.join(await root.invite("two"))  # netsky1 a second time
        error = await refused(first, await root.invite("one"))
        assert error.code == "roster_fork"
        assert root.roster.by_name["netsky1"].key == second.key


# A home that has a charter already.


async def test_a_home_takes_no_ticket_of_another_mesh_owner_or_root(world: World, autojump_clock: object) -> None:
    async with world.office() as root, world.office("other", at="memory:50") as other:
        machine = world.machine()
        ticket = await root.invite()
        await machine.join(ticket)
        foreign = await other.invite()
        for wrong, code in (
            (foreign, "foreign_ticket"),
            (replace(ticket, owner_key=foreign.owner_key), "foreign_owner_key"),
            (replace(ticket, root_key=foreign.root_key), "two_roots"),
        ):
            with pytest.raises(Refused) as caught:
                check_home(machine.home, machine.files, wrong)
            assert caught.value.code == code
        with pytest.raises(Conflict):
            check_home(root.home, machine.files, ticket)
        check_home(machine.home, machine.files, ticket)
        check_home(world.machine(2).home, machine.files, foreign)


async def test_an_older_charter_of_the_same_root_is_not_taken(world: World, autojump_clock: object) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from netsky.mesh.charter import open_charter, seal_charter

    async with world.office() as root:
        machine = world.machine()
        await machine.join(await root.invite())
        owner = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(content(root.home.at("owner.key")).decode()))
        charter = open_charter(content(root.home.charter))
        for changed, code in ((replace(charter, reign=2), "old_reign"), (replace(charter, issued=1), "two_charters")):
            write(machine.home.charter, seal_charter(changed, owner.sign))
            assert (await refused(machine, await root.invite("any"))).code == code


# The door.


async def test_a_door_that_is_closed_opens_for_members(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        machine = world.machine()
        ticket = await root.invite()
        await machine.join(ticket)
        assert not root.membership.door_open()
        assert (await machine.join(ticket)).name == "netsky1"


@asynccontextmanager
async def knocked(world: World, root: Office, number: int) -> AsyncIterator[Any]:
    transport = await world.net.open(world.machine(number).identity().secret, [JOIN_ALPN], TransportOptions("memory:0"))
    connection = await transport.dial(PeerAddress(root.identity.key, (ROOT_AT,)), JOIN_ALPN)
    yield connection
    transport.kill()


async def test_who_knocks_and_says_nothing_is_let_go(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        await root.invite()
        async with knocked(world, root, 1) as connection:
            began = trio.current_time()
            assert "slow" in await connection.closed()
            assert trio.current_time() - began == pytest.approx(10, abs=1)
        async with knocked(world, root, 2) as connection:
            stream = JoinStream(await connection.open_stream(), root=False)
            await stream.send(Knock(1, b"n" * 32, b"i" * 32, ""))
            assert "slow" in await connection.closed()


@pytest.mark.parametrize("bytes_", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x02\x91\x07", b"x"])
async def test_who_talks_nonsense_is_let_go(bytes_: bytes, world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        await root.invite()
        async with knocked(world, root, 1) as connection:
            stream = await connection.open_stream()
            await stream.send(bytes_)
            with suppress(TransportError):  # it may have been let go by then
                await stream.finish()
            assert "frame" in await connection.closed()
        assert root.crashes == []
        await trio.sleep(1)
        assert await root.rows("SELECT code FROM strangers") == [("frame",)]


async def test_a_crowd_at_the_door_is_turned_away_and_may_come_again(world: World, autojump_clock: object) -> None:
    async with world.office() as root, trio.open_nursery() as nursery:
        ticket = await root.invite()
        told: list[str] = []

        async def one(number: int) -> None:
            async with knocked(world, root, number) as connection:
                told.append(await connection.closed())

        for number in range(2, 2 + limits.JOINS_MAX + 5):
            nursery.start_soon(one, number)
        await trio.sleep(1)
        assert len([said for said in told if "busy" in said]) == 5
        machine = world.machine()
        assert (await machine.join(ticket)).name == "netsky1"
        assert machine.seen.troubles


async def test_a_flood_waits_for_its_turn(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        await root.invite()
        said = []
        for number in range(2, 2 + limits.JOIN_BURST + 3):
            async with knocked(world, root, number) as connection:
                with suppress(TransportError):  # it may have been told already
                    stream = await connection.open_stream()
                    await stream.send(b"\x00\x00\x00\x01\xc1")
                said.append(await connection.closed())
        assert len([one for one in said if "busy" in one]) >= 1


async def test_a_joiner_that_reads_nothing_holds_nobody(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        roster, now = root.roster, root.seams.time.wall()
        for at in range(60):
            member = Member(world_key(at), f"netsky{at + 5}", "x" * 60, ("y" * 32,) * 16)
            roster = with_member(roster, member, now)
        sealed = seal_roster(roster, root.identity.sign)
        root.membership.adopt(roster, sealed)
        ticket = await root.invite()
        machine = world.machine()
        admission = await machine.join(ticket)
        assert (admission.name, len(admission.roster.members)) == ("netsky65", 62)
        assert open_roster(content(machine.home.roster), root.identity.key, ticket.mesh) == root.roster


def world_key(at: int) -> bytes:
    from netsky.node.identity import public_key

    return public_key(bytes([at, 7]) * 16)


async def test_the_same_key_that_asks_again_replaces_its_own_waiting(world: World, autojump_clock: object) -> None:
    async with world.office() as root, trio.open_nursery() as nursery:
        machine = world.machine()
        ticket = await root.invite("box", hold=True)
        first = await asking(world, machine, root, ticket)
        await trio.sleep(1)
        assert root.membership.door_open()
        nursery.start_soon(machine.join, ticket)
        assert "replaced" in await first.closed()
        await trio.sleep(1)
        await root.register.approve("box", refuse=False)
        await trio.sleep(1)
        assert machine.identity().name == "netsky1"


async def asking(world: World, machine: Machine, root: Office, ticket: Ticket) -> Any:
    """A connection of this machine whose question is complete."""
    transport = await world.net.open(machine.identity().secret, [JOIN_ALPN], TransportOptions("memory:0"))
    connection = await transport.dial(PeerAddress(root.identity.key, (ROOT_AT,)), JOIN_ALPN)
    stream = JoinStream(await connection.open_stream(), root=False)
    joiner = Joiner(ticket, machine.key, b"n" * 32, "9.9")
    for frame in joiner.begin():
        await stream.send(frame)
    challenge = await stream.receive()
    assert challenge is not None
    for frame in joiner.receive(challenge):
        await stream.send(frame)
    return connection


async def test_a_promised_name_that_another_roster_gave_away_is_not_given_twice(
    world: World, autojump_clock: object
) -> None:
    async with world.office() as root, trio.open_nursery() as nursery:
        for number, decided in ((1, "approved"), (2, "typed again")):
            machine = world.machine(number)
            ticket = await root.invite(f"box{number}", hold=True)
            with trio.move_on_after(5):
                await machine.join(ticket)
            [row] = root.register.pending()
            assert row.name is not None
            taken = with_member(root.roster, Member(world_key(number), row.name, "x"), 5)
            root.membership.adopt(taken, seal_roster(taken, root.identity.sign))
            if decided == "typed again":
                nursery.start_soon(machine.join, ticket)
                await trio.sleep(1)
                assert root.register.pending()[0].name not in root.roster.by_name
            name = (await root.register.approve(f"box{number}", refuse=False)).name
            assert name != row.name
            assert member_of(root.roster, machine.key).name == name


async def test_a_revoked_key_is_turned_away_before_it_says_a_word(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        machine = world.machine()
        await machine.join(await root.invite("one"))
        await root.register.revoke("one")
        transport = await world.net.open(machine.identity().secret, [JOIN_ALPN], TransportOptions("memory:0"))
        connection = await transport.dial(PeerAddress(root.identity.key, (ROOT_AT,)), JOIN_ALPN)
        began = trio.current_time()
        assert "revoked" in await connection.closed()
        assert trio.current_time() - began < 1


async def test_a_full_disk_at_the_root_refuses_and_lets_the_ticket_live(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.office() as root:
        ticket = await root.invite()

        async def full(_: object) -> Any:
            raise TryLater("Nothing was stored: the disk is full", next="free some space", code="disk_full")

        with monkeypatch.context() as patch:
            patch.setattr(root.group, "write", full)
            error = await refused(world.machine(), ticket)
        assert error.code == "disk_full"
        assert names(root.roster) == ["netsky0"]
        assert (await world.machine(2).join(ticket)).name == "netsky1"


async def test_a_mistake_at_the_door_is_one_crash_and_one_closed_connection(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.office() as root:
        ticket = await root.invite()

        async def broken(*_: object) -> Any:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(root.register, "judge", broken)
            with pytest.raises(Unreachable):
                await world.machine().join(ticket)
        assert [crash.task for crash in root.crashes][:1] == ["node/join"]
        assert (await world.machine(2).join(ticket)).name == "netsky1"


async def test_a_sibling_enrols_nobody(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        machine = world.machine()
        await machine.join(await root.invite())
    async with world.office_of(machine.home, root.seams) as office:
        transport = await world.net.open(b"z" * 32, [JOIN_ALPN], TransportOptions("memory:0"))
        other = await world.net.open(b"y" * 32, [JOIN_ALPN], TransportOptions("memory:0"))
        closed: list[str] = []

        async def knock() -> None:
            closed.append(await (await transport.dial(PeerAddress(other.key, (other.place,)), JOIN_ALPN)).closed())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(knock)
            await office.membership.serve_join(await (await other.next_incoming()).accept())
        assert "not_the_root" in closed[0]


# Crashes and cancellations.


class Dying(RealFiles):
    """Dies at its nth write."""

    def __init__(self, left: int) -> None:
        self.left = left

    def replace(self, folder: int, name: str, data: bytes, *, mode: int = 0o600) -> None:
        if self.left == 0:
            raise RuntimeError("killed")
        self.left -= 1
        super().replace(folder, name, data, mode=mode)


@pytest.mark.parametrize("writes", [0, 1, 2])
async def test_a_joiner_that_dies_while_it_stores_is_in_no_mesh_and_ends_it_when_typed_again(
    writes: int, world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        machine = world.machine()
        ticket = await root.invite()
        machine.files = Dying(writes)
        with pytest.raises(RuntimeError):
            await machine.join(ticket)
        machine.files = RealFiles()
        assert not exists(machine.home.charter)
        async with world.office_of(machine.home, root.seams) as alone:
            assert alone.membership.roster() == (None, b"")
        assert (await machine.join(ticket)).name == "netsky1"
        assert root.roster.version == 2


async def test_a_cancelled_decision_leaves_memory_and_database_saying_the_same(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.office() as root:
        machine = world.machine()
        await machine.join(await root.invite("studio"))
        write_for_real = root.group.write
        with trio.CancelScope() as scope:

            async def cancelled_meanwhile(statements: Any) -> Any:
                scope.cancel()
                return await write_for_real(statements)

            monkeypatch.setattr(root.group, "write", cancelled_meanwhile)
            await root.register.revoke("studio")
            await trio.sleep(1)
        assert scope.cancelled_caught
        monkeypatch.undo()
        assert root.roster.by_name["netsky1"].revoked
        assert await root.rows("SELECT value FROM node_state WHERE key = 'roster'") == [(root.membership.roster()[1],)]
