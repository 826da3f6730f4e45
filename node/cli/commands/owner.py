"""Commands of the owner: what is said to the mesh, what it asks, and how it is stopped."""

from netsky.node.cli.table import Argument, Command, Option
from netsky.node.limits import WAIT_SECONDS_MAX
from netsky.node.owner.limits import ASK_LEAST_NS, ASK_MOST_NS, LIST_MAX

_TEXT = Argument("TEXT", "the text, or - to read it from stdin; 48 KiB at most")
_ITEM = Argument("ID", "an id from the inbox, or its beginning")
_LIMIT = Option(("--limit",), "at most N", value="N", form="count", least=1, most=LIST_MAX)
_NODES = Option(("--node", "--nodes"), "this one, by name or label; may be repeated", value="NAME", form="words")
_ALL = Option(("--all",), "every node of the mesh, netsky0 first; for halt also those that join later")
_WAIT = Option(("--timeout",), "wait so long for the answers (30s if not said)", value="DURATION", form="duration")


def _wait(what: str, bare: str) -> Option:
    return Option(("--wait",), what, value="DURATION", form="duration", bare=bare, most=WAIT_SECONDS_MAX)


COMMANDS = (
    Command(
        ("owner", "inbox"),
        "what waits for you, the most pressing first",
        "netsky.node.cli.owner:inbox",
        "owner",
        ("netsky owner inbox", "netsky owner inbox --all", "netsky owner inbox --wait --json"),
        options=(
            Option(("--all",), "also what is done, the newest first"),
            Option(("--peek",), "do not count it as seen: for programs that look by themselves"),
            _wait("if nothing is new, wait until something is (10m if not said)", "600"),
            _LIMIT,
        ),
        description="On netsky0. What you were shown here you are not paged for. agent0 there may list it, too, and "
        "take what it sees to.",
    ),
    Command(
        ("owner", "show"),
        "one item whole, with what became of it",
        "netsky.node.cli.owner:show",
        "owner",
        ("netsky owner show ID",),
        arguments=(_ITEM,),
    ),
    Command(
        ("owner", "reply"),
        "answer an item: it goes to whoever wrote it",
        "netsky.node.cli.owner:reply",
        "owner",
        ('netsky owner reply ID "yes, drop it"', "netsky owner reply ID - < answer.md"),
        arguments=(_ITEM, _TEXT),
        description="An ask is answered once: what comes after your answer, or after its deadline, is refused with "
        "exit 7 and told what was answered when.",
    ),
    Command(
        ("owner", "take"),
        "done with it (agent0: I see to it)",
        "netsky.node.cli.owner:take",
        "owner",
        ("netsky owner take ID", "netsky owner take ID1 ID2"),
        arguments=(_ITEM._replace(many="some"),),
        description="Typed by you, it leaves the inbox. Typed by agent0, it stays, and nobody is paged for it. An ask "
        "ends at its deadline all the same.",
    ),
    Command(
        ("owner", "send"),
        "say something to agent0, in a thread of its own",
        "netsky.node.cli.owner:send",
        "owner",
        (
            'netsky owner send "how many words are in this repository?" --wait',
            'netsky owner send "and in the other one?" --about ID',
        ),
        arguments=(_TEXT,),
        options=(
            _wait("wait for the answer and print it (10m if not said)", "600"),
            Option(("--about",), "the item that this is about: its thread goes on", value="ID"),
            Option(("--thread",), "a thread's name (a new one if not said)", value="THREAD", form="token"),
            Option(("--idempotency-key",), "sent twice with the same key: stored once", value="KEY", form="token"),
        ),
        description="On netsky0. As `netsky send agent0 TEXT` there, with a thread.",
    ),
    Command(
        ("owner", "ask"),
        "ask the owner, until when, and what happens else",
        "netsky.node.cli.owner:ask",
        "owner",
        (
            'netsky owner ask "drop the old table?" --deadline 2h --otherwise "it stays"',
            'netsky owner ask "merge?" --deadline 30m --otherwise "not merged" --wait',
        ),
        arguments=(Argument("QUESTION", "the question, or - to read it from stdin"),),
        options=(
            Option(
                ("--deadline",),
                "until when, from now: 30m, 2h, 3d; a minute at least, 30d at most",
                value="DURATION",
                form="duration",
                least=ASK_LEAST_NS / 10**9,
                most=ASK_MOST_NS / 10**9,
            ),
            Option(("--otherwise",), "what happens without an answer: a sentence", value="TEXT"),
            _wait("wait for the answer and print it (until the deadline if not said)", "604800"),
            Option(("--thread",), "a thread's name, carried as it is", value="THREAD", form="token"),
            Option(("--idempotency-key",), "asked twice with the same key: stored once", value="KEY", form="token"),
            Option(
                ("--from",), "which local actor asks (inside an actor: only itself)", value="ACTOR", completes="actor"
            ),
        ),
        description="From any node. It is answered once: by the owner, or at the deadline by netsky0 with what "
        "--otherwise says. `netsky channel verify` proves which of them it was.",
        primer='add --deadline 2h --otherwise "what happens else" --wait',
    ),
    Command(
        ("owner", "asks"),
        "asks and their answers (to the owner: all)",
        "netsky.node.cli.owner:asks",
        "owner",
        ("netsky owner asks", "netsky owner asks --all"),
        options=(Option(("--all",), "also those that are answered"), _LIMIT),
    ),
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
        primer="tell the owner what cannot wait",
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
