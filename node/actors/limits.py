"""The numbers of running programs, each with its reason."""

TRIES_MAX = 5
"""For one envelope: what failed five times over some minutes fails again."""

LOSSES_MAX = 2
"""Times the node itself ended while an envelope was with a program: once may be chance, twice is this envelope."""

GRACE_SECONDS = 3.0
"""Between SIGTERM and SIGKILL: long enough to write a file, and three of them fit into an orderly stop."""

REST_SECONDS = 12.0
"""Until programs that were told to end are called still running: twice what SIGTERM, the grace and SIGKILL take."""

TIMEOUT_SECONDS = 1_800
TIMEOUT_SECONDS_MAX = 86_400
"""For one envelope, unless said otherwise: an agent may think for half an hour."""

LOG_BYTES_MAX = 4 << 20
"""What a program says on stderr, the newest part: a program that writes without end fills no disk."""

CRASHES_MAX = 3
CRASHES_NS = 60 * 10**9
"""Restarts of a resident program in a minute; one more and it is left alone, visibly."""

LOOK_SECONDS = 30.0
"""Between looks for work that nobody rang for: a safety net, the bell is the rule."""

COMMAND_WORDS_MAX = 256
COMMAND_BYTES_MAX = 64 * 1024
ENVIRONMENT_MAX = 64
READABLE_MAX = 32
"""Of what a person types, a tenth is much."""

KNOWN_SECONDS = 25.0
"""How long a question waits for a node that is starting: less than a client waits for its answer."""

OPEN_SECONDS = 5.0
"""For folder and socket of an actor whose program was ended to be started anew, even while the node stops."""
