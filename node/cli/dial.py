"""From a command to its node: which home or socket is meant, and the one connection of this command."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from netsky.node.errors import Refused, Unreachable, Usage

if TYPE_CHECKING:
    from netsky.node.client import Client
    from netsky.node.home import Home

_ID_FORM = re.compile(r"[A-Za-z0-9_.:-]+")
_WHOLE_ID_LETTERS = 26
"""An id of this length is whole: looking it up would cost a round trip for nothing."""


class Dialer:
    """Inside an actor the node is found by NETSKY_SOCKET, everywhere else by its home."""

    def __init__(self, home_option: str | None) -> None:
        self._home_option = home_option
        self._client: Client | None = None

    @property
    def inside_socket(self) -> str | None:
        """The socket of the actor that this command runs in, if it does."""
        return (os.environ.get("NETSKY_SOCKET") or None) if self._home_option is None else None

    @property
    def inside_actor(self) -> str | None:
        """The actor that this command runs in, if it does. Only a label: the node knows it by the socket."""
        return (os.environ.get("NETSKY_ACTOR") or None) if self.inside_socket else None

    @property
    def home(self) -> Home:
        from netsky.node.home import Home  # noqa: PLC0415 - help and completion do without

        return Home.find(self._home_option)

    @property
    def socket_path(self) -> str:
        """Where the node listens for us."""
        return self.inside_socket or self.home.operator_socket

    def client(self) -> Client:
        """The connection, made at the first call. Raises Unreachable with what to type."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> Client:
        from netsky.node.client import Client  # noqa: PLC0415

        try:
            return Client.connect_path(self.socket_path)
        except Unreachable as error:
            if self.inside_socket:
                raise Unreachable(error.message, next="netsky wait ready --timeout 60", code=error.code) from None
            home = self.home
            if not os.path.isdir(home.path):
                raise Unreachable(f"there is no home at {home.path}", next="netsky init", code="no_home") from None
            raise Unreachable(f"the node of {home.path} is not running", next="netsky up", code=error.code) from None

    def client_if_up(self) -> Client | None:
        try:
            return self.client()
        except Unreachable:
            return None

    def call(self, verb: str, /, **args: Any) -> dict[str, Any]:
        return self.client().request(verb, {name: value for name, value in args.items() if value is not None})

    def channel_folder(self, actor: str) -> str:
        """Where the actor's files are: its own folder as the fence shows it, or the one in the home."""
        own = os.environ.get("NETSKY_CHANNEL")
        if own and self.inside_actor == actor:
            return own
        return self.home.channel(actor)

    def blob_path(self, digest: str) -> str | None:
        """Where the store has it, if that can be read from here: behind a fence it cannot, and the node is asked."""
        path = os.path.join(self.home.blobs, digest[:2], digest)
        return path if os.access(path, os.R_OK) else None

    def actor_or_self(self, named: str | None, command: str) -> str:
        """The actor that a command is about: the one named, or the one we are."""
        actor = named or self.inside_actor
        if actor is None:
            raise Usage("say which actor", next=f"netsky {command} agent0")
        actor, inside = local_actor(actor), self.inside_actor
        if inside not in (None, actor):  # as the node says it; its folders may not be there at all behind a fence
            raise Refused(
                f"you are {inside}; the channel of {actor} is not yours", next=f"netsky {command}", code="not_you"
            )
        return actor

    def full_id(self, said: str) -> str:
        """The one id that begins with what was typed. What cannot be looked up is left to the node's verb."""
        if len(said) >= _WHOLE_ID_LETTERS or _ID_FORM.fullmatch(said) is None:
            return said
        after = said[:-1] + chr(ord(said[-1]) + 1)
        try:
            # Of a form that holds no quote.
            sql = f"SELECT DISTINCT id FROM messages WHERE id >= '{said}' AND id < '{after}' LIMIT 4"  # noqa: S608
            found = self.call("query", sql=sql)
        except Refused:
            return said
        ids = [str(row[0]) for row in found["rows"]]
        if said in ids or not ids:
            return said
        if len(ids) > 1:
            raise Usage(
                f"{said} is the beginning of several ids: {', '.join(ids[:3])}{', …' if len(ids) > 3 else ''}",
                next="type more of it",
                code="id_not_unique",
            )
        return ids[0]

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def local_actor(said: str) -> str:
    """The canonical name of an actor of this node, from what a person typed."""
    from netsky.envelope.address import parse_address  # noqa: PLC0415
    from netsky.envelope.invalid import Invalid  # noqa: PLC0415

    try:
        address = parse_address(said)
    except Invalid as wrong:
        raise Usage(wrong.sentence, next="netsky agent ls", code=wrong.code) from None
    if address.node is not None:
        raise Usage(f"{said}: name an actor of this node, without @", next=f"the same with {address.actor}")
    return address.actor
