"""The tasks of a node, in the order in which they start; they stop in reverse.

node (rest_for_one)
  ledger     group commit; cannot be restarted, so the node ends with it
  reader     the reading connection
  bus        projector, sweep, acknowledgements (one_for_one)
  control    operator.sock and the actors' sockets
  actors     their programs
  links      to other nodes, if there are any
  voices     the actors that are code of the node (one_for_one)
  halt       the lease on routed work, and orders to halt on their way (one_for_one)
  care       config, retention, the ticker, the pager, the lookout for a silent root, restarts of
             actors, the owner's desk (one_for_one)
  work       tickets: the office, the tenant, the floor
  watch      the watchdog: last, so that what restarts the others restarts it too, and nothing restarts for it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from netsky.node.actors.limits import OPEN_SECONDS
from netsky.node.actors.place import STOP_SECONDS
from netsky.node.bus.acks import Acks
from netsky.node.daemon.caller import OPERATOR, Caller
from netsky.node.daemon.care import prune_forever, watch_config
from netsky.node.daemon.control import Called, ControlServer, Desk
from netsky.node.db import observe
from netsky.node.errors import NetskyError
from netsky.node.escalate.lookout import Lookout
from netsky.node.seams.ledger import LedgerBroken
from netsky.node.supervise import Child, MustStop, Strategy, Supervisor, describe
from netsky.node.verbs import TABLE
from netsky.node.verbs.args import Args
from netsky.node.verbs.verb import Emit, Verb

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

Hung = Callable[[str], None]


def grow(node: Node, hung: Hung) -> Supervisor:
    """The supervisor of the whole node; `run` on it is the node's life."""
    children = [
        Child("ledger", lambda: _ledger(node)),
        Child("reader", node.reader.run),
        _branch(node, hung, "bus", bus_children(node)),
        Child("control", lambda ready: _control(node, ready), announces=True),
        Child("actors", node.actors.run, announces=True, start_seconds=30, stop_seconds=12),
    ]
    if node.links is not None:
        children.append(Child("links", node.links.run, announces=True))
    voices = [Child(name, voice.run) for name, voice in node.voices.at_work()]
    children.append(_branch(node, hung, "voices", voices))
    halts = [Child("halting", node.halt.run, stop_seconds=15), Child("orders", node.orders.run)]
    children.append(_branch(node, hung, "halt", halts))
    care = [
        Child("config", lambda: watch_config(node)),
        Child("retention", lambda: prune_forever(node)),
        Child("ticker", node.ticker.run),
        Child("pager", node.pager.run, stop_seconds=12),
        Child("lookout", Lookout(node).run),
        Child("new life", node.life.run, restart="transient"),
        Child("restarts", node.restarts.run, stop_seconds=OPEN_SECONDS + STOP_SECONDS),
    ]
    if node.owner is not None:
        care.append(Child("owner", node.owner.run))
    children.append(_branch(node, hung, "care", care))
    children.append(Child("work", node.work.run))
    children.append(Child("watch", node.watchdog.run))
    return _supervisor(node, hung, "node", children, "rest_for_one")


def bus_children(node: Node) -> list[Child]:
    acks = Acks(node.group, node.signals, node.bus.accept, node.seams)
    return [Child("projector", node.bus.projector.run), Child("sweep", node.bus.run_sweep), Child("acks", acks.run)]


def _branch(node: Node, hung: Hung, name: str, children: Sequence[Child]) -> Child:
    """A supervisor as a child; made anew for each of its lives, so that its count of restarts begins anew."""

    async def start() -> None:
        await _supervisor(node, hung, f"node/{name}", children, "one_for_one").run()

    return Child(name, start, stop_seconds=sum(child.stop_seconds for child in children) + 1)


def _supervisor(node: Node, hung: Hung, name: str, children: Sequence[Child], strategy: Strategy) -> Supervisor:
    return Supervisor(
        name,
        children,
        time=node.seams.time,
        chance=node.seams.chance,
        report=node.crashes.report,
        hung=hung,
        strategy=strategy,
    )


async def _ledger(node: Node) -> None:
    """Whoever waits for a commit could not be told anything true by a second life of this task."""
    try:
        await node.group.run()
    except LedgerBroken:
        raise
    except Exception as mistake:
        raise MustStop(f"the group commit failed: {describe(mistake)}") from mistake


async def _control(node: Node, ready: Callable[[], None]) -> None:
    node.control = ControlServer(node.seams.sockets, _desk(node))
    await node.control.run(ready, [(node.home.operator_socket, OPERATOR)])


_EARLY = frozenset({"ping", "status", "stop", "events", "query"})
"""Verbs that make sense while the node starts. The others wait until it knows its actors: the sockets are open
before, and an actor whose row is not read yet would be told that it does not exist."""


def _desk(node: Node) -> Desk:
    async def run(verb: Verb, caller: Caller, args: Args, emit: Emit) -> dict[str, Any]:
        if args.verb not in _EARLY:
            await node.actors.known()
        if verb.stream is not None:
            return await verb.stream(node, caller, args, emit)
        assert verb.handler is not None
        return await verb.handler(node, caller, args)

    def called(call: Called) -> None:
        verb = TABLE.get(call.verb)
        if call.exit or (verb is not None and verb.booked):
            at, took = node.now(), call.duration_ns
            node.group.ride(
                observe.cli_invoked(at, call.caller.name, call.verb[:64], exit=call.exit, code=call.code, duration=took)
            )

    def crashed(verb: str, error: Exception) -> NetskyError:
        return node.crashes.in_verb(verb, error)

    def hung_up(caller: Caller, why: str) -> None:
        node.log.event("control.hung_up", level="warn", caller=caller.name, why=why)
        node.events.publish("hung_up", caller=caller.name, why=why)

    return Desk(TABLE, run, crashed, called, hung_up, node.seams.time.monotonic)
