"""Who is asking: decided by the socket that was connected to, never by anything that was said on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Caller:
    kind: Literal["operator", "actor"]
    actor: str | None = None
    fenced: bool = False

    def __post_init__(self) -> None:
        assert (self.kind == "actor") == (self.actor is not None)

    @property
    def is_operator(self) -> bool:
        return self.kind == "operator"

    @property
    def name(self) -> str:
        """For logs and rows: the actor, or "operator"."""
        return self.actor or "operator"


OPERATOR = Caller("operator")
