"""Commands of the mesh."""

from netsky.node.cli.table import Argument, Command, Option

COMMANDS = (
    Command(
        ("invite",),
        "let one more machine join: prints what to type there",
        "netsky.node.cli.invite:invite",
        "mesh",
        (
            "netsky invite studio-mac",
            "netsky invite build-box --capability gpu --capability docker --hold",
            "netsky invite laptop --ticket-file laptop.ticket",
        ),
        arguments=(Argument("LABEL", "what you call the machine"),),
        options=(
            Option(("--capability",), "a word for what it can do; may be repeated", value="WORD", form="words"),
            Option(("--hold",), "enrol it only after netsky approve, when you have compared the words"),
            Option(
                ("--ticket-file",),
                "write the ticket there (readable by you alone) instead of showing it",
                value="FILE",
                completes="file",
            ),
        ),
        description="On the root. The ticket is for one machine and one hour; whoever has it can join in your place, "
        "so send it as you would send a password. A new invite of the same label withdraws the old one.",
    ),
    Command(
        ("join",),
        "make this machine a node of somebody's mesh",
        "netsky.node.cli.join:join",
        "mesh",
        ("netsky join TICKET", "netsky join --ticket-file laptop.ticket --yes"),
        arguments=(Argument("TICKET", "the line from netsky invite", many="optional"),),
        options=(
            Option(("--ticket-file",), "read the ticket from there", value="FILE", completes="file"),
            Option(("--yes",), "do not ask whether you mean it"),
            Option(("--timeout",), "wait so long for an approval (1h if not said)", value="DURATION", form="duration"),
        ),
        description="It says first whose mesh it is. Joining means that its root may start programs here, as you. "
        "A home is made if there is none. The node must be down: netsky down. Typed again it goes on where it was.",
    ),
    Command(
        ("approve",),
        "let a machine in that waits to join, or refuse it",
        "netsky.node.cli.nodes:approve",
        "mesh",
        ("netsky approve build-box", "netsky approve netsky3 --refuse"),
        arguments=(Argument("NAME", "its name or label, as netsky nodes shows it"),),
        options=(Option(("--refuse",), "do not let it in; its ticket is used up"),),
        description="Compare first: the six words in netsky nodes and those on the other screen must be the same.",
    ),
    Command(
        ("nodes",),
        "who is in this mesh, who waits, who was turned away",
        "netsky.node.cli.nodes:nodes",
        "mesh",
        ("netsky nodes", "netsky --json nodes"),
    ),
    Command(
        ("revoke",),
        "take a machine out of the mesh, at once and for good",
        "netsky.node.cli.nodes:revoke",
        "mesh",
        ("netsky revoke netsky2", "netsky revoke netsky2 --yes"),
        arguments=(Argument("NAME", "its name or label"),),
        options=(Option(("--yes",), "do not ask for the name again"),),
        description="On the root. Its key never comes back; the machine can join as another node, from a new home.",
    ),
)
