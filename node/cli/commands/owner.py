"""Commands of the owner: what is said to the mesh, what it asks, and how it is stopped."""

from netsky.node.cli.table import Command

COMMANDS: tuple[Command, ...] = ()
