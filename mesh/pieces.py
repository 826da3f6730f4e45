"""Cuts a batch so that each piece fits a frame: the same batch, the same seal, the rest of it as bare leaves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from netsky.envelope.batch import Batch, Statement
from netsky.mesh.limits import CLAIM_BYTES_MAX, DATA_FRAME_BYTES_MAX, STATEMENT_BYTES_OVER

FRAME_BYTES_OVER = CLAIM_BYTES_MAX + 6 * STATEMENT_BYTES_OVER
"""What a data frame takes beside its statements or outcomes: the seal, the head of the batch, the lengths."""


def full_positions(batch: Batch) -> list[int]:
    return [at for at, statement in enumerate(batch.statements) if isinstance(statement, Statement)]


def statement_size(batch: Batch, position: int) -> int:
    statement = batch.statements[position]
    assert isinstance(statement, Statement)
    return len(statement.header) + len(statement.body) + STATEMENT_BYTES_OVER


def cut(batch: Batch) -> list[list[int]]:
    """The positions of the full statements, in as few pieces as fit."""
    budget = DATA_FRAME_BYTES_MAX - FRAME_BYTES_OVER - STATEMENT_BYTES_OVER * len(batch.statements)
    pieces: list[list[int]] = []
    filled = budget
    for at in full_positions(batch):
        size = statement_size(batch, at)
        if filled + size > budget:
            pieces.append([])
            filled = 0
        pieces[-1].append(at)
        filled += size
    return pieces


def with_only(batch: Batch, leaves: Sequence[bytes], positions: Collection[int]) -> Batch:
    """The same batch with every other statement as its leaf."""
    return replace(
        batch,
        statements=tuple(statement if at in positions else leaves[at] for at, statement in enumerate(batch.statements)),
    )
