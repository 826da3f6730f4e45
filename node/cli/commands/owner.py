"""Commands of the owner: what is said to the mesh, what it asks, and how it is stopped."""

from netsky.node.cli.table import Argument, Command, Option

COMMANDS: tuple[Command, ...] = (
    Command(
        ("escalate",),
        "tell the owner now, by the shortest way",
        "netsky.node.cli.escalate:escalate",
        "owner",
        (
            'netsky escalate "the build box is full"',
            'netsky escalate "disk errors on studio-mac" - < last-lines.log',
            "netsky escalate --test",
        ),
        arguments=(
            Argument("SUBJECT", "one line", many="optional"),
            Argument("BODY", "more text; - reads it from standard input", many="optional"),
        ),
        options=(Option(("--test",), "prove the way with a word that says it is a test"),),
        description="On netsky0 it runs the command under [owner] in config.toml, whatever state the node is in. "
        "On a sibling netsky0 does, and of those only the deputy may. Exit 0 means that the way took it. "
        "More: netsky help escalation.",
        primer="tell the owner what cannot wait, when nobody else can help",
    ),
    Command(
        ("deputy",),
        "who tells the owner when netsky0 falls silent",
        "netsky.node.cli.deputy:deputy",
        "owner",
        ("netsky deputy", "netsky deputy studio-mac", "netsky deputy --none"),
        arguments=(Argument("NAME", "its name or label, as netsky nodes shows it", many="optional"),),
        options=(Option(("--none",), "no machine does"),),
        description="On the root; there is one deputy at most. It needs a command of its own under [owner] in its "
        "config.toml. Without an argument it says who it is.",
    ),
)
