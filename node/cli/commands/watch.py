"""Commands of who watches and what is done about it."""

from netsky.node.cli.table import Argument, Command, Option

COMMANDS: tuple[Command, ...] = (
    Command(
        ("watchdog",),
        "who moves, who is due, and which alarms stand",
        "netsky.node.cli.watch:watchdog",
        "watch",
        ("netsky watchdog", "netsky --json watchdog"),
        description="agentinfinity looks at every actor once a minute: what waits for it, and whether anything of it "
        "moved. What owes for half an hour and does not move is an alarm; netsky help watchdog says who is told when. "
        "An actor sees itself, agent0 sees all.",
    ),
    Command(
        ("quiet",),
        "say that an actor will not move for a while",
        "netsky.node.cli.watch:quiet",
        "watch",
        (
            'netsky quiet 900 --reason "a long build"',
            "netsky quiet --clear",
            "netsky quiet 1800 --reason lunch --actor agent1",
        ),
        arguments=(Argument("SECONDS", "for how long, 3600 at most", many="optional", is_number=True),),
        options=(
            Option(("--reason",), "why, in one line", value="TEXT"),
            Option(("--actor",), "which one (an actor: itself; you: agent0)", value="ACTOR", completes="actor"),
            Option(("--clear",), "what was declared for it is over"),
        ),
        description="It ends by itself at the time said. Several may stand; the latest end counts. No alarm is raised "
        "and no program is started again for who is quiet. An actor says it of itself alone.",
        primer='with --reason "a long build": before something long and silent',
    ),
)
