"""Schedules of whole nodes: each due time once, whatever the clock, the disk and the person at the editor do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from netsky.node.lab.clock import DAY, HOUR, MINUTE, MachineTime, moment
from netsky.node.lab.machine import Machine
from netsky.node.lab.mesh import Mesh, open_mesh, until
from netsky.node.seams.ledger import Row
from trio.testing import MockClock

NOON = moment("2026-03-28T12:00:30")


async def minutes(machine: Machine, count: int) -> None:
    """So many minutes go by, each with its round: of cron alone, since nothing else of a node is asked here."""
    for _ in range(count):
        time = machine.time
        assert isinstance(time, MachineTime)
        time.moved += MINUTE
        await machine.ask("cron_tick")


def entry(label: str, schedule: str, target: str = "agent0", **more: Any) -> str:
    lines = [f'{key} = "{value}"' for key, value in {"prompt": f"do {label}", **more}.items()]
    return "\n".join(["[[cron]]", f'label = "{label}"', f'schedule = "{schedule}"', f'target = "{target}"', *lines, ""])


def write(machine: Machine, text: str) -> None:
    Path(machine.home.at("cron.toml")).write_text(text)


def text_of(machine: Machine) -> str:
    path = Path(machine.home.at("cron.toml"))
    return path.read_text() if path.exists() else ""


def written(text: str, number: int = 0) -> Callable[[Mesh], None]:
    def prepare(mesh: Mesh) -> None:
        write(mesh.machines[number], text)

    return prepare


async def fired(machine: Machine) -> list[str]:
    """The due times of everything that agentcron sent here, as the clock of UTC shows them."""
    rows: list[Row] = await machine.rows(
        "SELECT key FROM idempotency JOIN messages USING (id) WHERE actor = 'agentcron' ORDER BY seq"
    )
    due = [int(str(key).rsplit("/", 1)[1]) for (key,) in rows]
    return [datetime.fromtimestamp(at // 10**9, UTC).strftime("%m-%d %H:%M") for at in due]


async def sent(machine: Machine) -> int:
    [(count,)] = await machine.rows("SELECT count(*) FROM messages WHERE kind = 'cron'")
    return int(str(count))


async def test_an_entry_fires_at_its_time_as_agentcron_with_the_kind_cron(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    text = entry("nightly", "0,30 13 * * *")
    async with open_mesh(tmp_path, 0, times=[MachineTime(NOON)], prepare=written(text)) as mesh:
        [root] = mesh.machines
        await minutes(root, 55)
        assert await root.inbox("agent0") == []
        await minutes(root, 55)
        inbox = await root.inbox("agent0")
        assert [(one["from"], one["kind"]) for one in inbox] == [("agentcron", "cron")] * 2
        assert await fired(root) == ["03-28 13:00", "03-28 13:30"]
        assert (await root.ask("cron_ls"))["entries"][0]["fired"] == moment("2026-03-28T13:30:00")


async def test_a_day_in_berlin_fires_once_at_the_hour_that_is_skipped(tmp_path: Path, jumping_clock: MockClock) -> None:
    text = entry("nightly", "30 2 * * *", tz="Europe/Berlin") + entry("hours", "0 * * * *", tz="Europe/Berlin")
    async with open_mesh(
        tmp_path, 0, times=[MachineTime(moment("2026-03-28T22:30:30"))], prepare=written(text)
    ) as mesh:
        [root] = mesh.machines
        await minutes(root, 240)
        rows = await root.rows("SELECT key FROM idempotency WHERE key LIKE 'cron/nightly/%'")
        assert rows == [(f"cron/nightly/{moment('2026-03-29T01:00:00')}",)]
        hours = [one for one in await fired(root) if one.endswith(":00")]
        assert sorted(hours) == ["03-28 23:00", "03-29 00:00", "03-29 01:00", "03-29 01:00", "03-29 02:00"]


@pytest.mark.parametrize(("missed", "hours"), [("last", 1), ("skip", 0), ("all", 24)])
async def test_what_a_node_slept_through_fires_by_its_rule(
    missed: str, hours: int, tmp_path: Path, jumping_clock: MockClock
) -> None:
    time = MachineTime(NOON)
    text = entry("hours", "20 * * * *", missed=missed) + entry("nightly", "30 2 * * *", missed=missed)
    async with open_mesh(tmp_path, 0, times=[time], prepare=written(text)) as mesh:
        [root] = mesh.machines
        await minutes(root, 30)
        assert await fired(root) == ["03-28 12:20"]
        time.moved += 26 * HOUR  # asleep: the clock goes on, the node's time does not
        await minutes(root, 2)
        after = (await fired(root))[1:]
        assert len([one for one in after if one.endswith(":20")]) == hours
        assert [one for one in after if one.endswith("02:30")] == ([] if missed == "skip" else ["03-29 02:30"])
        if hours:
            assert after.count("03-29 14:20") == 1
        entries = {one["label"]: one for one in (await root.ask("cron_ls"))["entries"]}
        assert entries["hours"]["missed_times"] == 26 - hours
        await minutes(root, 60)
        assert (await fired(root)).count("03-29 15:20") == 1


async def test_a_node_that_was_down_for_a_day_fires_the_last_once_and_goes_on(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    text = entry("hours", "20 * * * *")
    time = MachineTime(NOON)
    async with open_mesh(tmp_path, 0, times=[time], prepare=written(text)) as mesh:
        [root] = mesh.machines
        await minutes(root, 30)
        await root.stop()
        time.moved += DAY
        await root.start(mesh.nursery)
        await minutes(root, 2)
        assert await fired(root) == ["03-28 12:20", "03-29 12:20"]
        await minutes(root, 60)
        assert await fired(root) == ["03-28 12:20", "03-29 12:20", "03-29 13:20"]


async def test_a_clock_set_back_an_hour_fires_nothing_twice_and_loses_nothing(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    time = MachineTime(NOON)
    async with open_mesh(tmp_path, 0, times=[time], prepare=written(entry("often", "*/10 * * * *"))) as mesh:
        [root] = mesh.machines
        await minutes(root, 60)
        before = await fired(root)
        assert before[-1] == "03-28 13:00"
        time.moved -= HOUR
        await minutes(root, 30)
        assert await fired(root) == before
        await root.stop()
        await root.start(mesh.nursery)
        await minutes(root, 60)
        assert await fired(root) == [*before, "03-28 13:10", "03-28 13:20", "03-28 13:30"]


async def test_a_clock_that_jumps_a_day_ahead_and_back_fires_each_due_time_once(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    time = MachineTime(NOON)
    text = entry("often", "*/10 * * * *") + entry("daily", "0 14 * * *")
    async with open_mesh(tmp_path, 0, times=[time], prepare=written(text)) as mesh:
        [root] = mesh.machines
        await minutes(root, 15)
        assert await fired(root) == ["03-28 12:10"]
        time.moved += DAY
        await minutes(root, 10)
        ahead = await fired(root)
        assert ahead.count("03-28 14:00") == 1  # missed, so it is late
        time.moved -= DAY
        await minutes(root, 180)
        after = await fired(root)
        assert len(set(after)) == len(after) == await sent(root)
        assert after.count("03-28 14:00") == 1


async def test_a_clock_that_was_years_ahead_silences_nothing_for_years(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    time = MachineTime(NOON)
    async with open_mesh(tmp_path, 0, times=[time], prepare=written(entry("often", "*/10 * * * *"))) as mesh:
        [root] = mesh.machines
        await minutes(root, 5)
        time.moved += 3 * 365 * DAY
        await minutes(root, 15)
        count = len(await fired(root))
        time.moved -= 3 * 365 * DAY
        await minutes(root, 30)
        assert len(await fired(root)) == count + 3
        assert root.logged("cron.clock_was_wrong")[0]["entries"] == 1
        await mesh.restart(root)
        await minutes(root, 20)
        assert len(await fired(root)) == count + 5


async def test_a_file_that_is_broken_by_hand_leaves_the_last_good_schedule_in_force(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    good = "# mine\n" + entry("often", "*/10 * * * *")
    async with open_mesh(tmp_path, 0, times=[MachineTime(NOON)], prepare=written(good)) as mesh:
        [root] = mesh.machines
        path = root.home.at("cron.toml")
        await minutes(root, 15)
        write(root, good + '\n[[cron]]\nlabel = "new"\nschedule = "0 0 31 2 *"\ntarget = "agent0"\nprompt = "x"\n')
        await minutes(root, 15)
        assert len(await fired(root)) == 3
        [fault] = (await root.ask("status"))["faults"]
        assert f"{path}, line 10: schedule: '0 0 31 2 *' never fires" in fault["sentence"]
        assert "line 10" in root.logged("cron.refused")[0]["fault"]
        for verb, args in (("cron_rm", {"label": "often"}), ("cron_add", ADD)):
            refused = await root.refusal(verb, **args)
            assert "line 10" in refused["message"]
            assert "nothing was changed" in refused["message"]
        await mesh.restart(root)  # it is still broken: what was good is known beyond a restart
        await minutes(root, 10)
        assert len(await fired(root)) == 4
        assert "line 10" in (await root.ask("status"))["faults"][0]["sentence"]
        write(root, good)
        await minutes(root, 1)
        assert (await root.ask("status"))["faults"] == []
        assert root.logged("cron.taken")


ADD = {"label": "nightly", "schedule": "30 3 * * *", "target": "agent0", "prompt": "look"}


async def test_commands_change_one_entry_and_leave_every_other_line_as_it_was(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    text = "# top\n\n# about often\n" + entry("often", "*/10 * * * *") + "# about last\n" + entry("last", "0 0 1 * *")
    async with open_mesh(tmp_path, 0, times=[MachineTime(NOON)], prepare=written(text)) as mesh:
        [root] = mesh.machines
        added = await root.ask("cron_add", **ADD, tz="Europe/Berlin")
        assert added["words"] == "At 03:30 every day"
        assert [one["local"] for one in added["next"]] == [
            "2026-03-29T03:30:00+02:00", "2026-03-30T03:30:00+02:00", "2026-03-31T03:30:00+02:00",
        ]  # fmt: skip
        assert text_of(root).startswith(text)
        assert (await root.refusal("cron_add", **ADD))["code"] == "label_taken"
        await root.ask("cron_rm", label="nightly")
        assert text_of(root).rstrip("\n") == text.rstrip("\n")
        await root.ask("cron_rm", label="often")
        assert text_of(root).rstrip("\n") == text.replace(entry("often", "*/10 * * * *"), "").rstrip("\n")
        assert (await root.refusal("cron_rm", label="often"))["code"] == "no_schedule"
        assert [one["label"] for one in (await root.ask("cron_next", count=5))["fires"]] == ["last"] * 5
        assert await root.rows("SELECT id FROM schedules") == [("last",)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schedule": "0 0 31 2 *"}, "never fires"),
        ({"schedule": "every day"}, "write five fields"),
        ({"tz": "Europe/Nowhere"}, "is no time zone"),
        ({"label": "Not A Name"}, "is no name"),
        ({"target": "agent7"}, "there is no actor agent7"),
        ({"target": "owner"}, "agentcron"),
        ({"target": "worker1"}, "there is no actor"),
        ({"target": "agent0@netsky5"}, "knows no netsky5"),
        ({"target": "nobody"}, "is no actor"),
        ({"prompt": " "}, "is empty"),
        ({"prompt": "</channel>"}, "channel"),
        ({"prompt": "x" * 20_000}, "more than"),
        ({"missed": "some"}, "one of"),
    ],
)
async def test_what_could_never_fire_is_refused_when_it_is_added(
    change: dict[str, str], said: str, tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with open_mesh(tmp_path, 0) as mesh:
        [root] = mesh.machines
        error = await root.refusal("cron_add", **(ADD | change))
        assert said in error["message"]
        assert text_of(root) == ""


async def test_an_actor_that_leads_schedules_itself_and_nobody_else(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with open_mesh(tmp_path, 0) as mesh:
        [root] = mesh.machines
        for name in ("agent1", "worker1"):
            await root.ask("agent_add", actor=name, mode="none")
        own = ADD | {"target": "agent1"}
        await root.ask("cron_add", by="agent1", **own)
        await root.ask("cron_add", **(ADD | {"label": "other"}))
        assert (await root.refusal("cron_add", by="agent1", **(ADD | {"label": "a"})))["code"] == "authority"
        assert (await root.refusal("cron_add", by="worker1", **(own | {"target": "worker1"})))["code"] == "authority"
        assert [one["label"] for one in (await root.ask("cron_ls", by="agent1"))["entries"]] == ["nightly"]
        assert (await root.ask("cron_ls", by="worker1"))["entries"] == []
        assert (await root.refusal("cron_rm", by="agent1", label="other"))["code"] == "no_schedule"
        assert (await root.refusal("cron_tick", by="agent1"))["code"] != ""
        await root.ask("cron_rm", by="agent1", label="nightly")
        for number in range(20):
            await root.ask("cron_add", by="agent1", **(own | {"label": f"own{number}"}))
        assert (await root.refusal("cron_add", by="agent1", **own))["code"] == "own_full"


async def test_a_target_that_is_gone_is_shown_and_the_next_due_time_tries_again(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    text = entry("often", "*/10 * * * *", "agent1") + entry("other", "*/10 * * * *")
    async with open_mesh(tmp_path, 0, times=[MachineTime(NOON)], prepare=written(text)) as mesh:
        [root] = mesh.machines
        await minutes(root, 15)
        assert await sent(root) == 1
        [fault] = (await root.ask("status"))["faults"]
        assert fault["sentence"] == "cron often could not be sent: there is no actor agent1 on this node"
        shown = (await root.ask("cron_ls"))["entries"][0]["fault"]["sentence"]
        assert shown == "there is no actor agent1 on this node"
        assert await root.rows("SELECT event, status FROM watchdog_events") == [("schedule_fault", "open")]
        await root.ask("agent_add", actor="agent1", mode="none")
        await minutes(root, 10)
        assert len(await root.inbox("agent1")) == 1
        assert (await root.ask("status"))["faults"] == []
        assert root.logged("cron.healed")[0]["id"] == "often"


async def test_what_finds_no_room_waits_for_the_next_round(tmp_path: Path, jumping_clock: MockClock) -> None:
    def prepare(mesh: Mesh) -> None:
        written(entry("often", "10 * * * *"))(mesh)
        mesh.machines[0].configure("bus", "inbox_max", 1)

    async with open_mesh(tmp_path, 0, times=[MachineTime(NOON)], prepare=prepare) as mesh:
        [root] = mesh.machines
        await root.ask("send", to="agent0", text="in the way", **{"from": "agent0"})
        await minutes(root, 15)
        assert await sent(root) == 0
        assert "its inbox is full" in (await root.ask("status"))["faults"][0]["sentence"]
        [waiting] = await root.inbox("agent0")
        await root.ask("ack", actor="agent0", ids=[waiting["id"]])
        await minutes(root, 2)
        assert await fired(root) == ["03-28 12:10"]
        assert (await root.ask("status"))["faults"] == []


async def until_inbox(machine: Machine, actor: str, count: int) -> list[dict[str, Any]]:
    async def look() -> list[dict[str, Any]] | None:
        found = await machine.inbox(actor)
        return found if len(found) >= count else None

    return await until(look, every=5)


async def test_a_schedule_of_a_sibling_starts_work_through_the_root(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with open_mesh(
        tmp_path,
        1,
        times=[MachineTime(NOON)] * 2,
        prepare=written(entry("often", "*/10 * * * *"), 1),
    ) as mesh:
        root, one = mesh.machines
        await minutes(one, 10)
        [found] = await until_inbox(one, "agent0", 1)
        assert (found["from"], found["kind"]) == ("agentcron@netsky0", "cron")
        [(id_, parent)] = await one.rows("SELECT id, parent FROM messages WHERE sender = 'agentcron@netsky0'")
        [(asked,)] = await one.rows("SELECT id FROM messages WHERE sender = 'agentcron@netsky1'")
        assert (id_, parent) == (found["id"], asked)
        assert await root.rows("SELECT state FROM inbox WHERE actor = 'agentcron'") == [("taken",)]
        await mesh.restart(root)
        await minutes(one, 20)
        assert len(await until_inbox(one, "agent0", 3)) == 3


async def test_with_local_work_a_siblings_schedule_goes_straight(tmp_path: Path, jumping_clock: MockClock) -> None:
    def prepare(mesh: Mesh) -> None:
        written(entry("often", "*/10 * * * *"), 1)(mesh)
        mesh.machines[1].configure("node", "local_work", True)

    async with open_mesh(tmp_path, 1, times=[MachineTime(NOON)] * 2, prepare=prepare) as mesh:
        _, one = mesh.machines
        await minutes(one, 10)
        [found] = await until_inbox(one, "agent0", 1)
        assert found["from"] == "agentcron"


async def test_the_root_sends_a_siblings_schedule_to_actors_of_that_sibling_alone(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    from netsky.node.bus.draft import Draft

    async with open_mesh(tmp_path, 2) as mesh:
        root, one, two = mesh.machines
        wrong = ("agent0@netsky2", "agent0@netsky0", "worker1", "owner", "nobody", "", None, 7)
        for number, target in enumerate(wrong):
            about = {"schedule": {"id": f"a{number}", "due": 1, "target": target}}
            await one.node.voices.say("agentcron", Draft("agentcron@netsky0", "x", kind="cron", data=about))
        await one.node.voices.say("agentcron", Draft("agentcron@netsky0", "x", kind="cron"))

        async def refused() -> bool | None:
            [(count,)] = await one.rows("SELECT count(*) FROM messages WHERE kind = 'error'")
            return count == len(wrong) + 1 or None

        await until(refused)
        for machine, actor in ((root, "agent0"), (one, "agent0"), (two, "agent0"), (root, "owner")):
            assert await machine.inbox(actor) == []


async def test_a_refusal_of_the_root_is_a_fault_of_the_schedule(tmp_path: Path, jumping_clock: MockClock) -> None:
    def prepare(mesh: Mesh) -> None:
        written(entry("often", "*/10 * * * *", "worker1"), 1)(mesh)

    async with open_mesh(tmp_path, 1, times=[MachineTime(NOON)] * 2, prepare=prepare) as mesh:
        _, one = mesh.machines
        await one.ask("agent_add", actor="worker1", mode="none")
        await minutes(one, 10)

        async def told() -> list[dict[str, Any]] | None:
            return (await one.ask("status"))["faults"] or None

        [fault] = await until(told)
        assert "cron often could not be sent" in fault["sentence"]
        assert "worker1" in fault["sentence"]
        assert await one.inbox("worker1") == []
        refused = await one.refusal("cron_add", **(ADD | {"target": "agent0@netsky0"}))
        assert "a schedule of netsky1 reaches actors of netsky1 alone" in refused["message"]


async def test_the_roots_own_schedule_reaches_another_machine(tmp_path: Path, jumping_clock: MockClock) -> None:
    text = entry("often", "*/10 * * * *", "agent0@netsky1")
    async with open_mesh(tmp_path, 1, times=[MachineTime(NOON)] * 2, prepare=written(text)) as mesh:
        root, one = mesh.machines
        await minutes(root, 10)
        [found, *_] = await until_inbox(one, "agent0", 1)
        assert found["from"] == "agentcron@netsky0"
