"""Commands of what keeps time: the ticker, cron, loops."""

from netsky.node.cli.table import Command

COMMANDS = (
    Command(
        ("tick",),
        "one round of watchdog, schedules and the rest, now",
        "netsky.node.cli.tick:tick",
        "time",
        ("netsky tick",),
        description="The node does one each minute by itself. Exit 1 when a part of it failed.",
    ),
)
