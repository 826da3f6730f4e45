"""Commands of who watches and what is done about it."""

from netsky.node.cli.table import Command

COMMANDS: tuple[Command, ...] = ()
