"""A history in which everything holds, with something in it for every invariant, to be spoiled in one place at a time.

netsky1 submits four envelopes to netsky0, three to netsky2; the root routes those. One dies, one is shown twice on the
wire, a restart, a backup and a restore of netsky2 lie between.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgpack
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import Statement, encode_batch, leaves, seal
from netsky.mesh.frames import LANE_CHANNELS

Event = dict[str, Any]
SECOND = 10**9
EPOCH = 1_800_000_000 * SECOND
MESH = bytes(16)
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n + 1]) * 32) for n in range(4)]
NAMES = [key.public_key().public_bytes_raw() for key in KEYS]
UP, DOWN = "netsky1>netsky0", "netsky0>netsky2"


class Story:
    """Writes events, a second apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.t = EPOCH
        self._batches = 0

    def note(self, ev: str, node: str, by: str = "node", after: float = 1, **fields: Any) -> Event:
        self.t += int(after * SECOND)
        event = {"t": self.t, "node": node, "boot": 1, "by": by, "ev": ev, **fields}
        self.events.append(event)
        return event

    def sealed(self, *ids: str, signer: int = 1) -> tuple[str, list[str]]:
        """A batch of these, as a proof line; its name and the leaves."""
        statements = [Statement(f"header of {id_}".encode(), b"body") for id_ in ids]
        batch = seal(KEYS[signer].sign, NAMES[signer], "envelope", MESH, statements)
        return self._proof(encode_batch(batch)), [leaf.hex() for leaf in leaves(batch)]

    def routed(
        self, found: list[str], positions: list[int], first: int, *, signer: int = 0, to: int = 2, life: int = 1
    ) -> str:
        every = sha256(b"".join(bytes.fromhex(leaf) for leaf in found)).digest()
        bitmap = sum(1 << at for at in positions).to_bytes(8, "big")
        header = (1, LANE_CHANNELS["work"], life, first, NAMES[to], len(positions), every, bitmap, 1, EPOCH, EPOCH)
        batch = seal(KEYS[signer].sign, NAMES[signer], "route", MESH, [Statement(msgpack.packb(header), b"")])
        return self._proof(encode_batch(batch))

    def _proof(self, data: bytes) -> str:
        self._batches += 1
        name = f"batch{self._batches}"
        self.note("proof", "netsky0", "test", key=name, value=data.hex())
        return name


def crossing(story: Story, link: str, n: int, id_: str, leaf: str, value: Any, *, last: bool, ln: str = "work") -> None:
    """One envelope over one link, up to the ack."""
    sender, _, receiver = link.partition(">")
    at = {"id": id_, "hash": leaf, "origin": "netsky1", "link": link, "ln": ln, "epoch": 1, "n": n}
    story.note("link_tx", sender, **at)
    story.note("link_rx", receiver, **at)
    story.note("accept", receiver, value=value, **at)
    if last:
        story.note("deliver", receiver, **at)
    story.note("link_ack_tx", receiver, link=link, ln=ln, epoch=1, n=n)
    story.note("link_ack_rx", sender, link=link, ln=ln, epoch=1, n=n)


def good() -> list[Event]:
    story = Story()
    note = story.note
    for number in range(3):
        node = f"netsky{number}"
        note("start", node, "test", key=NAMES[number].hex())
        note("trust_set", node, key=NAMES[0].hex(), reason="root", epoch=1)
        for key in NAMES[:3]:
            note("trust_set", node, key=key.hex(), reason="enrolled")
        bounds = {
            "rss_base": 50_000, "rss_per_link": 1_000, "state_cap": 10_000, "wal_cap": 1_000, "fds": 64, "tasks": 50,
            "quarantine": 10,
        }  # fmt: skip
        note("gauge", node, "test", reason="bounds", value=bounds)
        note("gauge", node, "test", reason="base", value={"fds": 20, "tasks": 9, "threads": 3, "children": 0})

    # Up: four to the root's agent0. The second is refused there, the third shown twice.
    name, found = story.sealed("a1", "a2", "a3", "a4")
    for at, id_ in enumerate(("a1", "a2", "a3", "a4")):
        leaf, n = found[at], at + 1
        text = sha256(id_.encode()).hexdigest()[:8]
        note("submit_call", "netsky1", "client", key=id_, dest="agent0@netsky0")
        note(
            "submit_ok", "netsky1", "client", key=id_, id=id_, origin="netsky1", dest="agent0@netsky0", hash=leaf,
            value=text,
        )  # fmt: skip
        if id_ == "a2":
            where = {"id": id_, "hash": leaf, "origin": "netsky1", "link": UP, "ln": "work", "epoch": 1, "n": n}
            note("link_tx", "netsky1", **where)
            note("link_rx", "netsky0", **where)
            note("dead_letter", "netsky0", reason="no_actor", **where)
            note("link_ack_rx", "netsky1", link=UP, ln="work", epoch=1, n=n)
            note("outcome", "netsky1", "client", id=id_, origin="netsky1", reason="dead(no_actor)")
            continue
        crossing(story, UP, n, id_, leaf, {"seal": name}, last=True)
        if id_ == "a3":
            where = {"id": id_, "hash": leaf, "origin": "netsky1", "link": UP, "ln": "work", "epoch": 1, "n": n}
            note("link_rx", "netsky0", **where)
            note("refuse", "netsky0", reason="duplicate", **where)
        note("claim", "netsky0", "actor", id=id_, origin="netsky1", dest="agent0@netsky0", value=text)
        note("archive", "netsky0", "actor", id=id_, origin="netsky1")
        note("outcome", "netsky1", "client", id=id_, origin="netsky1", reason="delivered")

    # Across: two to netsky2 in one route; before the second it restarts.
    name, found = story.sealed("b1", "b2", "b3")
    route = story.routed(found, [0, 2], 1)
    for at, id_ in ((0, "b1"), (2, "b3")):
        if id_ == "b3":
            note("crash", "netsky2", "test")
            note("start", "netsky2", "test")
            note("start", "netsky2", "test", link=DOWN, ln="work", epoch=1, n=1)
            note("fault", "netsky2", "network", key="cut")
            note("heal", "netsky2", "network", key="cut", after=40, value=60)
        note("submit_ok", "netsky1", "client", id=id_, origin="netsky1", dest="agent0@netsky2", hash=found[at])
        crossing(story, UP, 5 if id_ == "b1" else 6, id_, found[at], {"seal": name}, last=False)
        proofs = {"seal": name, "route": route, "expires": EPOCH + 3600 * SECOND}
        crossing(story, DOWN, 1 if id_ == "b1" else 2, id_, found[at], proofs, last=True)
        note("outcome", "netsky1", "client", id=id_, origin="netsky1", reason="delivered")

    # netsky2 is restored to before b3, and gets it again in a new life; b0 was known to netsky2 alone.
    restore(story, found[2], name, found)

    # A client whose answer was cut off, and nothing came of it; a hostile file; pruning; figures.
    note("submit_call", "netsky1", "client", key="lost answer", dest="agent0@netsky0")
    note("submit_unknown", "netsky1", "client", key="lost answer", reason="timeout")
    note("submit_call", "netsky1", "client", key="evil\nname", reason="hostile")
    note("quarantine", "netsky1", key="evil\nname", reason="not_a_file")
    note("prune", "netsky1", id="a1", origin="netsky1", reason="age", after=100, value=60 * SECOND)
    note("prune", "netsky0", id="b1", origin="netsky1", link=DOWN, ln="work", epoch=1, n=1)
    for at in range(3):
        value = {
            "rss": 51_000, "links": 2, "reconnects": at * 1_000, "state": 9_000, "wal": 900, "fds": 40, "tasks": 12,
            "quarantine": 1,
        }  # fmt: skip
        note("gauge", "netsky0", "test", value=value)
    note("gauge", "netsky0", link=UP, value={"received": 8, "accepted": 6, "duplicate": 1, "refused": {"no_actor": 1}})
    for _ in range(2):
        note("gauge", "netsky0", "test", reason="idle", value={"state": 9_000})
    drained = {"fds": 20, "tasks": 9, "threads": 3, "children": 0}
    note("gauge", "netsky0", "test", reason="drained", value=drained)
    return story.events


def restore(story: Story, leaf: str, name: str, found: list[str]) -> None:
    note = story.note
    at = next(place for place, event in enumerate(story.events) if event["ev"] == "crash")
    backup = {"t": story.events[at]["t"], "node": "netsky2", "boot": 1, "by": "test", "ev": "backup", "key": "monday"}
    story.events.insert(at, backup)
    note("submit_ok", "netsky2", "client", id="b0", origin="netsky2", dest="agent0@netsky0")
    note("crash", "netsky2", "test")
    note("start", "netsky2", "test", reason="restored", key="monday")
    note("start", "netsky2", "test", link=DOWN, ln="work", epoch=1, n=1)
    story.note("proof", "netsky0", "test", key="again", value=again(found))
    where = {"id": "b3", "hash": leaf, "origin": "netsky1", "link": DOWN, "ln": "work", "epoch": 2, "n": 1}
    note("link_tx", "netsky0", **where)
    note("link_rx", "netsky2", **where)
    note("accept", "netsky2", value={"seal": name, "route": "again", "expires": EPOCH + 3600 * SECOND}, **where)
    note("deliver", "netsky2", **where)
    note("link_ack_rx", "netsky0", link=DOWN, ln="work", epoch=2, n=1)


def again(found: list[str]) -> str:
    every = sha256(b"".join(bytes.fromhex(leaf) for leaf in found)).digest()
    header = (1, LANE_CHANNELS["work"], 2, 1, NAMES[2], 1, every, (1 << 2).to_bytes(8, "big"), 1, EPOCH, EPOCH)
    route = seal(KEYS[0].sign, NAMES[0], "route", MESH, [Statement(msgpack.packb(header), b"")])
    return encode_batch(route).hex()
