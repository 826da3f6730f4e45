"""Verbs about actors: add, remove, list, and where their logs are. Only the operator may call them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsky.envelope.address import parse_address
from netsky.node.actors.limits import (
    COMMAND_BYTES_MAX,
    COMMAND_WORDS_MAX,
    ENVIRONMENT_MAX,
    READABLE_MAX,
    TIMEOUT_SECONDS,
    TIMEOUT_SECONDS_MAX,
)
from netsky.node.actors.wanted import wanted_row
from netsky.node.db.actors import Scope
from netsky.node.errors import Usage
from netsky.node.seams.files import HostileFile
from netsky.node.work.cell.limits import HOSTS_MAX

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.verbs.args import Args

_MODES = ("resident", "per_envelope", "none")
_TAIL_BYTES = 256 * 1024
_LINES_MAX = 10_000


async def agent_add(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001 - the form of a verb
    name = local_name(args.text("actor"))
    command = args.texts("command", COMMAND_WORDS_MAX, needed=False)
    mode = args.maybe_text("mode") or ("resident" if command else "none")
    manager = args.maybe_text("manager")
    unfenced = args.flag("unfenced")
    confirm = args.maybe_text("confirm")
    environment = _environment(args.mapping("environment") or {})
    cwd = args.maybe_text("cwd") or ""
    timeout = args.whole("timeout", TIMEOUT_SECONDS, 1, TIMEOUT_SECONDS_MAX)
    scope = _scope(args)
    args.nothing_else()
    _check(name, mode, command, cwd)
    wanted = wanted_row(
        name,
        command=command,
        mode=mode,
        manager=None if manager is None else local_name(manager),
        unfenced=unfenced,
        environment=environment,
        cwd=cwd,
        timeout=timeout,
        now=node.now(),
        scope=scope,
    )
    row, changed = await node.actors.add(wanted, confirm)
    return {"actor": row.name, "mode": row.mode, "manager": row.manager, "fenced": row.fenced, "changed": changed} | (
        {} if row.scope is None else {"sandboxed": True}
    )


async def agent_rm(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    name = local_name(args.text("actor"))
    args.nothing_else()
    await node.actors.remove(name)
    return {"actor": name, "channel": node.home.channel(name)}


async def agent_ls(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    args.nothing_else()
    return {
        "actors": node.actors.states(),
        "fence": node.actors.fence,
        "fence_missing": node.actors.fence_missing,
    }


async def agent_kill(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """For a drill: its program dies as in a crash. The operator alone."""
    name = local_name(args.text("actor"))
    args.nothing_else()
    pid = node.actors.kill(name)
    node.log.event("actor.killed", level="warn", actor=name, pid=pid, reason="a drill")
    return {"actor": name, "pid": pid}


async def agent_logs(node: Node, caller: Caller, args: Args) -> dict[str, Any]:  # noqa: ARG001
    name = local_name(args.text("actor"))
    lines = args.whole("lines", 50, 0, _LINES_MAX)
    args.nothing_else()
    node.actors.row(name)
    path = node.actors.log_path(name)
    files = node.seams.files
    folder = files.open_folder(node.home.logs)
    try:
        data = files.read(folder, path.rpartition("/")[2], 1 << 26)
    except (FileNotFoundError, HostileFile):
        data = b""
    finally:
        files.close(folder)
    shown = data[-_TAIL_BYTES:].decode("utf-8", "replace").splitlines()
    return {"actor": name, "path": path, "lines": shown[max(0, len(shown) - lines) :]}


def local_name(text: str) -> str:
    """An actor of this node, in the one spelling. Invalid becomes the caller's error at the socket."""
    address = parse_address(text)
    if address.node is not None:
        raise Usage(f"{text}: actors are added on their own node", next="leave the part from @ on away")
    return address.actor


def _scope(args: Args) -> Scope | None:
    hosts = tuple(args.texts("hosts", HOSTS_MAX, needed=False))
    readable = tuple(args.texts("readable", READABLE_MAX, needed=False))
    if args.flag("sandbox"):
        for path in readable:
            if not path.startswith("/") or "\0" in path:
                raise Usage(f"{path!r} is not a whole path", next="--readable FOLDER", code="bad_argument")
        return Scope(hosts, readable)
    if hosts or readable:
        said = "hosts and folders are named for a sandbox: without one it has the network and your files"
        raise Usage(said, next="--sandbox, or leave them away", code="bad_argument")
    return None


def _environment(found: dict[str, Any]) -> dict[str, str]:
    if len(found) > ENVIRONMENT_MAX:
        raise Usage(f"{len(found)} variables, at most {ENVIRONMENT_MAX} are taken", next="netsky help environment")
    for name, value in found.items():
        if not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
            raise Usage(f"{name!r} is not a variable with a text", next="--env NAME=VALUE", code="bad_argument")
        if name.startswith("NETSKY_"):
            raise Usage(f"{name}: names with NETSKY_ are set by the node", next="netsky help environment")
    return found


def _check(name: str, mode: str, command: list[str], cwd: str) -> None:
    if mode not in _MODES:
        raise Usage(f"mode {mode!r} is none of {', '.join(_MODES)}", next="netsky help actors", code="bad_argument")
    if (mode == "none") != (not command):
        need = "takes no program" if command else "needs a program"
        raise Usage(f"mode {mode} {need}", next=f"netsky agent add {name} -- PROGRAM", code="bad_argument")
    if sum(len(word.encode("utf-8", "surrogatepass")) for word in command) > COMMAND_BYTES_MAX or any(
        not word.isprintable() and "\0" in word for word in command
    ):
        raise Usage("the command is too long, or holds a NUL", next="put it into a script", code="bad_argument")
    if cwd and not cwd.startswith("/"):
        raise Usage(f"the folder {cwd!r} is not a whole path", next="--cwd FOLDER", code="bad_argument")
