"""Commands of what keeps time: the ticker, cron, loops."""

from netsky.node.cli.table import Argument, Command, Option
from netsky.node.schedule.limits import INTERVAL_MOST_S

_TARGET = Argument("TARGET", "agent0 or a manager; on netsky0 also agent0@netsky2", completes="actor")
_PROMPT = Argument("PROMPT", "what it is told each time")
_LABEL = Argument("LABEL", "its name, as netsky cron ls shows it")
_ID = Argument("ID", "its name, as netsky loop ls shows it")

COMMANDS = (
    Command(
        ("tick",),
        "one round of watchdog, schedules and the rest, now",
        "netsky.node.cli.tick:tick",
        "time",
        ("netsky tick",),
        description="The node does one each minute by itself. Exit 1 when a part of it failed.",
    ),
    Command(
        ("cron", "add"),
        "say something to an actor at set times",
        "netsky.node.cli.cron:add",
        "time",
        (
            'netsky cron add nightly "30 3 * * *" agent0 "go through the dead letters"',
            'netsky cron add report "0 9 * * MON-FRI" agent1 "write the report" --tz Europe/Berlin --missed skip',
        ),
        arguments=(
            Argument("LABEL", "a name of yours for it"),
            Argument("SCHEDULE", "five fields, quoted: minute, hour, day of the month, month, day of the week"),
            _TARGET,
            _PROMPT,
        ),
        options=(
            Option(("--tz",), "the time zone (that of this machine if not said)", value="ZONE"),
            Option(
                ("--missed",),
                "what was due while the node was down: the last one (the default), none, or all, the newest 24",
                value="WHICH",
                choices=("last", "skip", "all"),
            ),
        ),
        description="Writes an entry into cron.toml and shows the next three times. An actor may schedule itself; "
        "a worker may not. More: netsky help time.",
    ),
    Command(("cron", "ls"), "what is due when", "netsky.node.cli.cron:ls", "time", ("netsky cron ls",)),
    Command(
        ("cron", "rm"),
        "remove a schedule",
        "netsky.node.cli.cron:rm",
        "time",
        ("netsky cron rm nightly",),
        arguments=(_LABEL,),
        description="Takes the entry out of cron.toml; comments around it stay.",
    ),
    Command(
        ("cron", "tick"),
        "send what is due now, without waiting for the round",
        "netsky.node.cli.cron:tick",
        "time",
        ("netsky cron tick",),
        description="Exit 1 when something could not be sent: netsky cron ls says why.",
    ),
    Command(
        ("cron", "next"),
        "the next times of a schedule, or of all",
        "netsky.node.cli.cron:next_",
        "time",
        ("netsky cron next", "netsky cron next nightly --count 10"),
        arguments=(Argument("LABEL", "one schedule (all if not said)", many="optional"),),
        options=(Option(("--count",), "how many (3 if not said)", value="N", form="count", least=1, most=100),),
    ),
    Command(
        ("loop", "create"),
        "say something to an actor again and again",
        "netsky.node.cli.loop:create",
        "time",
        (
            'netsky loop create 15m "check the next merge window"',
            'netsky loop create dynamic "how is the build?" --to agent1 --id build',
        ),
        arguments=(
            Argument("WHEN", "how often, 1m to 30d; or dynamic: when netsky loop reschedule says so, else after 25m"),
            _PROMPT,
        ),
        options=(
            Option(
                ("--to",),
                "who is told: agent0 (if not said) or a manager; inside an actor: itself",
                value="ACTOR",
                completes="actor",
            ),
            Option(("--id",), "a name of yours for it (loop1, loop2, … if not said)", value="ID"),
        ),
        description="The first time is the next round. More: netsky help time.",
    ),
    Command(("loop", "ls"), "the loops, and when each is due", "netsky.node.cli.loop:ls", "time", ("netsky loop ls",)),
    Command(
        ("loop", "rm"),
        "end a loop",
        "netsky.node.cli.loop:rm",
        "time",
        ("netsky loop rm inbox",),
        arguments=(_ID,),
    ),
    Command(
        ("loop", "tick"),
        "send what is due now, without waiting for the round",
        "netsky.node.cli.loop:tick",
        "time",
        ("netsky loop tick",),
        description="Exit 1 when something could not be sent: netsky loop ls says why.",
    ),
    Command(
        ("loop", "reschedule"),
        "say when a loop is due next",
        "netsky.node.cli.loop:reschedule",
        "time",
        ("netsky loop reschedule watch --in 2h", "netsky loop reschedule watch"),
        arguments=(_ID,),
        options=(
            Option(
                ("--in",),
                "so long from now (25m if not said)",
                value="DURATION",
                form="duration",
                least=1,
                most=INTERVAL_MOST_S,
            ),
        ),
    ),
)
