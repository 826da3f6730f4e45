"""Commands of the bus."""

from netsky.envelope.limits import EXPIRES_MAX_NS
from netsky.node.cli.table import Argument, Command, Option
from netsky.node.limits import LIST_ROWS_MAX, SEND_WAIT_SECONDS_MAX, WAIT_SECONDS_MAX

_ACTOR = Argument("ACTOR", "an actor of this node, such as agent0", completes="actor")
_MY_ACTOR = Argument("ACTOR", "an actor of this node (inside an actor: itself)", many="optional", completes="actor")
_IDS = Argument(
    "ID", "ids, or their beginnings; the reader's name may stand before them", many="some", completes="actor"
)
_KINDS = (
    *("text", "brief", "ticket", "question", "escalation", "cron", "loop"),  # lane work
    *("reply", "report", "error", "cancel"),  # lane reply
)

_SEND = Command(
    ("send",),
    "send a message to an actor",
    "netsky.node.cli.send:send",
    "bus",
    (
        'netsky send agent0 "the build is red"',
        "netsky send worker1 - --kind brief < brief.md",
        'netsky send agent0 "done" --kind report --in-reply-to ID',
        'netsky send agent4@netsky2 "focus on replay" --wait-outcome=5m',
        'netsky send agent4@netsky1 "the log of the failed run" --attach run.log',
    ),
    arguments=(
        Argument("ADDRESS", "agent0, worker3, agent4@netsky1 (netsky help addresses)", completes="actor"),
        Argument("TEXT", "the text, or - to read it from stdin; 48 KiB at most"),
    ),
    options=(
        Option(("--kind",), "text if not said (netsky help kinds)", value="KIND", choices=_KINDS),
        Option(("--in-reply-to",), "the envelope that this answers", value="ID", form="token"),
        Option(("--thread",), "a conversation's name, carried as it is", value="THREAD", form="token"),
        Option(("--idempotency-key",), "sent twice with the same key: stored once", value="KEY", form="token"),
        Option(("--requires-ack",), "its reader's node answers when it was taken"),
        Option(
            ("--attach",),
            "a file to go with it, 1 GiB at most; may be repeated",
            value="FILE",
            form="words",
            completes="file",
        ),
        Option(("--data",), "a JSON object for programs, beside the text", value="JSON", form="json"),
        Option(
            ("--expires",),
            "30s, 15m, 24h or 7d from now; 30d at most",
            value="DURATION",
            form="duration",
            least=0.001,
            most=EXPIRES_MAX_NS / 10**9,
        ),
        Option(
            ("--from",), "which local actor speaks (inside an actor: only itself)", value="ACTOR", completes="actor"
        ),
        Option(
            ("--wait",),
            "wait for room if an inbox or the outbox is full, or its node is held",
            value="DURATION",
            form="duration",
            bare="60",
            most=SEND_WAIT_SECONDS_MAX,
        ),
        Option(
            ("--wait-outcome",),
            "wait until it is in its inbox (exit 0) or dead (exit 1)",
            value="DURATION",
            form="duration",
            bare="60",
            most=WAIT_SECONDS_MAX,
        ),
    ),
    description="Returns when the envelope is stored for good. With the node down it is kept in the sender's outbox "
    "and sent when the node is up again.",
    primer="ask, report, answer, as above",
)

COMMANDS = (
    _SEND,
    _SEND._replace(
        path=("channel", "send"),
        summary="the same as netsky send",
        examples=('netsky channel send agent4 "focus on replay" --from agent0',),
        schema="send",
        primer="",
    ),
    Command(
        ("channel", "drain"),
        "read an actor's messages and take them",
        "netsky.node.cli.drain:drain",
        "bus",
        (
            "netsky channel drain agent0",
            "netsky channel drain worker1 --follow --json",
            "netsky channel drain worker1 --exec ./handle",
        ),
        arguments=(_MY_ACTOR,),
        options=(
            Option(("--follow",), "stay and show what comes"),
            Option(("--limit",), "stop after so many", value="N", form="count"),
            Option(("--ack-from-stdin",), "take the ids that stdin names, one a line"),
            Option(("--exec",), "run CMD for each, the envelope as JSON on stdin; exit 0 takes it", value="CMD"),
        ),
        description="Each message is claimed and shown. It is taken only when somebody says so: `netsky channel ack "
        "ID`, a line on stdin with --ack-from-stdin, or exit 0 of --exec. What was not taken is shown again. "
        "Works with the node down.",
        primer="your inbox, oldest first; nothing is taken by reading",
    ),
    Command(
        ("channel", "tail"),
        "look at an actor's messages without claiming them",
        "netsky.node.cli.tail:tail",
        "bus",
        ("netsky channel tail agent0", "netsky channel tail agent0 --follow"),
        arguments=(_MY_ACTOR,),
        options=(
            Option(("--follow",), "stay and show what comes"),
            Option(("--limit",), "the last N (10 if not said)", value="N", form="count"),
        ),
    ),
    Command(
        ("channel", "ls"),
        "what waits in the channels, or in one",
        "netsky.node.cli.channel:ls",
        "bus",
        ("netsky channel ls", "netsky channel ls agent0", "netsky channel ls --quarantine"),
        arguments=(_MY_ACTOR,),
        options=(
            Option(("--quarantine",), "files that were refused, and why"),
            Option(
                ("--limit",), "at most N rows (100 if not said)", value="N", form="count", least=1, most=LIST_ROWS_MAX
            ),
        ),
    ),
    Command(
        ("channel", "ack"),
        "say that messages were taken",
        "netsky.node.cli.channel:ack",
        "bus",
        ("netsky channel ack agent0 ID", "netsky channel ack ID1 ID2", "netsky channel ack agent0 --shown"),
        arguments=(_IDS._replace(many="any"),),
        options=(Option(("--shown",), "every message of this reader that a drain has shown"),),
        primer="this one is done; it will not be shown again",
    ),
    Command(
        ("channel", "verify"),
        "check who ordered a message: seals, route, chain",
        "netsky.node.cli.verify:channel",
        "bus",
        ("netsky channel verify ID", "netsky channel verify FILE && echo proven", "netsky channel verify FILE --keep"),
        arguments=(Argument("FILE", "a file, or the id of a message", completes="file"),),
        options=(Option(("--keep",), "write FILE.seal, so that it can be checked with the node down"),),
        description="Fetches the sealed bytes from the node, or from FILE.seal, and checks them in this process "
        "against charter and roster: who sealed it, that the root let it pass, what it follows from. Exit 0 for yes, "
        "5 for no.",
        primer="check with your own hands who ordered it: exit 0 proven, 5 do not act",
    ),
    Command(
        ("channel", "replay"),
        "put a taken message back into its inbox",
        "netsky.node.cli.channel:replay",
        "bus",
        ("netsky channel replay agent0 ID",),
        arguments=(_IDS,),
        description="The same envelope with the same id is shown to the actor again.",
    ),
    Command(
        ("channel", "forward-outbox"),
        "take an actor's outbox files in now",
        "netsky.node.cli.channel:forward_outbox",
        "bus",
        ("netsky channel forward-outbox agent4",),
        arguments=(_ACTOR,),
        description="The node does this by itself four times a second; this asks at once and says what happened. "
        "`from` becomes the owner of the outbox, a missing `to` becomes agent0.",
    ),
    Command(
        ("channel", "attachments"),
        "list or write out the files that came with a message",
        "netsky.node.cli.attachments:attachments",
        "bus",
        ("netsky channel attachments ID", "netsky channel attachments ID --to ./incoming"),
        arguments=(Argument("ID", "the id of an envelope that you sent or got"),),
        options=(
            Option(
                ("--to",), "write them into this folder; nothing there is replaced", value="FOLDER", completes="file"
            ),
        ),
        description="Each file is checked against its hash before it gets its name. A name that could do harm is "
        "replaced by the hash.",
        primer="the files that came with it; `--to FOLDER` writes them out",
    ),
    Command(
        ("envelope", "show"),
        "one envelope, readable",
        "netsky.node.cli.envelope:show",
        "bus",
        ("netsky envelope show ID", "netsky envelope show ~/.netsky/channels/agent0/inbox/….json"),
        arguments=(Argument("FILE", "a file, or the id of an envelope", completes="file"),),
    ),
    Command(
        ("envelope", "verify"),
        "check seal, content and origin of an envelope",
        "netsky.node.cli.verify:envelope",
        "bus",
        ("netsky envelope verify ID", "netsky envelope verify FILE && echo genuine"),
        arguments=(Argument("FILE", "a file, or the id of an envelope", completes="file"),),
        description="Finds the sealed bytes in the node's row, or in FILE.seal, and checks in this process that the "
        "seal holds and that the file says what was sealed. Exit 0 for yes, 5 for no. Who ordered it: netsky channel "
        "verify.",
    ),
)
