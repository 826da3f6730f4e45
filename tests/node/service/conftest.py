"""A home, and a command run in this process, as for the other commands."""

from tests.node.cli.conftest import _keeps_the_signal_handlers, home, run

__all__ = ["_keeps_the_signal_handlers", "home", "run"]
