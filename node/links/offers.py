"""What may go out to a peer next, one frame each: fates first, then envelopes, fair over the nodes they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from netsky.envelope.batch import VERSION, Batch, decode_batch
from netsky.envelope.batch import Statement as Stated
from netsky.envelope.kinds import Lane
from netsky.mesh.frames import LEAF_BYTES
from netsky.mesh.offer import Offer, Wanted
from netsky.mesh.outcome import unpack_outcomes
from netsky.mesh.pieces import cut, with_only
from netsky.node.db import answers, flight, forward, messages, outbox
from netsky.node.db.group import GroupCommit
from netsky.node.links.aside import ROWS_MAX as ASIDE_ROWS_MAX
from netsky.node.links.aside import Aside
from netsky.node.links.holding import HeldHere
from netsky.node.seams.ledger import Row
from netsky.relay.fair import Fair, Head, Room

ROWS_MAX = 256
"""Outbox rows read at once: four batches, a commit's worth."""

FRAMES_MAX = 16
"""Frames given to a link at once: one commit numbers them all."""


class Offers:
    """Of one peer, on one node. `is_root` has a forward queue beside its own outbox."""

    def __init__(self, peer: bytes, me: bytes, group: GroupCommit, *, is_root: bool) -> None:
        self._peer = peer
        self._me = me
        self._group = group
        self._is_root = is_root
        self.aside = Aside()
        self._fair: dict[Lane, Fair] = {"reply": Fair(), "work": Fair()}

    async def again(self, lane: Lane, wanted: Wanted) -> list[Offer]:
        """What has numbers and went out on an earlier connection, under the seals of then."""
        assert wanted.first is not None
        [found] = await self._group.read([flight.from_number(self._peer, lane, wanted.life, wanted.first, FRAMES_MAX)])
        offers: list[Offer] = []
        for row in flight.rows(found):
            match row.source:
                case "own":
                    [own] = await self._group.read([outbox.by_seqs(row.rows)])
                    made = await self._own(outbox.rows(own))
                case "forward":
                    made = await self._forward(row.rows)
                case _:
                    made = await self._outcomes(row.rows)
            [offer] = made  # a frame is kept as it was sent
            offers.append(
                Offer(offer.source, row.rows, offer.batch, offer.outcomes, row.first, row.seal, offer.received)
            )
        return offers

    async def new(self, lane: Lane, wanted: Wanted, held: HeldHere) -> list[Offer]:
        """What has no number yet."""
        nodes, actors = held
        kept = outbox.Kept(sorted(nodes), sorted(actors), self.aside.ready(lane, "own"))
        ready = self.aside.ready(lane, "forward")
        looks = [
            outbox.open_entries(self._peer, lane, min(ROWS_MAX, wanted.envelopes), kept),
            outbox.aside(self._peer, lane, ASIDE_ROWS_MAX, kept),
            *((forward.origins(self._peer, lane),) if self._is_root else ()),
            *((forward.aside(self._peer, lane, ASIDE_ROWS_MAX, kept.actors),) if self._is_root else ()),
            *((answers.open_of(self._peer, FRAMES_MAX // 2),) if lane == "reply" else ()),
        ]
        found = await self._group.read(looks)  # all of them at once: nearly always there is nothing, or little
        self.aside.found(lane, "own", found[1])
        fates = _outcome_offers(found[-1]) if lane == "reply" else []
        room = Room(wanted.envelopes, wanted.bytes, FRAMES_MAX - len(fates))
        mine = await self._own(outbox.rows(found[0]))
        if not self._is_root:
            return _within([*fates, *mine], wanted)
        self.aside.found(lane, "forward", found[3])
        origins = [cast("bytes", origin) for (origin,) in found[2]]
        heads = await self._heads(lane, origins, kept.actors, ready)
        return _within([*fates, *await self._fairly(lane, heads, mine, room)], wanted)

    async def _fairly(
        self, lane: Lane, heads: dict[bytes, list[Head]], mine: Sequence[Offer], room: Room
    ) -> list[Offer]:
        if not heads:
            return list(mine)
        # This node is one origin among the others: its rows are negative here, as places in `mine`.
        heads[self._me] = [Head(-at - 1, len(offer.rows), _size(offer)) for at, offer in enumerate(mine)]
        picked = self._fair[lane].pick(heads, room)
        others = {offer.rows[0]: offer for offer in await self._forward([h.row for h in picked if h.row > 0])}
        return [others[head.row] if head.row > 0 else mine[-head.row - 1] for head in picked]

    async def _heads(
        self, lane: Lane, origins: Sequence[bytes], full: Sequence[str], ready: Sequence[int]
    ) -> dict[bytes, list[Head]]:
        if not origins:
            return {}
        found = await self._group.read(
            [forward.heads(self._peer, lane, origin, FRAMES_MAX, full, ready=ready) for origin in origins]
        )
        return {
            origin: [Head(*cast("tuple[int, int, int]", row)) for row in rows]
            for origin, rows in zip(origins, found, strict=True)
        }

    async def _forward(self, seqs: Sequence[int]) -> list[Offer]:
        if not seqs:
            return []
        [found] = await self._group.read([forward.by_seqs(seqs)])
        return [
            Offer("forward", (row.seq,), decode_batch(row.batch), received=row.received_at)
            for row in forward.rows(found)
        ]

    async def _outcomes(self, seqs: Sequence[int]) -> list[Offer]:
        [found] = await self._group.read([answers.by_seqs(seqs)])
        return _outcome_offers(found)

    async def _own(self, rows: Sequence[outbox.OutboxRow]) -> list[Offer]:
        if not rows:
            return []
        hashes = list(dict.fromkeys(row.seal for row in rows))
        [found] = await self._group.read([messages.seals_by_hash(hashes)])
        sealed = {seal.hash: seal for seal in messages.seals(found)}
        return [offer for neighbours in _neighbours(rows) for offer in _frames(neighbours, sealed[neighbours[0].seal])]


def _neighbours(rows: Sequence[outbox.OutboxRow]) -> list[list[outbox.OutboxRow]]:
    """Rows that follow each other in one batch."""
    groups: list[list[outbox.OutboxRow]] = []
    for row in rows:
        if groups and groups[-1][-1].seal == row.seal and groups[-1][-1].position < row.position:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _frames(rows: Sequence[outbox.OutboxRow], seal: messages.SealRow) -> list[Offer]:
    """Their batch with all others of it as leaves, in as many pieces as it takes."""
    leaves = [seal.leaves[at : at + LEAF_BYTES] for at in range(0, len(seal.leaves), LEAF_BYTES)]
    statements: list[Stated | bytes] = [*leaves]
    at_position = {}
    for row in rows:
        statements[row.position] = Stated(row.header, row.body)
        at_position[row.position] = row
    whole = Batch(VERSION, seal.type, seal.mesh, seal.signer, seal.signature, tuple(statements))
    return [
        Offer(
            "own",
            tuple(at_position[at].seq for at in positions),
            with_only(whole, leaves, positions),
            received=at_position[positions[0]].accepted_at,
            hashed=tuple(leaves),
        )
        for positions in cut(whole)
    ]


def _outcome_offers(found: list[Row]) -> list[Offer]:
    return [Offer("outcomes", (row.seq,), None, unpack_outcomes(row.outcomes)) for row in answers.rows(found)]


def _size(offer: Offer) -> int:
    if offer.batch is None:
        return sum(map(len, offer.outcomes))
    return sum(len(one.header) + len(one.body) for one in offer.batch.statements if isinstance(one, Stated))


def _within(offers: Sequence[Offer], wanted: Wanted) -> list[Offer]:
    """As many from the front as fit: envelopes strictly, of bytes a frame while any room is left."""
    taken: list[Offer] = []
    envelopes, size = wanted.envelopes, wanted.bytes
    for offer in offers:
        envelopes -= _numbers(offer)
        if envelopes < 0 or size <= 0:
            break
        size -= _size(offer)
        taken.append(offer)
    return taken


def _numbers(offer: Offer) -> int:
    """How many numbers it takes."""
    if offer.batch is None:
        return len(offer.outcomes)
    return sum(isinstance(one, Stated) for one in offer.batch.statements)
