"""Help, and tools around the node."""

from netsky.node.cli.table import Argument, Command, Option

_SIM = (
    Option(("--nodes",), "the root and its siblings (5)", value="N", form="count", least=2, most=1000),
    Option(("--hours",), "simulated hours of trouble (1; each of a campaign: 10 minutes)", value="H", form="number"),
    Option(("--seed",), "what decides everything (drawn if not said)", value="S", form="count"),
    Option(
        ("--faults",),
        "how much goes wrong (medium)",
        value="LEVEL",
        choices=("none", "light", "medium", "heavy"),
    ),
    Option(("--without",), "leave out a class of faults; may be repeated", value="CLASS", form="words"),
    Option(("--every",), "seconds for each envelope of one sender, on average (8)", value="SECONDS", form="number"),
    Option(("--history",), "keep the history of the run here", value="FILE", completes="file"),
    Option(("--replay",), "one seed of a campaign again", value="SEED", form="count"),
    Option(("--shrink",), "look for a smaller run with the same violation"),
    Option(("--campaign",), "so many seeds, on all cores", value="COUNT", form="count", least=1),
    Option(("--twice",), "of a campaign: each seed in two processes, and their histories have to be the same"),
    Option(("--workers",), "of a campaign: so many processes (one a core)", value="N", form="count", least=1),
    Option(("--within",), "give up after this much real time: exit 6", value="DURATION", form="duration", least=1),
)

COMMANDS = (
    Command(
        ("demo",),
        "see three nodes at work, one killed, then clean up",
        "netsky.node.demo.main:demo",
        "help",
        ("netsky demo", "netsky demo --keep"),
        options=(Option(("--keep",), "leave the three nodes up for a look around; their homes are printed"),),
    ),
    Command(
        ("sim",),
        "whole meshes in one process, in trouble by a seed",
        "netsky.node.cli.sim:sim",
        "help",
        (
            "netsky sim --hours 2 --faults heavy",
            "netsky sim --replay 4711 --history run.history",
            "netsky sim --campaign 200 --twice",
        ),
        options=_SIM,
        description="Nodes as they ship, with people who send and take around them; simulated are network, clocks, "
        "power and disks. First trouble, then peace, and the checker judges the history (netsky help simulation). "
        "Exit 1 if anything broke: a story for each violation, and the command that shows it again.",
    ),
    Command(
        ("bench", "seal"),
        "seal and check envelopes as fast as one core can",
        "netsky.node.bench.seal:bench",
        "help",
        ("netsky bench seal", "netsky bench seal --seconds 10"),
        options=(Option(("--seconds",), "how long to measure", value="N", form="count"),),
    ),
    Command(
        ("bench", "bus"),
        "send, drain and archive through a daemon, on disk",
        "netsky.node.bench.bus:bench",
        "help",
        ("netsky bench bus", "netsky bench bus --count 50000 --at /var/tmp"),
        options=(
            Option(("--count",), "how many envelopes", value="N", form="count"),
            Option(
                ("--at",), "a folder on the disk to measure (else the current one)", value="FOLDER", completes="file"
            ),
        ),
    ),
    Command(
        ("bench", "tick"),
        "a round of the ticker with 1,000 schedules, 100 actors",
        "netsky.node.bench.tick:bench",
        "help",
        ("netsky bench tick", "netsky bench tick --at /var/tmp"),
        options=(
            Option(
                ("--at",), "a folder on the disk to measure (else the current one)", value="FOLDER", completes="file"
            ),
        ),
    ),
    Command(
        ("bench", "work"),
        "no-op tickets from a plan to their end, on one node",
        "netsky.node.bench.work:bench",
        "help",
        ("netsky bench work", "netsky bench work --count 10000 --at /var/tmp"),
        options=(
            Option(("--count",), "how many tickets (3,000)", value="N", form="count", least=1, most=10_000),
            Option(
                ("--at",), "a folder on the disk to measure (else the current one)", value="FOLDER", completes="file"
            ),
        ),
    ),
    Command(
        ("bench", "sim"),
        "simulated hours for a minute of processor time",
        "netsky.node.bench.sim:bench",
        "help",
        ("netsky bench sim", "netsky bench sim --nodes 100"),
        options=(
            Option(("--seconds",), "simulated seconds of each run (120)", value="N", form="count", least=1),
            Option(("--nodes",), "and a mesh of this size", value="N", form="count", least=2, most=1000),
            Option(
                ("--at",),
                "a folder on the disk of the reference (else the current one)",
                value="FOLDER",
                completes="file",
            ),
        ),
    ),
    Command(
        ("bench", "mesh"),
        "send over a root between two nodes, as fast as it goes",
        "netsky.node.bench.mesh:bench",
        "help",
        ("netsky bench mesh", "netsky bench mesh --seconds 20 --json", "netsky bench mesh --fairness"),
        options=(
            Option(
                ("--seconds",),
                "how long to send as fast as it goes (60; 5 in each turn of --fairness)",
                value="N",
                form="count",
            ),
            Option(("--fairness",), "beside a destination that is dead and full, and beside one who floods"),
            Option(
                ("--siblings",), "how many link ends to link with one root", value="N", form="count", least=1, most=1000
            ),
            Option(
                ("--at",), "a folder on the disk to measure (else the current one)", value="FOLDER", completes="file"
            ),
        ),
        description="Three daemons with homes of their own on a real disk, joined by invite; netsky1 sends to "
        "netsky2 over the root. Counted at the receiver and compared by id. The --json keys: envelopes_per_s, "
        "latency_ms (p50, p99), cpu_us_per_envelope and commits_per_envelope by node, attachment_mb_per_s, lost, ended "
        "(by fate and reason), doubled, synchronous. With --fairness five daemons: netsky1 to netsky2 beside netsky4, "
        "which is down with its queue full (dead: alone_per_s, beside_per_s, percent, queued; rss_mb_queued by node), "
        "and netsky1 and netsky2 at 100/s each to netsky4 beside netsky3, which floods it (flood: arrived_percent, "
        "p99_ms, calm_p99_ms, times, flood_per_s). With --siblings one root and so many link ends in a few processes, "
        "ten envelopes to each and ten back (siblings: siblings, connect_s, window_envelopes, window_kb, rss_mb_alone, "
        "rss_mb, rss_kb_each, rss_mb_after, idle_percent_alone, idle_percent, idle_percent_each, exchange_s).",
    ),
    Command(
        ("help",),
        "a topic, or the list of topics",
        "netsky.node.cli.help:help_topic",
        "help",
        ("netsky help", "netsky help start", "netsky help send"),
        arguments=(Argument("TOPIC", "a topic or a command", many="any", completes="topic"),),
    ),
    Command(
        ("primer",),
        "what an agent needs to know to use this, in 700 tokens",
        "netsky.node.cli.primer:primer",
        "help",
        ("netsky primer", "netsky primer >> AGENTS.md"),
    ),
    Command(
        ("completion",),
        "the completion script of a shell",
        "netsky.node.cli.completion:completion",
        "help",
        ('eval "$(netsky completion bash)"', "netsky completion fish > ~/.config/fish/completions/netsky.fish"),
        arguments=(Argument("SHELL", "bash, zsh or fish", completes="bash zsh fish"),),
    ),
    Command(
        ("version",),
        "the version of this program",
        "netsky.node.cli.help:version",
        "help",
        ("netsky version",),
    ),
)
