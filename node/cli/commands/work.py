"""Commands of work: runs, tickets, notes."""

from netsky.node.cli.table import Argument, Command, Option
from netsky.node.limits import LIST_ROWS_MAX, WAIT_SECONDS_MAX

_ID = Argument("ID", "a ticket: its id, the beginning of one, or its name where only one run has it")
_RUN = Option(("--run",), "of this run", value="RUN")
_REASON = Option(("--reason",), "why; it stands in the ticket's story", value="TEXT")
_ON = Option(("--on",), "nodes that may have it, the first first: netsky2,netsky1", value="NODES")
_TIMEOUT = Option(
    ("--timeout",),
    "wait so long (7d if not said)",
    value="DURATION",
    form="duration",
    most=WAIT_SECONDS_MAX,
)

COMMANDS = (
    Command(
        ("run",),
        "carry out a plan: tickets, and what comes before what",
        "netsky.node.cli.work:run",
        "work",
        ("netsky run plan.toml", "netsky run plan.toml --no-wait", "netsky run plan.toml --on netsky2,netsky1"),
        arguments=(Argument("PLAN", "a file of TOML, or - for stdin", completes="file"),),
        options=(
            Option(("--no-wait",), "return as soon as it is stored; it goes on by itself"),
            Option(("--check",), "say what is wrong with it, and start nothing"),
            _ON,
            _TIMEOUT,
        ),
        description="Every fault of a plan is said with its line, and then nothing is started. Exit 1 when the run is "
        "blocked in the end, 6 when the time is over; the run goes on whatever becomes of this command. More: netsky "
        "help work.",
    ),
    Command(
        ("task", "add"),
        "one more ticket: of a run, below another, or by itself",
        "netsky.node.cli.work:add",
        "work",
        (
            "netsky task add tidy --title 'tidy the docs'",
            "netsky task add more --run demo-7f3a2c --after build,test",
            "netsky task add part --parent demo-7f3a2c.crawl --needs gpu",
        ),
        arguments=(Argument("NAME", "what it is called within its run"),),
        options=(
            _RUN,
            Option(("--parent",), "below this ticket", value="ID"),
            Option(("--title",), "one line for people", value="TEXT"),
            Option(("--text",), "what is to be done, or - to read it from stdin", value="TEXT"),
            Option(("--after",), "names of tickets of the same run that come before it", value="NAMES"),
            Option(("--needs",), "labels that its node must have", value="LABELS"),
            _ON,
            Option(("--key",), "its idempotency key", value="KEY"),
        ),
        description="It does nothing by itself (the runtime noop) unless a command stands behind --.",
        rest="command",
    ),
    Command(
        ("task", "ls"),
        "tickets and runs",
        "netsky.node.cli.work:ls",
        "work",
        ("netsky task ls --open", "netsky task ls --owner agent0 --open", "netsky task ls --run demo-7f3a2c"),
        options=(
            _RUN,
            Option(("--owner",), "those where this actor has the ball", value="ACTOR", completes="actor"),
            Option(("--state",), "in this state", value="STATE"),
            Option(("--open",), "those that have not ended"),
            Option(("--runs",), "the runs alone"),
            Option(("--limit",), "at most N (100)", value="N", form="count", least=1, most=LIST_ROWS_MAX),
        ),
        description="`--owner ME --open` is what an actor asks that has just come back: what it was about.",
    ),
    Command(
        ("task", "show"),
        "the story of a ticket, and what comes next",
        "netsky.node.cli.work:show",
        "work",
        ("netsky task show demo-7f3a2c.build", "netsky task show build"),
        arguments=(_ID,),
        description="Who had the ball, since when, which try it was, and why; what it waits for, and what comes next.",
    ),
    Command(
        ("task", "tree"),
        "a run with what comes after what",
        "netsky.node.cli.work:tree",
        "work",
        ("netsky task tree demo-7f3a2c",),
        arguments=(Argument("RUN", "a run, as netsky task ls shows it"),),
    ),
    Command(
        ("task", "cancel"),
        "end a ticket, or all of a run",
        "netsky.node.cli.work:cancel",
        "work",
        ("netsky task cancel build --reason 'wrong branch'", "netsky task cancel --run demo-7f3a2c"),
        arguments=(_ID._replace(many="optional"),),
        options=(_RUN, _REASON),
        description="Who works on it is told to stop. What comes after it is dead. What is verified is too late.",
    ),
    Command(
        ("task", "retry"),
        "try a ticket again that is blocked, cancelled or dead",
        "netsky.node.cli.work:retry",
        "work",
        ("netsky task retry build", "netsky task retry build --reason 'the mirror is back'"),
        arguments=(_ID,),
        options=(_REASON,),
        description="From the beginning, with all of its tries; what died with it comes back, too.",
    ),
    Command(
        ("task", "unblock"),
        "allow a blocked ticket more for a time; try it again",
        "netsky.node.cli.work:unblock",
        "work",
        ("netsky task unblock build --allow fs_write=docs/ --for 2h", "netsky task unblock build"),
        arguments=(_ID,),
        options=(
            Option(("--allow",), "fs_write=PATH or net=HOST:PORT; may be repeated", value="WHAT", form="pairs"),
            Option(
                ("--for", "--until"),
                "it holds so long (24h if not said)",
                value="DURATION",
                form="duration",
                least=1,
                most=30 * 86_400,
            ),
        ),
        description="On netsky0, by its operator alone. What was allowed is a sealed word of its own, with who said "
        "so, and ends by itself.",
    ),
    Command(
        ("task", "reasons"),
        "why tries ended, counted by reason, role and node",
        "netsky.node.cli.work:reasons",
        "work",
        ("netsky task reasons",),
    ),
    Command(
        ("note",),
        "write something down beside a ticket",
        "netsky.node.cli.work:note",
        "work",
        ("netsky note build 'the mirror was down'", "netsky note build - < found.md"),
        arguments=(_ID, Argument("TEXT", "the text, or - to read it from stdin")),
        description="It is found in the ticket's story, and by other tickets as note:NUMBER.",
    ),
)
