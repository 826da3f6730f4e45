"""Commands of the actors."""

from netsky.node.actors.limits import TIMEOUT_SECONDS_MAX
from netsky.node.cli.table import Argument, Command, Option

_ACTOR = Argument("ACTOR", "agent1, worker3, …", completes="actor")

COMMANDS = (
    Command(
        ("agent", "add"),
        "add an actor, with a program or without",
        "netsky.node.cli.agent:add",
        "actors",
        (
            "netsky agent add worker1 -- python handle.py",
            "netsky agent add worker2 --mode per-envelope -- ./count-lines",
            "netsky agent add worker3 --mode per-envelope --sandbox -- ./count-lines",
            "netsky agent add agent4",
        ),
        arguments=(Argument("ACTOR", "agent<N> is a manager, worker<N> a worker (netsky help actors)"),),
        options=(
            Option(
                ("--mode",),
                "resident: runs always; per-envelope: started for each; none: no program",
                value="MODE",
                choices=("resident", "per-envelope", "none"),
            ),
            Option(("--manager",), "whom a worker reports to (agent0 if not said)", value="ACTOR", completes="actor"),
            Option(
                ("--env",), "an environment variable of the program; may be repeated", value="NAME=VALUE", form="pairs"
            ),
            Option(("--cwd",), "the folder that the program starts in", value="FOLDER", completes="file"),
            Option(
                ("--timeout",),
                "per-envelope: end it after this long (30m if not said)",
                value="DURATION",
                form="duration",
                least=1,
                most=TIMEOUT_SECONDS_MAX,
            ),
            Option(("--sandbox",), "per-envelope: in the sandbox of tasks: its folder, no network (netsky help trust)"),
            Option(("--host",), "with --sandbox: what it may reach; may be repeated", value="HOST:PORT", form="words"),
            Option(
                ("--readable",),
                "with --sandbox: what it may read beside the system; may be repeated",
                value="PATH",
                form="words",
                completes="file",
            ),
            Option(("--unfenced",), "without the fence: it then counts as you (netsky help trust)"),
            Option(("--confirm",), "the same ACTOR once more: --unfenced on the root asks for it", value="ACTOR"),
        ),
        rest="command",
    ),
    Command(
        ("agent", "ls"),
        "the actors of this node",
        "netsky.node.cli.agent:ls",
        "actors",
        ("netsky agent ls",),
    ),
    Command(
        ("agent", "rm"),
        "end an actor's program and remove the actor",
        "netsky.node.cli.agent:rm",
        "actors",
        ("netsky agent rm worker1",),
        arguments=(_ACTOR,),
        description="Its channel folder and everything in it stay where they are.",
    ),
    Command(
        ("agent", "logs"),
        "what an actor's program wrote",
        "netsky.node.cli.agent:logs",
        "actors",
        ("netsky agent logs worker1", "netsky agent logs worker1 --follow"),
        arguments=(_ACTOR,),
        options=(
            Option(("--follow",), "stay and show what comes"),
            Option(("--lines",), "the last N lines (50 if not said)", value="N", form="count"),
        ),
    ),
)
