"""Commands of the owner: what is said to the mesh, what it asks, and how it is stopped."""

from netsky.node.cli.table import Argument, Command, Option

_NODES = Option(("--node", "--nodes"), "this one, by name or label; may be repeated", value="NAME", form="words")
_ALL = Option(("--all",), "every node of the mesh, netsky0 first; for halt also those that join later")
_WAIT = Option(("--timeout",), "wait so long for the answers (30s if not said)", value="DURATION", form="duration")

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
    Command(
        ("halt",),
        "end all work now, and take no new work until resume",
        "netsky.node.cli.halt:halt",
        "owner",
        ("netsky halt", "netsky halt --all --reason 'the bill'", "netsky halt --node netsky2"),
        options=(
            _NODES,
            _ALL,
            Option(("--reason",), "why, in a line: it stands in every refusal", value="TEXT"),
            _WAIT,
        ),
        description="Without --node and --all: this node alone, which its operator may always do. Other nodes are "
        "halted from netsky0. Programs are ended with all that they started; what they held goes back into their "
        "inboxes. Exit 6 when some have not answered: the order waits for them. More: netsky help halt.",
    ),
    Command(
        ("resume",),
        "let halted nodes go on",
        "netsky.node.cli.halt:resume",
        "owner",
        ("netsky resume", "netsky resume --all", "netsky resume --node netsky2"),
        options=(_NODES, _ALL, _WAIT),
        description="Programs start again, and what waits is handed out. What netsky0 halted only netsky0 lets go on; "
        "what a node's own operator halted, only he.",
    ),
)
