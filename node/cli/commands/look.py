"""Commands that tell what happened."""

from netsky.node.cli.table import Argument, Command, Option
from netsky.node.limits import LIST_ROWS_MAX, WAIT_SECONDS_MAX

_LETTER = Argument("ID", "an id, or its beginning")
_YEAR = 365 * 86_400.0

COMMANDS = (
    Command(
        ("trace",),
        "every step of one envelope, with times",
        "netsky.node.cli.look:trace",
        "look",
        ("netsky trace ID",),
        arguments=(Argument("ID", "an id, or its beginning"),),
        primer="what became of it",
    ),
    Command(
        ("events",),
        "what the node does, as it happens",
        "netsky.node.cli.look:events",
        "look",
        ("netsky events --follow", "netsky --json events --follow --kind accepted"),
        options=(
            Option(("--follow",), "stay until Ctrl-C (without it: the latest that are kept)"),
            Option(("--kind",), "only this kind", value="KIND"),
        ),
    ),
    Command(
        ("wait",),
        "wait until something is so, instead of sleeping",
        "netsky.node.cli.wait:wait",
        "look",
        (
            "netsky wait ready --timeout 10",
            "netsky wait outcome ID",
            "netsky wait taken ID",
            "netsky wait reply ID --timeout 5m",
        ),
        arguments=(
            Argument("WHAT", "ready, down, outcome, taken or reply", completes="ready down outcome taken reply"),
            Argument("ID", "the envelope, for outcome, taken and reply", many="optional"),
        ),
        options=(
            Option(
                ("--timeout",),
                "give up after this long (60s if not said)",
                value="DURATION",
                form="duration",
                most=WAIT_SECONDS_MAX,
            ),
        ),
        description="ready: the node answers. down: it does not run. outcome: it is in the inbox it was for (exit 0), "
        "or died on its way (exit 1). taken: its reader on this node said so. reply: an envelope with in_reply_to=ID "
        "came; it is shown. Exit 6 when the time is over.",
        primer="`netsky wait reply ID --timeout 5m`: the answer to what you asked",
    ),
    Command(
        ("dead", "ls"),
        "what was sent and did not arrive, newest first",
        "netsky.node.cli.dead:ls",
        "look",
        ("netsky dead ls", "netsky dead ls --limit 200"),
        options=(
            Option(
                ("--limit",), "at most N rows (50 if not said)", value="N", form="count", least=1, most=LIST_ROWS_MAX
            ),
            Option(("--before",), "those older than this number of the list", value="N", form="count", least=1),
        ),
        description="Dead letters are what ended dead or in doubt, each with the reason and who ended it. They stay "
        "until they are dropped, 30 days at most. An actor sees its own.",
        primer="what you sent and did not arrive, with the reason",
    ),
    Command(
        ("dead", "show"),
        "one dead letter whole: its story and its text",
        "netsky.node.cli.dead:show",
        "look",
        ("netsky dead show ID",),
        arguments=(_LETTER,),
    ),
    Command(
        ("dead", "retry"),
        "send dead letters again, each as a new envelope",
        "netsky.node.cli.dead:retry",
        "look",
        ("netsky dead retry ID", "netsky dead retry ID1 ID2", "netsky dead retry ID --again"),
        arguments=(_LETTER._replace(many="some"),),
        options=(Option(("--again",), "although it was sent again before"),),
        description="The new one has the same text, kind, thread and reader, an id of its own and the old one as its "
        "parent. What is in doubt may have arrived: then its reader gets it twice, under two ids.",
    ),
    Command(
        ("dead", "drop"),
        "take dead letters off the list",
        "netsky.node.cli.dead:drop",
        "look",
        ("netsky dead drop ID", "netsky dead drop --older 7d", "netsky dead drop --all"),
        arguments=(_LETTER._replace(many="any"),),
        options=(
            Option(("--all",), "every one"),
            Option(("--older",), "those known for so long", value="DURATION", form="duration", least=1, most=_YEAR),
        ),
    ),
    Command(
        ("query",),
        "read the node's database with SQL",
        "netsky.node.cli.query:query",
        "look",
        (
            'netsky query "SELECT kind, count(*) FROM messages GROUP BY kind"',
            'netsky query "SELECT * FROM crashes" --csv',
            "netsky query -  < report.sql",
        ),
        arguments=(Argument("SQL", "one SELECT, or - for stdin"),),
        options=(Option(("--csv",), "comma-separated, with a header line"),),
        description="Reads only; ended after 5 seconds, at most 10,000 rows. With the node down the file is read "
        "directly.",
    ),
)
