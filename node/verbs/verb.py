"""What stands in the table of verbs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.verbs.args import Args

Emit = Callable[[dict[str, Any]], Awaitable[None]]
"""Sends one event of a stream; waits while the client does not read."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of the sockets. Whoever is not named may not call it."""

    handler: Callable[[Node, Caller, Args], Awaitable[dict[str, Any]]] | None = None
    stream: Callable[[Node, Caller, Args, Emit], Awaitable[dict[str, Any]]] | None = None
    actors: bool = False
    """May an actor behind its fence call it? The operator may call all."""
    waits: bool = False
    """It takes as long as it was asked to, and ends when the client hangs up; so does any with `wait_s`."""

    booked: bool = False
    """Is each call worth a row of `cli_invocations`? Failures always are."""

    def __post_init__(self) -> None:
        assert (self.handler is None) != (self.stream is None)
