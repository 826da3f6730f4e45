"""Commands of the node itself."""

from netsky.node.cli.table import Argument, Command, Option
from netsky.node.handoff.limits import PROVE_SECONDS_MAX
from netsky.node.limits import LIST_ROWS_MAX

_WAIT = Option(("--timeout",), "give up after this long", value="DURATION", form="duration")

COMMANDS = (
    Command(
        ("init",),
        "make this machine's node: home, key and config",
        "netsky.node.cli.lifecycle:init",
        "node",
        ("netsky init --root", "netsky init --label studio-mac"),
        options=(
            Option(("--root",), "make it netsky0, the root: mesh id, owner key and charter too"),
            Option(("--label",), "a free name for people", value="LABEL"),
        ),
        description="Run once. A home that is already there is left as it is. With --root it says where the owner "
        "key lies; take that file offline.",
    ),
    Command(
        ("up",),
        "start the node, with agent0 and N managers beside it",
        "netsky.node.cli.lifecycle:up",
        "node",
        ("netsky up", "netsky up 2", "netsky up --foreground"),
        arguments=(Argument("N", "managers beside agent0: agent1 … agentN", many="optional", is_number=True),),
        options=(
            Option(("--detach",), "return once it answers (the default)"),
            Option(("--foreground",), "stay, log to the terminal, end with Ctrl-C"),
            _WAIT,
        ),
        description="A node that already runs is left alone. Where there is no home yet: netsky init.",
    ),
    Command(
        ("down",),
        "stop the node in order; nothing accepted is lost",
        "netsky.node.cli.lifecycle:down",
        "node",
        ("netsky down",),
        options=(_WAIT,),
    ),
    Command(
        ("restart",),
        "a new life of the node, or of one actor's program",
        "netsky.node.cli.restart:restart",
        "node",
        (
            "netsky restart",
            'netsky restart agent0 --handoff "half of #12 is done; the rest is in notes.md" --reason "context is full"',
            "netsky restart agent1 --handoff-file handoff.md",
        ),
        arguments=(
            Argument("ACTOR", "whose program (the whole node if none is named)", many="optional", completes="actor"),
        ),
        options=(
            Option(("--handoff",), "what the next life finds first in its inbox", value="TEXT"),
            Option(("--handoff-file",), "the same from a file, or - for stdin", value="FILE", completes="file"),
            Option(("--reason",), "why, for whoever looks later", value="TEXT"),
            Option(
                ("--within",),
                "the new life has so long to take the handoff (2m if not said)",
                value="DURATION",
                form="duration",
                least=1,
                most=PROVE_SECONDS_MAX,
            ),
            Option(("--detach",), "do not wait for the proof"),
            _WAIT,
        ),
        description="The intent is stored before anything is ended, and cleared when the new life has proved itself: "
        "the node serves, links are up, the ticker ticks, programs run; a program took its handoff, or stays up. What "
        "the old one had in hand is back in its inbox. Exit 1 when it was not proved. agent0 and managers may ask for "
        "their own. More: netsky help restart.",
        primer='yourself, with --handoff "where I am": your next life reads that first',
    ),
    Command(
        ("handoffs",),
        "restarts: who asked, why, what proved them",
        "netsky.node.cli.restart:handoffs",
        "node",
        ("netsky handoffs", "netsky --json handoffs agent0"),
        arguments=(Argument("ACTOR", "only its own, or `node`", many="optional", completes="actor"),),
        options=(
            Option(
                ("--limit",), "at most N rows (20 if not said)", value="N", form="count", least=1, most=LIST_ROWS_MAX
            ),
        ),
    ),
    Command(
        ("drill",),
        "prove on a good day what is promised for the bad one",
        "netsky.node.cli.drill:drill",
        "node",
        ("netsky drill", "netsky drill restart --actor agent1 --yes", "netsky drill owner-channel --page"),
        arguments=(
            Argument(
                "WHICH",
                "restart, crash, root-silent, owner-channel or all (if not said)",
                many="optional",
                completes="restart crash root-silent owner-channel all",
            ),
        ),
        options=(
            Option(("--actor",), "whose program (agent0 if not said)", value="ACTOR", completes="actor"),
            Option(("--yes",), "although that actor has work in hand"),
            Option(("--page",), "use the real way to the owner, too, with a text that says DRILL"),
            Option(
                ("--within",),
                "a new life has so long to take its handoff (2m if not said)",
                value="DURATION",
                form="duration",
                least=1,
                most=PROVE_SECONDS_MAX,
            ),
        ),
        description="Each line says what was proved, and when. Exit 1 when something was not. restart: a planned "
        "restart with a handoff. crash: a program is killed and comes back, with what it had in hand. root-silent: on "
        "a sibling, that a silent netsky0 is noticed. owner-channel: that a failing command of the owner leaves its "
        "marker.",
    ),
    Command(
        ("status",),
        "is it up, what waits, what is wrong",
        "netsky.node.cli.status:status",
        "node",
        ("netsky status", "netsky status --watch", "netsky --json status"),
        options=(Option(("--watch",), "redraw every 2 seconds until Ctrl-C"),),
        primer="is the node up, who is here, what waits",
    ),
    Command(
        ("doctor",),
        "check home, disk, fence and settings, with what to do",
        "netsky.node.cli.doctor:doctor",
        "node",
        ("netsky doctor",),
        description="Changes nothing. Exit 1 when a check failed; the node need not run.",
    ),
    Command(
        ("backup",),
        "one file with all that this node needs to go on",
        "netsky.node.cli.backup:backup",
        "node",
        ("netsky backup /media/usb", "netsky backup netsky1.tar --with-key"),
        arguments=(Argument("FILE", "a new file, or a folder for one", completes="file"),),
        options=(Option(("--with-key",), "with node.key: whoever has the file can be this node"),),
        description="Database, charter, roster, config and schedules; the node may run. Without the key it can only go "
        "on where that still is. More: netsky help backup.",
    ),
    Command(
        ("restore",),
        "go on from a backup, and let the mesh know",
        "netsky.node.cli.backup:restore",
        "node",
        ("netsky restore netsky1.tar",),
        arguments=(Argument("FILE", "what netsky backup made", completes="file"),),
        description="The node must be down. The database of before is kept beside the new one. When the node starts "
        "again, others send once more what it may have lost; what they cannot is told as in doubt.",
    ),
    Command(
        ("service", "install"),
        "have the node at every login and after a crash",
        "netsky.node.cli.service:install",
        "node",
        ("netsky service install",),
        description="A systemd user unit (Linux) or a launchd agent (macOS), one for each home. PATH and programs of "
        "this shell are baked in; typed again it takes over what has changed since.",
    ),
    Command(
        ("service", "status"),
        "does the service run it, and what differs from here",
        "netsky.node.cli.service:status",
        "node",
        ("netsky service status",),
    ),
    Command(
        ("service", "beat"),
        "one look at the node from outside: does it hang?",
        "netsky.node.cli.service:beat",
        "node",
        ("netsky service beat",),
        description="The timer of the service runs it every two minutes. A node whose last tick is three periods old, "
        "and that does not answer with another one, is ended and started again; three times within an hour, then the "
        "owner is told and it is left alone. A node that a person stopped stays down. Exit 1 when something is wrong "
        "and could not be mended.",
    ),
    Command(
        ("service", "uninstall"),
        "stop the node, remove its service; the home stays",
        "netsky.node.cli.service:uninstall",
        "node",
        ("netsky service uninstall",),
    ),
)
