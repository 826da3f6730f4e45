"""The numbers of a strict sandbox, each with its reason."""

SECONDS = 1_800.0
"""A task that thinks for half an hour; the plan says otherwise where it knows better."""

MEMORY_BYTES = 2 << 30
"""A compiler or a test run; six workers of a node then fit into an ordinary machine."""

PROCESSES = 512
"""Processes and threads: a test run on many cores with a browser, and far below what a machine bears."""

OUTPUT_BYTES = 1 << 20
"""What it says on stdout: a report is a hundredth of that."""

LOG_BYTES = 256 * 1024
"""The newest of what it says on stderr."""

ERRORS_BYTES = 4 * 1024
"""Of that, what goes into a result: the last screen."""

FILE_BYTES = 1 << 30
GROWTH_BYTES = 2 << 30
"""By what a workspace may grow: a build with its caches."""

FREE_FLOOR_BYTES = 1 << 30
"""What a program leaves free on the disk of its workspace; the node itself needs it to go on."""

SCRATCH_BYTES = 256 << 20
"""HOME and TMPDIR, in memory."""

SHARED_MEMORY_BYTES = 64 << 20
"""For programs that speak with their own children in memory, as containers have it."""

HOSTS_MAX = 32
CONNECTIONS_MAX = 32
"""At once, of one cell: a package manager opens a dozen."""

CONNECTIONS_EVER = 4_096
CARRIED_BYTES_MAX = 2 << 30
"""Of one cell in its life, both ways together: dependencies are hundreds of megabytes."""

HEAD_BYTES_MAX = 8 * 1024
HEAD_SECONDS = 10.0
LOOKUP_SECONDS = 10.0
REACH_SECONDS = 15.0
"""Until a host took a connection: longer than three lost packets."""

IDLE_SECONDS = 300.0
"""A connection on which nothing moves: a model may think for minutes before it answers."""

GRACE_SECONDS = 2.0
"""Between SIGTERM and SIGKILL at the end of its time."""
