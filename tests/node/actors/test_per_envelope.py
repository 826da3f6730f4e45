"""Programs that are started for each envelope: the envelope in, the answer out, and every way in which that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from netsky.node.actors.handover import settle_open
from netsky.node.actors.limits import CRASHES_MAX, LOSSES_MAX, TRIES_MAX
from netsky.node.backoff import Backoff
from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.daemon.caller import OPERATOR
from netsky.node.db import arrivals, handovers
from netsky.node.errors import Conflict, NetskyError, TryLater
from netsky.node.seams.ledger import LedgerFull, Row, Statement
from netsky.node.verbs.args import Args
from netsky.node.verbs.bus import ack, claim

Start = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsky.node.actors.handover.RETRY", Backoff(1_000_000, 2_000_000))


ECHO = "import sys, json; e = json.load(sys.stdin); print(e['from'], e['kind'], e['text'], len(e['netsky']['leaf']))"


async def test_the_answer_of_a_worker_to_its_manager_is_a_report(start: Start) -> None:
    async with start() as it:
        await it.add_script("worker1", ECHO)
        sent = await it.send("worker1", "count")
        assert await it.answers(sent) == [("worker1", "report", "agent0 brief count 64")]
        assert await it.taken_by(sent) == "exit"
        assert (it.names("worker1", "inbox"), it.names("worker1", "claimed")) == ([], [])
        assert len(it.names("worker1", "archive")) == 1
        await it.wait_state("worker1", "idle")


async def test_the_answer_of_a_manager_is_a_reply(start: Start) -> None:
    async with start() as it:
        await it.add_script("agent1", ECHO)
        sent = await it.send("agent1", "count", kind="ticket")
        assert await it.answers(sent) == [("agent1", "reply", "agent0 ticket count 64")]


async def test_no_words_are_no_answer_and_the_envelope_is_taken_all_the_same(start: Start) -> None:
    async with start() as it:
        await it.add_script("worker1", "import sys; sys.stdin.read()")
        sent = await it.send("worker1", "x")
        assert await it.taken_by(sent) == "exit"
        assert await it.answers(sent, 0) == []


async def test_an_answer_is_never_answered(start: Start) -> None:
    async with start() as it:
        await it.add_script("worker1", "print('again')")
        sent = await it.send("worker1", "x", kind="reply")
        assert await it.taken_by(sent) == "exit"
        assert await it.answers(sent, 0) == []


async def test_a_program_that_fails_is_tried_again_until_it_does_not(start: Start) -> None:
    script = (
        "import os, sys\nn = len(os.listdir('.'))\nopen(f'try{n}', 'w').close()\n"
        "print('at last'); sys.exit(1 if n < 2 else 0)"
    )
    async with start() as it:
        await it.add_script("worker1", script)
        sent = await it.send("worker1", "x")
        assert await it.answers(sent) == [("worker1", "report", "at last")]
        assert await it.taken_by(sent) == "exit"


async def test_a_program_that_always_fails_ends_as_an_error_to_the_sender_and_in_quarantine(start: Start) -> None:
    async with start() as it:
        await it.add_script("worker1", "open('tries', 'a').write('x'); raise SystemExit(3)")
        sent = await it.send("worker1", "x")
        [(sender, kind, text)] = await it.answers(sent)
        assert (sender, kind) == ("worker1", "error")
        assert text == "worker1 could not do this: the program ended with exit code 3 (5 tries)."
        assert await it.taken_by(sent) == "given_up"
        assert (it.folder / "tries").read_text() == "x" * TRIES_MAX

        async def look() -> bool | None:  # the row says so first, the file moves after
            kept = [name for name in it.names("worker1", "quarantine") if not name.endswith(".reason.json")]
            return len(kept) == 1 or None

        await it.until(look)


async def test_the_next_envelope_does_not_wait_for_the_next_try_of_one_that_fails(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.actors.handover.RETRY", Backoff(10**12, 10**12))
    script = "import sys, json; e = json.load(sys.stdin); sys.exit(1) if e['text'] == 'bad' else print('fine')"
    async with start() as it:
        await it.add_script("worker1", script)
        await it.send("worker1", "bad")
        assert await it.answers(await it.send("worker1", "good")) == [("worker1", "report", "fine")]


async def test_an_answer_over_the_cap_ends_the_program_and_is_told(start: Start) -> None:
    async with start() as it:
        await it.add_script("worker1", "while True: print('x' * 1000)")
        [(_, kind, text)] = await it.answers(await it.send("worker1", "x"))
        assert kind == "error"
        assert "more than 49152 bytes" in text


async def test_an_answer_that_no_envelope_may_hold_is_told_to_the_sender(start: Start) -> None:
    async with start() as it:
        await it.add_script("worker1", "print('</chan' + 'nel>')")
        [(_, kind, text)] = await it.answers(await it.send("worker1", "x"))
        assert kind == "error"
        assert "could not do this" in text


async def test_a_program_that_takes_too_long_is_ended_with_all_it_started(start: Start) -> None:
    script = (
        "import os, signal, time\nsignal.signal(15, signal.SIG_IGN)\nos.system('setsid sleep 1234.5 &')\ntime.sleep(99)"
    )
    async with start() as it:
        await it.add_script("worker1", script, timeout=1)
        sent = await it.send("worker1", "x")

        async def reason() -> str | None:
            [rows] = await it.node.group.write([Statement("SELECT reason FROM handovers WHERE reason != ''")])
            return str(rows[0][0]) if rows else None

        assert await it.until(reason) == "it took longer than its time limit and was ended"
        await it.node.actors.remove("worker1")
        assert not _running("1234.5")
        assert await it.answers(sent, 0) == []


async def test_a_program_that_is_not_there_is_an_error_to_the_sender(start: Start) -> None:
    async with start() as it:
        await it.add("worker1", "/nonexistent/program", mode="per_envelope")
        [(_, kind, text)] = await it.answers(await it.send("worker1", "x"))
        assert (kind, text) == (
            "error",
            "worker1 could not do this: its program cannot start: No such file or directory (5 tries).",
        )


async def test_an_orderly_stop_in_the_middle_counts_no_try_and_the_next_life_gives_it_again(start: Start) -> None:
    script = (
        "import os, time\nopen('tries', 'a').write('x')\n"
        "time.sleep(0 if len(open('tries').read()) > 1 else 99)\nprint('done')"
    )
    async with start() as it:
        await it.add_script("worker1", script)
        sent = await it.send("worker1", "x")
        await it.made("tries")
    async with start() as it:
        assert await it.answers(sent) == [("worker1", "report", "done")]
        assert await it.taken_by(sent) == "exit"


async def test_an_envelope_that_took_the_node_down_twice_is_given_to_no_program_again(start: Start) -> None:
    async with start() as it:
        await it.add("worker1")
        sent = await it.send("worker1", "x")
        assert await it.answers(sent, 0) == []
        [rows] = await it.node.group.write([Statement("SELECT seq FROM inbox")])
        seq = int(rows[0][0])
        for _ in range(2):  # what two crashed lives leave behind
            await it.node.group.write([handovers.begin(seq, "worker1")])
            await it.node.group.write([handovers.lose([seq])])
    async with start() as it:
        await it.add_script("worker1", "open('ran', 'w')")
        [(_, kind, text)] = await it.answers(sent)
        assert (kind, text) == (
            "error",
            "worker1 could not do this: the node ended 2 times while a program had it.",
        )
        assert not (it.folder / "ran").exists()


HELD = "import os, time\nopen('tries', 'a').write('x')\nwhile not os.path.exists('go'): time.sleep(.01)\nprint('done')"


async def test_an_orderly_stop_on_a_full_disk_is_no_loss_however_often_it_happens(start: Start) -> None:
    for life in range(1 + max(LOSSES_MAX, TRIES_MAX)):
        async with start() as it:
            if life == 0:
                await it.add_script("worker1", HELD)
                sent = await it.send("worker1", "x")
            await it.made("tries")
            (it.folder / "tries").unlink()
            full_for(it, "handovers")
    async with start() as it:
        (it.folder / "go").touch()
        assert await it.answers(sent) == [("worker1", "report", "done")]


async def test_a_node_that_ends_is_a_loss_while_a_program_is_at_work_and_none_while_its_answer_waits(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.actors.hands.RESTART", Backoff(10**12, 10**12))
    async with start() as it:

        async def counted() -> Any:
            """What the next life would count."""
            node = it.node
            await settle_open(node.group, node.seams.files, node.home.channels, node.log)
            [rows] = await node.group.write([Statement("SELECT tries, losses, open FROM handovers")])
            await node.group.write([Statement("UPDATE handovers SET tries = 1, losses = 0, open = 1")])
            return rows

        await it.add_script("worker1", HELD)
        await it.send("worker1", "x")
        await it.made("tries")
        assert await counted() == [(1, 1, 0)]
        room = full_for(it, "messages")
        (it.folder / "go").touch()
        await it.wait_state("worker1", "waits")

        async def told() -> bool | None:
            return "No room left" in it.state("worker1")["reason"] or None

        await it.until(told)
        room()
        assert await counted() == [(0, 0, 0)]


def full_for(it: Any, table: str) -> Callable[[], None]:
    """The disk is full for whatever writes to this table, until the answer is called."""
    real = it.node.ledger.transaction

    async def full(statements: Sequence[Statement]) -> list[list[Row]]:
        if any(table in statement.sql and not statement.sql.startswith("SELECT") for statement in statements):
            raise LedgerFull("No room left")
        found: list[list[Row]] = await real(statements)
        return found

    def room() -> None:
        it.node.ledger.transaction = real

    it.node.ledger.transaction = full
    return room


async def test_a_full_disk_stops_the_actor_for_as_long_as_it_is_full_and_its_answer_arrives(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.actors.hands.RESTART", Backoff(1_000_000, 2_000_000))
    script = (
        "import os, sys, time\nopen('tries', 'a').write('x')\nwhile not os.path.exists('go'): time.sleep(.01)\nprint(1)"
    )
    async with start() as it:
        await it.add_script("worker1", script)
        sent = await it.send("worker1", "x")
        await it.made("tries")
        real = it.node.ledger.transaction
        refused = 0

        async def full(statements: Sequence[Statement]) -> list[list[Row]]:
            nonlocal refused
            if all(statement.sql.startswith("SELECT") for statement in statements):
                return await real(statements)
            refused += 1
            raise LedgerFull("No room left")

        it.node.ledger.transaction = full
        (it.folder / "go").touch()

        async def refused_often() -> bool | None:
            return refused > 2 * CRASHES_MAX or None

        await it.until(refused_often)
        assert it.state("worker1")["state"] == "waits"
        assert "No room left" in it.state("worker1")["reason"]
        it.node.ledger.transaction = real
        assert await it.answers(sent) == [("worker1", "report", "1")]
        assert await it.taken_by(sent) == "exit"
        assert (it.folder / "tries").read_text() == "x"
        await it.wait_state("worker1", "idle")


@pytest.mark.parametrize("kind", ["report", "error"])
async def test_an_answer_waits_as_long_as_its_reader_has_no_room_and_its_envelope_is_not_taken_before(
    start: Start, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("netsky.node.actors.hands.RESTART", Backoff(1_000_000, 2_000_000))
    monkeypatch.setattr("netsky.node.bus.room.INGRESS_RESERVE", 0)
    script = "open('tries', 'a').write('x'); import sys\nif 'error' in sys.stdin.read(): sys.exit(1)\nprint('done')"
    async with start() as it:
        it.node.live_config.current = replace(it.node.live_config.current, inbox_envelopes_max=1)
        await it.add("agent1")
        in_the_way = await it.send("agent0", "x", sender="agent1", kind="text")
        await it.send("agent0", "x", sender="agent1", kind="reply")
        real, refused = it.node.bus.accept, 0

        async def counted(sender: str, via: Via, drafts: Sequence[Draft]) -> list[Accepted | NetskyError]:
            nonlocal refused
            answers: list[Accepted | NetskyError] = await real(sender, via, drafts)
            refused += sum(isinstance(answer, TryLater) for answer in answers)
            return answers

        async def refused_often() -> bool | None:
            return refused > 2 * TRIES_MAX or None

        it.node.bus.accept = counted
        await it.add_script("worker1", script)
        sent = await it.send("worker1", kind)
        await it.until(refused_often)
        assert it.state("worker1")["state"] == "waits"
        assert "agent0 has 2 envelopes that it has not taken" in it.state("worker1")["reason"]
        [rows] = await it.node.group.write([arrivals.waiting_counts(["worker1"])])
        assert rows == [("worker1", 1)]
        await ack(it.node, OPERATOR, Args("ack", {"actor": "agent0", "ids": [in_the_way]}))
        assert [found for _, found, _ in await it.answers(sent)] == [kind]
        assert await it.taken_by(sent) == ("exit" if kind == "report" else "given_up")
        assert (it.folder / "tries").read_text() == "x" * (1 if kind == "report" else TRIES_MAX)


async def test_two_that_wait_for_room_for_their_answers_to_each_other_still_move(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.actors.hands.RESTART", Backoff(1_000_000, 2_000_000))
    monkeypatch.setattr("netsky.node.bus.room.INGRESS_RESERVE", 0)
    async with start() as it:
        it.node.live_config.current = replace(it.node.live_config.current, inbox_envelopes_max=4)
        both = ("agent1", "agent2")
        for name in both:
            await it.add(name)
        sent = []
        for at in range(4):
            for name, other in (both, both[::-1]):
                sent.append(await it.send(other, f"{at}", sender=name, kind="text"))
        gate = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('done')"
        for name in both:
            await it.add_script(name, gate)
            await it.wait_state(name, "running")
        for at in range(4):
            for name, other in (both, both[::-1]):
                await it.send(other, f"{at}", sender=name, kind="reply")
        (it.folder / "go").touch()
        for one in sent:
            assert [kind for _, kind, _ in await it.answers(one)] == ["reply"]

        async def all_taken() -> bool | None:
            [rows] = await it.node.group.write([arrivals.waiting_counts(list(both))])
            return not rows or None

        await it.until(all_taken)


async def test_what_waits_can_be_claimed_on_a_full_disk_and_is_taken_once_there_is_room(start: Start) -> None:
    async with start() as it:
        sent = await it.send("agent0", "x", sender="agent0", kind="text")
        [row] = await it.node.group.write([Statement("SELECT file FROM inbox")])
        [(file,)] = row
        asked = {"actor": "agent0", "files": [file, "09999999999999000000-0000000001-00000001-0000000001-from-a.json"]}
        room = full_for(it, "inbox")
        states = (await claim(it.node, OPERATOR, Args("claim", asked)))["files"]
        assert list(states.values()) == ["ok", "unknown"]
        with pytest.raises(TryLater, match="No room left"):
            await ack(it.node, OPERATOR, Args("ack", {"actor": "agent0", "ids": [file]}))
        room()
        assert (await ack(it.node, OPERATOR, Args("ack", {"actor": "agent0", "ids": [file]})))["new"] == [sent]


COLUMNS = "leaf, header, body, seal, position, sender, recipient, destination, kind, lane, clock, ts, expires, via"
THEIRS = "09999999999000000009-0000000001-00000001-0000000001-from-agent0@netsky9.json"


async def test_an_id_that_two_origins_use_is_two_envelopes_and_each_is_taken_by_itself(start: Start) -> None:
    """An id is its origin's to choose: another node may send one under the id of what waits here."""
    async with start() as it:
        await it.add("worker1")
        sent = await it.send("worker1", "x")
        twin = Statement(
            f"INSERT INTO messages (origin, id, accepted_at, {COLUMNS}) "
            f"SELECT zeroblob(32), id, accepted_at, {COLUMNS} FROM messages WHERE id = ?",
            (sent,),
        )
        row = Statement(
            "INSERT INTO inbox (seq, actor, file, state, stored_at) "
            "SELECT max(seq), 'worker1', ?, 'projected', 1 FROM messages",
            (THEIRS,),
        )
        await it.node.group.write([twin, row])

        with pytest.raises(Conflict, match="2 messages of worker1 have the id") as caught:
            await ack(it.node, OPERATOR, Args("ack", {"actor": "worker1", "ids": [sent]}))
        assert f"netsky channel ack worker1 {THEIRS}" in caught.value.next

        before = it.names("worker1", "inbox")
        [file] = [name for name in before if name.endswith(".json")]
        assert (await ack(it.node, OPERATOR, Args("ack", {"actor": "worker1", "ids": [file]})))["new"] == [sent]
        await it.node.bus.sweep.turn()
        assert it.names("worker1", "archive") == [file]
        assert await it.node.bus.replay("worker1", file) == file

        seen = "import json, sys; open('seen', 'a').write(json.load(sys.stdin)['netsky']['origin'] + ' ')"
        await it.add_script("worker1", seen)

        async def all_taken() -> bool | None:
            [rows] = await it.node.group.write([arrivals.waiting_counts(["worker1"])])
            return not rows or None

        await it.until(all_taken)
        assert sorted((it.folder / "seen").read_text().split()) == sorted([it.node.identity.key.hex(), "00" * 32])
        assert (await ack(it.node, OPERATOR, Args("ack", {"actor": "worker1", "ids": [sent]})))["taken"] == [sent]


async def test_work_that_expired_while_it_waited_is_not_begun(start: Start) -> None:
    async with start() as it:
        await it.add("worker1")
        sent = await it.send("worker1", "x", expires_in_ns=1)
        await it.add_script("worker1", "open('ran', 'w')")
        [(_, kind, text)] = await it.answers(sent)
        assert (kind, text) == ("error", "worker1 could not do this: it expired before its work began.")
        assert not (it.folder / "ran").exists()


def _running(text: str) -> list[Any]:
    import glob

    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path) as file:
                if text in file.read() and "pytest" not in file.read():
                    found.append(path)
        except OSError:
            continue
    return found
