"""The numbers of restarts, each with its reason."""

PROVE_SECONDS = 120
PROVE_SECONDS_MAX = 3_600
"""For a new life to take what was handed to it: an agent reads its prompts first. `--within` says another time."""

STEADY_SECONDS = 10
"""So long a program has to run where nothing was handed to it: what cannot start ends sooner."""

HEALTHY_SECONDS = 60
"""So long a program has to run before it counts as well again after it was given up: as long as its crashes count."""

TRIES_MAX = 3
"""New lives begun for one restart; then a person is told."""

OWN_PER_HOUR = 6
"""Restarts that an actor may ask for itself in an hour: more is a loop of its own."""

TEXT_BYTES_MAX = 40 * 1024
"""Of a handoff: an envelope's text, with room for the line above it."""

WHY_BYTES_MAX = 1_024
"""A reason is a sentence."""

FIRST_NS = 3_600 * 10**9
"""So far before the oldest that waits a handoff's file is dated: what was sent an hour ago and comes only now does not
stand before it either."""

PROJECTED_SECONDS = 5.0
"""For the file of a handoff to be there before its reader starts; then it starts all the same."""

LOOK_SECONDS = 1.0
"""Between looks at a new life that no bell asked for."""

GIVE_AGAIN_SECONDS = 5.0
"""Between tries of handing on what found no room."""

GRACE_SECONDS = 0.2
"""Before a program is ended that asked for it: its answer leaves first."""

NODE_PROVE_SECONDS = 60
"""For a node: links dial again within five seconds, programs start at once."""

LINK_SECONDS = 15
"""For links to be up again; then it is said why one is not: a machine that is off keeps no other from being well."""

INTENT_SECONDS = 3_600
"""A restart of the node that was asked for and did not happen within the hour is not wanted any more."""

CARRIED_OUT_SECONDS = 120
"""Between asking for a restart of the node and its end: an orderly stop takes 15 s, a start 30 s."""

NODE_CRASHES_MAX = 3
NODE_CRASHES_SECONDS = 600
"""Ends of the node without order in ten minutes, as a service counts them: so many are a loop."""
