"""Those around a simulated machine: clients that send, actors that take, and what they saw as lines of the history.

A client asks again with the same keys when its node dies before it answers. An actor reads, does, says that it has it;
and, where its habits say so, hangs, dies in the middle, or lies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import trio
from netsky.envelope.file import FileEnvelope, read_file
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import FILE_BYTES_MAX
from netsky.node.bus.drop import drop_in_outbox
from netsky.node.bus.intake import outbox_id
from netsky.node.bus.quarantine import put_away
from netsky.node.errors import NetskyError
from netsky.node.lab.drafts import ODD_REFUSALS, Drafts, Traffic, in_base64
from netsky.node.lab.history import Writer, digest
from netsky.node.lab.machine import Down, Machine
from netsky.node.lab.scheduler import sleep
from netsky.node.lab.virtual import SeededChance
from netsky.node.seams.chance import Chance
from netsky.node.seams.files import HostileFile

ANSWER_SECONDS = 60.0
"""Whoever waits longer for an answer asks again: the node is paused, or its disk is."""
AGAIN_SECONDS = 1.0
KEYS_LAST_NS = 20 * 3_600 * 10**9
"""By the clock of its machine: who slept longer asks no more, for a key is known as long as its envelope may live."""
IN_HAND = 32
REMEMBERED = 16
NO_ROOM = frozenset(
    {"inbox_full", "outbox_full", "dest_held", "dest_share_full", "disk_full", "disk_low", "halted", "node_stopped"}
)
"""Refusals that pass."""

Between = Callable[[], None]
"""Called between two steps of an actor: where it may die."""


class Died(Exception):
    """An actor's process ended in the middle of what it did."""


def chance_of(seed: int, what: str) -> SeededChance:
    """One for each who draws, so that one more draw here changes nothing there."""
    return SeededChance(int.from_bytes(sha256(f"{seed} {what}".encode()).digest()[:8]))


@dataclass(slots=True)
class Habits:
    """How an actor is just now. Whoever makes trouble changes it."""

    hangs: bool = False
    dies: bool = False
    lies: bool = False
    alone: bool = False
    """Whether it goes on while its node is down."""


class Client:
    def __init__(self, machine: Machine, said: Writer, chance: Chance, traffic: Traffic) -> None:
        self._machine, self._said, self._chance, self._traffic = machine, said, chance, traffic
        self._drafts = Drafts(chance, traffic)
        self.strange: list[str] = []
        """Refusals that nobody expects."""
        self.node = machine.name
        self.open: list[str] = []
        """Ids whose outcome it asks for."""
        self._asked: deque[tuple[int, list[dict[str, Any]]]] = deque(maxlen=REMEMBERED)

    async def send_until(self, ends: float) -> None:
        traffic = self._traffic
        while True:
            count = 1 + int(traffic.together * self._chance.fraction() ** 2)
            await sleep(2 * traffic.every * count * self._chance.fraction())
            if trio.current_time() >= ends:
                return
            await self.send(count)

    async def send(self, count: int) -> None:
        if self._chance.fraction() < self._traffic.drops:
            self.drop()
            return
        drafts = self._drafts.next(count)
        for draft in drafts:
            await self._bring(draft)
        if all(map(self._drafts.lasts, drafts)):
            self._asked.append((self._machine.time.wall(), drafts))
        for got in await self._call(drafts):
            if ord(got["id"][-1]) % 4 == 0:  # of some it wants to know
                self.open.append(got["id"])
        if self._asked and self._chance.fraction() < self._traffic.twice:
            at, before = self._asked[int(len(self._asked) * self._chance.fraction())]
            if self._machine.time.wall() - at < KEYS_LAST_NS:
                await self._call(before)

    async def _call(self, drafts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What was accepted; also of what was asked before, perhaps long ago and of another life of the node."""
        said = [{"key": f"{draft['from']} {draft['idempotency_key']}", "dest": draft["to"]} for draft in drafts]
        self._said.note_all("submit_call", said)
        accepted = []
        for what, draft, result in zip(said, drafts, await self._submit(drafts, said), strict=False):
            if result["ok"]:
                got = result["data"]
                accepted.append(got)
                self._said.note(
                    "submit_ok", **what, id=got["id"], origin=self._machine.name, hash=got["leaf"],
                    value=digest(draft["text"]),
                )  # fmt: skip
            else:
                code = result["error"]["code"]
                self._said.note("submit_refused", **what, reason=code)
                if code not in NO_ROOM and not (code in ODD_REFUSALS and self._drafts.is_odd(draft)):
                    self.strange.append(f"{self._machine.name} refused {draft['kind']} to {draft['to']}: {code}")
        return accepted

    async def _bring(self, draft: dict[str, Any]) -> None:
        """The file that it names; without it if the node takes none just now."""
        data = self._drafts.file(draft)
        if data is None:
            return
        digest = draft["attachments"][0]["sha256"]
        begun = await self._ask("attach_begin", sha256=digest, size=len(data))
        held = begun is not None and begun["ok"] and begun["data"]["held"]
        if begun is not None and begun["ok"] and not held:
            at = begun["data"]["offset"]
            put = await self._ask("attach_put", sha256=digest, offset=at, data=in_base64(data[at:]))
            held = put is not None and put["ok"]
        if not held:
            del draft["attachments"]

    def drop(self) -> None:
        """As who knows no socket sends: a file in the outbox. Its envelope's id follows from it."""
        draft = self._drafts.plain()
        machine, sender = self._machine, str(draft["from"])
        key, text = f"{sender} {draft['idempotency_key']}", str(draft["text"])
        what = {"key": key, "dest": draft["to"]}
        self._said.note("submit_call", **what)
        folder = machine.home.channel(sender)
        try:
            by: dict[str, Any] = {"actor": sender, "pid": machine.number + 1}
            name = drop_in_outbox(machine.files, machine.time, self._chance, folder=folder, draft=draft, **by)
            data = Path(folder, "outbox", name).read_bytes()
        except (OSError, NetskyError):
            self._said.note("submit_unknown", **what)  # a disk that is full or fails: it may stand there
            return
        id_ = outbox_id(sender, name, data)
        said = {"reason": "outbox", "id": id_, "origin": machine.name, "value": digest(text)}
        self._said.note("submit_ok", **what, **said)

    async def hear(self) -> None:
        """As `netsky wait` would: what became of those that it wants to know of."""
        while True:
            await sleep(2 * AGAIN_SECONDS * (0.5 + self._chance.fraction()))
            for id_ in self.open[:IN_HAND]:
                answer = await self._ask("wait", id=id_, what="outcome", timeout=0.01)
                if answer is None:
                    break
                self._heard(id_, answer)

    def _heard(self, id_: str, answer: dict[str, Any]) -> None:
        if not answer["ok"]:
            if answer["error"]["code"] == "not_found":  # its node was put back to a time before
                self.open.remove(id_)
            return
        fate, code = answer["data"]["fate"], answer["data"]["code"]
        self._said.note("outcome", id=id_, origin=self._machine.name, reason=f"{fate}({code})" if code else fate)
        self.open.remove(id_)

    async def _submit(self, drafts: list[dict[str, Any]], said: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answered at last, however often its node dies; nothing at all if nobody knows the keys any more."""
        until = self._machine.time.wall() + KEYS_LAST_NS
        while True:
            answer = await self._ask("send", drafts=drafts)
            if answer is not None:
                if answer["ok"]:
                    results: list[dict[str, Any]] = answer["data"]["results"]
                    if not any(not one["ok"] and one["error"]["code"] == "node_stopped" for one in results):
                        return results
                elif answer["error"]["code"] not in NO_ROOM:
                    return [answer] * len(drafts)
            await sleep(AGAIN_SECONDS)
            if self._machine.time.wall() > until:
                self._said.note_all("submit_unknown", said)
                return []
            self._said.note_all("submit_call", said)

    async def _ask(self, verb: str, **args: Any) -> dict[str, Any] | None:
        with trio.move_on_after(ANSWER_SECONDS), suppress(Down):
            return await self._machine.answer(verb, **args)
        return None


class Actor:
    """One mailbox and who reads it, by the machine's own files."""

    def __init__(self, machine: Machine, name: str, said: Writer, chance: Chance, *, looks: float) -> None:
        """It looks every so many seconds for what came, half as often or half as seldom."""
        self._machine, self._name, self._said, self._chance, self._looks = machine, name, said, chance, looks
        self.habits = Habits()

    async def take(self) -> None:
        while True:
            await sleep(self._looks * (0.5 + self._chance.fraction()))
            if self.habits.hangs or not (self._machine.is_up or self._goes_on):
                continue
            try:
                if not self._machine.is_up:
                    self._take_alone()
                    continue
                with trio.move_on_after(ANSWER_SECONDS):
                    await self._turn()
            except (Down, Died, FileNotFoundError, HostileFile):
                continue

    async def _turn(self) -> None:
        if self.habits.lies:
            await self._lie()
        with _Folders(self._machine, self._name) as at:
            for place in ("claimed", "inbox"):
                names = [one for one in at.names(place) if not one.startswith(".")]
                for first in range(0, len(names), IN_HAND):
                    await self._take(at, place, names[first : first + IN_HAND])

    async def _take(self, at: _Folders, place: str, names: Sequence[str]) -> None:
        answer = await self._machine.answer("claim", actor=self._name, files=list(names))
        if not answer["ok"]:
            return
        states = answer["data"]["files"]
        mine = [name for name in names if states[name] == "ok" and at.move(name, place, "claimed")]
        self._may_die()
        read = [(name, one) for name in mine if (one := self._read(at, name)) is not None]
        for name in (one for one in names if states[one] == "taken"):
            at.move(name, place, "archive")
        if not read:
            return
        self._said.note_all("claim", [self._shown(one) for _, one in read])
        self._may_die()
        if self._chance.fraction() < 0.01:  # it thinks
            await sleep(5 * self._chance.fraction())
        mine = [name for name, _ in read]
        answer = await self._machine.answer("ack", actor=self._name, ids=mine)
        if not answer["ok"]:
            return
        taken = set(answer["data"]["taken"])
        self._said.note_all("archive", [self._which(one) for name, one in read if name in taken])
        self._may_die()
        for name in mine:
            if name in taken:
                at.move(name, "claimed", "archive")

    @property
    def _goes_on(self) -> bool:
        return self.habits.alone and not self._machine.is_off

    def _take_alone(self) -> None:
        """As a drain does while its node is down: that moves what it has shown, and the node finds it there."""
        with _Folders(self._machine, self._name) as at:
            for place in ("claimed", "inbox"):
                for name in [one for one in at.names(place) if not one.startswith(".")]:
                    one = self._read(at, name) if at.move(name, place, "claimed") else None
                    if one is None:
                        continue
                    self._said.note_all("claim", [self._shown(one)])
                    self._may_die()
                    at.move(name, "claimed", "archive")

    def _which(self, one: FileEnvelope) -> dict[str, Any]:
        return {"id": one.id, "origin": one.proof.origin.hex() if one.proof else self._machine.name}

    def _shown(self, one: FileEnvelope) -> dict[str, Any]:
        return {**self._which(one), "dest": f"{self._name}@{self._machine.name}", "value": digest(one.text)}

    def _read(self, at: _Folders, name: str) -> FileEnvelope | None:
        """What is no envelope goes to quarantine, as a drain does it."""
        try:
            return read_file(at.read("claimed", name))
        except Invalid as invalid:
            at.put_away(name, invalid.code, invalid.sentence)
            return None

    def _may_die(self) -> None:
        if self.habits.dies and self._chance.fraction() < 0.3:
            raise Died

    async def _lie(self) -> None:
        """Says that it has what it never got, gives back what it never had, speaks as another."""
        answers: list[Callable[[], Awaitable[Any]]] = [
            lambda: self._machine.answer("ack", actor=self._name, ids=["never-there"]),
            lambda: self._machine.answer("release", actor=self._name, files=["never-there.json"]),
            lambda: self._machine.answer(
                "send", by=self._name, to="agent0@netsky0", text="from another", **{"from": "agent9@netsky0"}
            ),
        ]
        await answers[int(self._chance.fraction() * len(answers))]()


class _Folders:
    """An actor's folders, by the files of its machine: so a lost power undoes what it did as well."""

    def __init__(self, machine: Machine, actor: str) -> None:
        self._files = machine.files
        self._path = machine.home.channel(actor)
        self._open: dict[str, int] = {}
        self._disk = machine.disk
        self._cuts = 0 if self._disk is None else self._disk.cuts

    def __enter__(self) -> Self:
        self._open["."] = self._files.open_folder(self._path)
        for name in ("inbox", "claimed", "archive", "quarantine"):
            self._open[name] = self._files.open_folder(name, self._open["."])
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._files.close(self._open.popitem()[1])

    def names(self, place: str) -> list[str]:
        return self._files.names(self._open[place], 1_000)

    def read(self, place: str, name: str) -> bytes:
        self._may_be_dead()
        return self._files.read(self._open[place], name, FILE_BYTES_MAX)

    def put_away(self, name: str, reason: str, sentence: str) -> None:
        put_away(self._files, self._open["claimed"], name, self._open["quarantine"], reason=reason, sentence=sentence)

    def move(self, name: str, place: str, to: str) -> bool:
        self._may_be_dead()
        return place == to or self._files.move(self._open[place], name, self._open[to], name)

    def _may_be_dead(self) -> None:
        """Where its machine lost power, it died with it."""
        if self._disk is not None and self._disk.cuts != self._cuts:
            raise Died
