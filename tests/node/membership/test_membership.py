"""What is in force after a start, whatever a crash or a restore left behind; and the pure rules of the next roster."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.invalid import Invalid
from netsky.mesh.charter import Charter, open_charter, seal_charter
from netsky.mesh.roster import Member, Roster, open_roster, seal_roster
from netsky.mesh.transport import PeerAddress
from netsky.node.config import read_config
from netsky.node.daemon.told import ROSTER_SIGNAL
from netsky.node.db import invites
from netsky.node.db.limits import STRANGERS_MAX
from netsky.node.errors import Refused
from netsky.node.identity import read_identity
from netsky.node.lab.virtual import VirtualTime
from netsky.node.membership.membership import (
    NoSightings,
    address_texts,
    peer_address,
    read_root_file,
)
from netsky.node.membership.rosters import (
    Fork,
    deputy_of,
    first_roster,
    label_free,
    next_name,
    united,
    with_deputy,
    with_member,
    without,
)
from netsky.node.seams.files import Files
from netsky.node.seams.real_files import RealFiles

from tests.node.membership.world import World, content, exists, remove, write


def key(seed: int) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32).public_key().public_bytes_raw()


async def test_a_root_without_a_roster_makes_its_first_with_itself(world: World) -> None:
    async with world.office(label="desk") as root:
        roster, sealed = root.membership.roster()
        assert roster is not None
        [member] = roster.members
        assert (member.key, member.name, member.label) == (root.identity.key, "netsky0", "desk")
        assert (roster.version, roster.reign, roster.wire) == (1, 1, 1)
        assert content(root.home.roster) == sealed
        assert await root.rows("SELECT value FROM node_state WHERE key = 'roster'") == [(sealed,)]
        assert root.membership.root_addresses() == ()
        assert NoSightings().of(root.identity.key) is None
    async with world.office() as root:
        assert root.membership.roster() == (roster, sealed)


@pytest.mark.parametrize("lost", ["file", "database", "file damaged", "database damaged"])
async def test_a_start_takes_the_newer_of_database_and_file_and_mends_the_other(lost: str, world: World) -> None:
    async with world.office() as root:
        old = root.membership.roster()[1]
        newer = seal_roster(with_member(root.roster, Member(key(9), "netsky1", "x"), 5), root.identity.sign)
        in_database, on_file = newer, newer
        if lost == "file":
            on_file = old
        elif lost == "database":
            in_database = old
        elif lost == "file damaged":
            on_file = newer[:-1]
        else:
            in_database = newer[:-1] + b"x"
        await root.group.write([root.membership.store(in_database)])
        write(root.home.roster, on_file)
    async with world.office() as root:
        assert root.roster.version == 2
        assert root.membership.roster()[1] == newer == content(root.home.roster)
        assert await root.rows("SELECT value FROM node_state WHERE key = 'roster'") == [(newer,)]


async def test_a_root_of_a_higher_reign_goes_on_from_its_roster(world: World) -> None:
    async with world.office() as root:
        owner = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(content(root.home.at("owner.key")).decode()))
    raised = replace(open_charter(content(root.home.charter)), reign=3)
    write(root.home.charter, seal_charter(raised, owner.sign))
    async with world.office() as root:
        assert (root.roster.reign, root.roster.version) == (3, 2)


async def test_a_roster_is_adopted_once_and_never_an_older_one(world: World) -> None:
    async with world.office() as root:
        first, sealed_first = root.membership.roster()
        assert first is not None
        second = with_member(first, Member(key(9), "netsky1", "x"), 5)
        sealed = seal_roster(second, root.identity.sign)
        rung = root.signals.count(ROSTER_SIGNAL)
        for _ in range(2):
            root.membership.adopt(second, sealed)
        root.membership.adopt(first, sealed_first)
        assert root.signals.count(ROSTER_SIGNAL) == rung + 1
        assert root.membership.roster() == (second, sealed)
        assert root.membership.key_of("netsky1") == key(9)
        assert content(root.home.roster) == sealed


async def test_a_file_that_cannot_be_written_is_told_and_mended_by_the_next_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.office() as root:

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        second = with_member(root.roster, Member(key(9), "netsky1", "x"), 5)
        sealed = seal_roster(second, root.identity.sign)
        await root.group.write([root.membership.store(sealed)])
        with monkeypatch.context() as patch:
            patch.setattr(RealFiles, "replace", full)
            root.membership.adopt(second, sealed)
        assert root.roster == second
        assert content(root.home.roster) != sealed
    async with world.office() as root:
        assert content(root.home.roster) == sealed


async def test_a_home_without_a_mesh_has_no_membership(world: World) -> None:
    machine = world.machine()
    async with world.office() as root:
        seams = root.seams
    async with world.office_of(machine.home, seams) as office:
        membership = office.membership
        assert membership.roster() == (None, b"")
        assert (membership.key_of("netsky0"), membership.name_of(machine.key), membership.label) == (None, None, None)
        assert membership.root_addresses() == ()
        assert not membership.door_open()
        assert membership.named(office.identity) is office.identity
        assert not exists(machine.home.roster)


@pytest.mark.parametrize("damage", ["gone", "damaged"])
async def test_a_sibling_without_a_roster_does_not_start_and_a_ticket_mends_it(
    damage: str, world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        machine = world.machine()
        await machine.join(await root.invite())
        if damage == "gone":
            remove(machine.home.roster)
        else:
            write(machine.home.roster, content(machine.home.roster)[:-1])
        with pytest.raises(Refused) as caught:
            async with world.office_of(machine.home, root.seams):
                pass
        assert caught.value.code == "no_roster"
        assert (await machine.join(await root.invite("any"))).name == "netsky1"
    async with world.office_of(machine.home, root.seams) as office:
        assert office.identity.name == "netsky1"


# The name.


async def test_in_a_mesh_the_roster_gives_the_name_and_the_config_does_not(
    world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        first, second = world.machine(1), world.machine(2)
        await first.join(await root.invite("one"))
        await second.join(await root.invite("two"))
        assert read_config(second.home, second.files).name == "netsky1"
        assert second.identity().name == "netsky2"
        # The file is gone, the database has it: the node is called so all the same.
    async with world.office_of(second.home, replace(root.seams)) as office:
        assert office.identity.name == "netsky2"
    remove(second.home.roster)
    assert second.identity().name == "netsky1"
    async with world.office_of(second.home, replace(root.seams)) as office:
        assert office.membership.named(office.identity).name == "netsky2"
    # One by another key is overlooked.
    write(second.home.roster, b"nonsense")
    assert second.identity().name == "netsky1"


def test_a_root_is_netsky0_whatever_its_config_says(world: World) -> None:
    from netsky.node.home import Home
    from netsky.node.init import init_home
    from netsky.node.lab.virtual import SeededChance

    class Still(VirtualTime):
        def monotonic(self) -> int:
            return 0

    home, files = Home(str(world.folder / "root")), RealFiles()
    init_home(home, files, SeededChance(1), Still(), root=True)
    text = content(home.config).decode().replace('name = "netsky0"', 'name = "netsky7"')
    write(home.config, text.encode())
    assert read_identity(home, files, read_config(home, files)).name == "netsky0"


async def test_a_sibling_that_its_config_calls_the_root_is_refused_without_a_roster(
    world: World, autojump_clock: object
) -> None:
    async with world.office() as root:
        machine = world.machine()
        await machine.join(await root.invite())
    text = content(machine.home.config).decode().replace('name = "netsky1"', 'name = "netsky0"')
    write(machine.home.config, text.encode())
    assert machine.identity().name == "netsky1"
    remove(machine.home.roster)
    with pytest.raises(Refused) as caught:
        machine.identity()
    assert caught.value.code == "wrong_name"


# Addresses.


def test_addresses_are_texts_on_the_way_and_relays_among_them(world: World) -> None:
    texts = ("10.0.0.1:1", "https://relay.example/", "[::1]:2")
    address = peer_address(b"k" * 32, texts)
    assert address == PeerAddress(b"k" * 32, ("10.0.0.1:1", "[::1]:2"), "https://relay.example/")
    assert address_texts(address) == ("https://relay.example/", "10.0.0.1:1", "[::1]:2")
    assert address_texts(None) == ()
    assert len(address_texts(PeerAddress(b"k" * 32, ("x" * 300, *("a:1",) * 30)))) == 16


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"addresses": 7}', b'{"addresses": [1, "a\\u001b"]}', b"[" * 9000]
)
def test_a_damaged_file_of_addresses_is_no_addresses(data: bytes, world: World) -> None:
    from netsky.node.home import Home

    files: Files = RealFiles()
    write(str(world.folder / "root.json"), data)
    assert read_root_file(Home(str(world.folder)), files) == ()


async def test_addresses_are_written_only_when_they_change(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        machine = world.machine()
        await machine.join(await root.invite())
    async with world.office_of(machine.home, root.seams) as office:
        path = machine.home.at("root.json")
        write(path, content(path) + b" ")
        office.membership.remember_root_addresses(office.membership.root_addresses())
        assert content(path).endswith(b" ")
        office.membership.remember_root_addresses(["h:2"])
        assert json.loads(content(path)) == {"addresses": ["h:2"]}


# Strangers and restores.


async def test_strangers_are_counted_and_only_the_latest_hundred_kept(world: World, autojump_clock: object) -> None:
    import trio

    async with world.office() as root:
        for at in range(STRANGERS_MAX + 20):
            root.membership.note_stranger(at.to_bytes(32, "big"), "not_allowed")
            await trio.sleep(1)
        root.membership.note_stranger((119).to_bytes(32, "big"), "revoked")
        await trio.sleep(1)
        [found] = await root.ledger.transaction([invites.strangers()])
        rows = invites.stranger_rows(found)
        assert len(rows) == STRANGERS_MAX
        assert (rows[0].key[-1], rows[0].times, rows[0].code) == (119, 2, "revoked")
        assert rows[-1].key[-1] == 20


async def test_a_restored_node_burns_its_open_invites(world: World, autojump_clock: object) -> None:
    async with world.office() as root:
        await root.invite()
        await root.group.write([invites.burn_open(root.seams.time.wall())])
    async with world.office() as root:
        assert not root.membership.door_open()
        assert await root.rows("SELECT state, secret FROM invites") == [("withdrawn", None)]


# The next roster.


ROOT = Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32)
BASE = Roster(b"m" * 16, key(2), 1, 1, 1, 5, (Member(key(2), "netsky0", "root", (), 1),))


def grown(*numbers: int, base: Roster = BASE) -> Roster:
    for number in numbers:
        base = with_member(base, Member(key(number + 10), f"netsky{number}", f"n{number}"), 6)
    return base


def test_each_change_is_the_next_version_and_can_be_sealed() -> None:
    roster = without(grown(1, 2), key(11), 9)
    assert roster.version == 4
    assert (roster.issued, roster.by_name["netsky1"].revoked, roster.by_name["netsky2"].revoked) == (9, 9, 0)
    assert open_roster(seal_roster(roster, ROOT.sign), key(2), b"m" * 16) == roster


def test_the_next_name_is_one_that_nobody_had_or_was_promised() -> None:
    assert next_name(BASE, ()) == "netsky1"
    assert next_name(without(grown(1, 5), key(15), 9), ()) == "netsky6"
    assert next_name(grown(1), ("netsky2", "netsky3")) == "netsky4"


def test_a_label_is_free_again_once_its_bearer_is_revoked() -> None:
    roster = grown(1)
    assert not label_free(roster, "n1")
    assert label_free(without(roster, key(11), 9), "n1")


@pytest.mark.parametrize("label", ["", "  ", "x" * 80, "ü" * 60, "a\nb"])
def test_any_label_of_a_config_makes_a_first_roster(label: str) -> None:
    charter = Charter(b"m" * 16, key(1), 1, key(2), (), "", 0, b"", 5)
    roster = first_roster(charter, key(2), label, 5)
    assert open_roster(seal_roster(roster, ROOT.sign), key(2), charter.mesh) == roster


def test_two_rosters_of_one_root_are_united_and_no_revocation_is_undone() -> None:
    ours, shown = without(grown(1, 2), key(11), 7), grown(3, base=grown(1, 2, 4))
    both = united(ours, shown, 9)
    assert both.version == max(ours.version, shown.version) + 1
    assert [(one.name, bool(one.revoked)) for one in both.members] == [
        ("netsky0", False),
        ("netsky1", True),
        ("netsky2", False),
        ("netsky4", False),
        ("netsky3", False),
    ]
    assert united(both, shown, 10) is both
    assert united(both, ours, 10) is both
    assert united(both, both, 10) is both
    other_way = united(shown, ours, 9)
    assert other_way.by_name["netsky1"].revoked


def test_a_roster_that_only_counted_further_raises_ours() -> None:
    assert united(BASE, replace(BASE, version=7), 9).version == 8


@pytest.mark.parametrize(
    "shown",
    [
        with_member(BASE, Member(key(99), "netsky1", "x"), 6),
        with_member(BASE, Member(key(11), "netsky2", "x"), 6),
    ],
)
def test_a_name_with_two_keys_or_a_key_with_two_names_is_a_fork(shown: Roster) -> None:
    with pytest.raises(Fork):
        united(grown(1), shown, 9)


def test_a_roster_that_would_be_too_large_is_not_sealed() -> None:
    words = tuple(f"{at:032}" for at in range(16))
    many = (Member(bytes([at % 251, at // 251]) * 16, f"netsky{at}", "x" * 60, words) for at in range(1, 4_000))
    with pytest.raises(Invalid):
        seal_roster(replace(BASE, members=(*BASE.members, *many)), ROOT.sign)


def able(roster: Roster, name: str, *words: str) -> Roster:
    members = (replace(one, capabilities=words) if one.name == name else one for one in roster.members)
    return replace(roster, members=tuple(members))


def deputies(roster: Roster) -> list[str]:
    return [one.name for one in roster.members if "deputy" in one.capabilities]


def test_naming_a_deputy_takes_it_from_all_others_and_leaves_what_else_they_can() -> None:
    one = with_deputy(able(grown(1, 2), "netsky1", "gpu"), key(11), 4)
    assert (deputies(one), one.version) == (["netsky1"], grown(1, 2).version + 1)
    assert one.by_name["netsky1"].capabilities == ("gpu", "deputy")
    two = with_deputy(one, key(12), 5)
    assert deputies(two) == ["netsky2"]
    assert two.by_name["netsky1"].capabilities == ("gpu",)
    assert with_deputy(two, key(12), 6) is two
    none = with_deputy(two, None, 7)
    assert (deputies(none), deputy_of(none)) == ([], None)
    assert with_deputy(none, None, 8) is none


def test_a_revoked_deputy_is_none() -> None:
    roster = with_deputy(able(grown(1, 2), "netsky1", "gpu"), key(11), 4)
    assert deputy_of(roster) == roster.by_name["netsky1"]
    assert deputy_of(without(roster, key(11), 5)) is None


def test_two_rosters_that_each_name_a_deputy_have_one_when_they_are_united() -> None:
    ours = with_deputy(able(grown(1, 2), "netsky1", "gpu"), key(11), 4)
    shown = with_deputy(grown(1, 2, 3), key(13), 5)
    assert deputies(united(ours, shown, 6)) == ["netsky1"]
    assert deputies(united(with_deputy(ours, None, 5), shown, 6)) == ["netsky3"]
