"""Rare branches ("sometimes"): what a mesh under faults must come to at least once in a campaign, by name.

A campaign that never came to one of these proves nothing about it. Most show in the events themselves; the others a
node tells by a `notice`, or the lab counts them and says so by a gauge with the reason `branches`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from netsky.node.lab.checker.books import Books, Stream
from netsky.node.lab.checker.lines import Event


def _family(name: str, of: Mapping[str, str]) -> dict[str, str]:
    return {f"{name}: {code}": sentence for code, sentence in of.items()}


BY_FAULTS: dict[str, str] = {
    # What clients and actors see.
    "asked again": "a client that got no answer asked again with the same key",
    "answered again": "what had been accepted was asked for once more, and the answer was the same",
    **_family("submit refused", {
        "inbox_full": "the mailbox of a neighbour had no room",
        "disk_low": "the disk had too little room to accept anything",
        "disk_full": "the disk had no room at all",
    }),
    "told by an error file": "an actor was told of the death of its envelope by the node itself",
    "shown again to an actor": "an actor died between reading and saying so, and was shown the same once more",
    "outcome came twice": "the fate of an envelope was known to its origin and came once more",
    "outcome amended": "what was told of an envelope became in doubt by a restore",
    **_family("dead", {
        "authority": "nothing let it pass",
        "dest_revoked": "its destination was taken out of the mesh before it left",
        "expired": "its time was over before it arrived",
        "unknown_actor": "there was no such actor at its destination",
    }),
    **_family("in doubt", {
        "dest_revoked": "its destination was taken out of the mesh while it was on its way",
        "restored": "a machine that had it was put back to an earlier state",
    }),
    # On links.
    "sent again": "what had a number and no ack went out again over a new connection",
    "ack lost": "a connection ended between an ack and its sender, and the next hello said the same",
    "came again under another life": "a node took in an envelope once more, after its sender began anew",
    "credit used up": "a sender had as much on its way as it may",
    "credit withdrawn": "a receiver granted nothing any more",
    "hold begun": "a sender was asked to hold back what is for one destination",
    "hold over": "and then no more",
    "roster adopted": "a node took over a newer list of members",
    **_family("link ended", {
        "behind": "the root found that its peer had forgotten what it had said",
        "bye": "the peer said why it ended the link",
        "hello": "the peer opened nothing, or said no hello, in time",
        "restored": "one end had been put back to an earlier state, and began anew",
        "revoked": "the peer was taken out of the mesh",
        "silent": "nothing came for too long",
        "store": "a node could not store what came or goes",
        "stream": "the connection was cut",
        "unreachable": "a dial was not answered",
    }),
    **_family("life raised", {
        "peer_behind": "the peer had forgotten what it had acknowledged",
    }),
    **_family("home restored", {
        "lives": "a node found that its database was older than the lives it had used",
        "proof": "a peer showed a node by its own seal what it had forgotten",
        "restore": "a node was put back by netsky restore and began anew",
        "root": "a node was told by its root that it had forgotten something",
    }),
    "rolled back peer met": "a hello showed that one end had forgotten what it once did",
    "restore learnt": "a node heard that another had been put back",
    # Processes and machines.
    "killed": "a process ended in the middle of what it did",
    "killed between store and ack": "and had stored what its sender did not know yet",
    "killed with frames unjudged": "and had read what it had not stored yet",
    "power lost": "a machine lost what was not synced",
    "restored": "a machine was put back to a backup",
    "restarted with files untaken": "a node came up with mailboxes that no actor had emptied",
    "disk low": "a node had too little room to accept anything",
    "disk recovered": "and then enough again",
    "projection failed": "a file of a mailbox could not be written",
    **_family("quarantined", {
        "link": "a symbolic link lay in an outbox",
        "not_a_file": "a FIFO or a folder lay in an outbox",
        "not_utf8": "a file that is no text lay in an outbox",
    }),
}  # fmt: skip
"""What honest nodes come to when network, disk, clock, processes and people do what they can."""

STAGED: dict[str, str] = {
    # Thousands of envelopes without an outcome, or 256 MiB: more than a run of minutes can pay for.
    **_family("submit refused", {
        "outbox_full": "the outbox had no room",
        "dest_held": "the root had asked to hold back what is for that destination",
        "dest_share_full": "this origin had its share on the way to one destination",
    }),
    # What an honest sender does not do: it waits for the attachment, and for a hold.
    **_family("dead", {
        "attachment_missing": "a file that belonged to it was not there",
        "dest_full": "the root's queue for its destination was full in spite of the hold",
        "inbox_full": "the mailbox at its destination had no room in spite of the hold",
    }),
    # A peer that lies, or a home that is alive twice.
    **_family("link ended", {
        "ack": "something was acknowledged that was never sent",
        "claim": "a seal did not cover what came, or evidence showed nothing",
        "cloned": "a memory that its node has given up was alive",
        "credit": "more came than was granted",
        "frame": "bytes came that are no frame",
        "gap": "numbers were left out",
        "route": "a route did not fit",
    }),
    **_family("refused", {
        "damaged": "what was sealed could not be read",
        "destination_other": "it was for another node",
        "lane_wrong": "its kind goes another lane",
        "origin_mismatch": "its header named another origin than its seal",
        "origin_not_peer": "a sibling brought what another had sealed",
        "origin_revoked": "its origin was taken out of the mesh",
        "origin_unknown": "nobody knew its origin",
        "seal_invalid": "its seal was not valid",
        "sender_name": "its sender called itself by another name",
    }),
    **_family("stream frozen", {
        "cloned": "a copy of a home met the mesh",
        "diverged": "two homes had sent two things under one number",
    }),
    "duplicate refused": "bytes that had been decided on before were shown once more",
    **_family("life raised", {
        "damaged": "one frame was refused three times",
        "peer_restored": "a stream was frozen for a copy of its home, and a person decided which of them goes on",
    }),
    "outcome disbelieved": "somebody told a fate that was not his to tell",
}  # fmt: skip
"""What no draw of faults comes to, for the reason above it; tests stage it, and `test_branches.py` says which."""

BRANCHES = BY_FAULTS | STAGED

_NOTICES = {
    "sent_again": "sent again",
    "credit_used_up": "credit used up",
    "credit_withdrawn": "credit withdrawn",
    "hold_begun": "hold begun",
    "hold_over": "hold over",
    "rolled_back": "rolled back peer met",
    "roster": "roster adopted",
    "link_restored": "restore learnt",
    "disbelieved": "outcome disbelieved",
    "disk_low": "disk low",
    "disk_recovered": "disk recovered",
    "projection_failed": "projection failed",
}
_FAMILIES = {
    "link_down": "link ended",
    "frozen": "stream frozen",
    "restored": "home restored",
    "quarantined": "quarantined",
}


class Branches:
    """Counts them; each event is looked at before the books know it."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._counts: dict[str, int] = dict.fromkeys(BRANCHES, 0)
        self._untaken: dict[str, int] = {}  # by node: delivered, and not in an archive yet
        self._unheard: dict[int, int] = {}  # by stream: consumed when its connection ended, and no ack heard

    def looking(self) -> dict[str, Callable[[Event], None]]:
        """By the kinds of events that matter here."""
        return {
            "submit_call": self._asked, "submit_refused": self._submit_refused, "submit_ok": self._submitted,
            "outcome": self._outcome, "claim": self._claim, "archive": self._archive, "deliver": self._deliver,
            "accept": self._accept, "refuse": self._refuse, "link_ack_rx": self._acked, "notice": self._notice,
            "epoch_bump": self._raised, "crash": self._died, "power_cut": self._died, "start": self._start,
            "gauge": self._gauge,
        }  # fmt: skip

    def reached(self) -> dict[str, int]:
        return dict(self._counts)

    def _count(self, name: str, times: int = 1) -> None:
        self._counts[name] = self._counts.get(name, 0) + times

    # Clients and actors.

    def _asked(self, event: Event) -> None:
        if (event["node"], event.get("key", "")) in self._books.unanswered:
            self._count("asked again")

    def _submit_refused(self, event: Event) -> None:
        self._count(f"submit refused: {event.get('reason')}")

    def _submitted(self, event: Event) -> None:
        if event.get("reason") == "daemon":
            self._count("told by an error file")
        elif self._books.envelope(event).submitted:
            self._count("answered again")

    def _outcome(self, event: Event) -> None:
        envelope, told = self._books.envelope(event), event.get("reason", "")
        if event.get("by") == "node" and "link" in event:
            origin = event["origin"]
            if envelope.word and self._books.names.get(origin, origin) == event["node"]:
                self._count("outcome came twice")
            return
        if envelope.outcome == told:
            return
        if envelope.outcome:
            self._count("outcome amended")
        if told != "delivered":
            fate, _, code = told.rstrip(")").partition("(")
            self._count(f"{fate.replace('_', ' ')}: {code}")

    def _claim(self, event: Event) -> None:
        envelope = self._books.envelope(event)
        if envelope.claimed and not envelope.archived:
            self._count("shown again to an actor")

    def _deliver(self, event: Event) -> None:
        self._untaken[event["node"]] = self._untaken.get(event["node"], 0) + 1

    def _archive(self, event: Event) -> None:
        self._untaken[event["node"]] = self._untaken.get(event["node"], 0) - 1

    # Links.

    def _accept(self, event: Event) -> None:
        if any(kind == "accept" for _, kind, _ in self._books.envelope(event).decisions(event["node"])):
            self._count("came again under another life")

    def _refuse(self, event: Event) -> None:
        code = event.get("reason")
        self._count("duplicate refused" if code == "duplicate" else f"refused: {code}")

    def _acked(self, event: Event) -> None:
        if not self._unheard:
            return
        stream = self._books.stream(event)
        if event["n"] > stream.acked and self._unheard.pop(id(stream), 0) >= event["n"]:
            self._count("ack lost")

    def _notice(self, event: Event) -> None:
        what, code = event.get("key", ""), event.get("reason", "")
        if what in _NOTICES:
            self._count(_NOTICES[what])
        elif what in _FAMILIES:
            self._count(f"{_FAMILIES[what]}: {code}")
        if what == "link_down" and "link" in event:
            for stream in self._between(event["link"]):
                if stream.sender == event["node"] and stream.mark > stream.acked:
                    self._unheard[id(stream)] = stream.mark

    def _between(self, link: str) -> list[Stream]:
        one, _, other = link.partition(">")
        links = {f"{one}>{other}", f"{other}>{one}"}
        return [stream for name, stream in self._books.streams.items() if name[0] in links]

    def _raised(self, event: Event) -> None:
        self._count(f"life raised: {event.get('reason')}")

    # Processes and machines.

    def _died(self, event: Event) -> None:
        self._count("killed" if event["ev"] == "crash" else "power lost")
        mine = [stream for stream in self._books.streams.values() if stream.receiver == event["node"]]
        if any(stream.mark > stream.acked for stream in mine):
            self._count("killed between store and ack")
        if any(stream.received > stream.decided for stream in mine):
            self._count("killed with frames unjudged")

    def _start(self, event: Event) -> None:
        if event.get("reason") == "restored":
            self._count("restored")
        elif event.get("by") == "node" and "link" not in event and self._untaken.get(event["node"], 0) > 0:
            self._count("restarted with files untaken")

    def _gauge(self, event: Event) -> None:
        if event.get("reason") == "branches":
            for name, times in event["value"].items():
                self._count(name, times)
