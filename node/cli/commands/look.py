"""Commands that tell what happened."""

from netsky.node.cli.table import Argument, Command, Option
from netsky.node.limits import WAIT_SECONDS_MAX

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
        ("netsky wait ready --timeout 10", "netsky wait taken ID", "netsky wait reply ID --timeout 5m"),
        arguments=(
            Argument("WHAT", "ready, down, taken or reply", completes="ready down taken reply"),
            Argument("ID", "the envelope, for taken and reply", many="optional"),
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
        description="ready: the node answers. down: it does not run. taken: its reader said so. reply: an envelope "
        "with in_reply_to=ID came; it is shown. Exit 6 when the time is over.",
        primer="`netsky wait reply ID --timeout 5m`: the answer to what you asked",
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
