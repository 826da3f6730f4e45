"""The numbers of the watchdog, each with its reason."""

HANG_SECONDS = 1_800
HANG_SECONDS_MAX = 86_400
"""Owing something for so long without moving: an agent may think for half an hour (`[watch] hang_s`)."""

SLACK_SECONDS = 60
"""Beyond the time limit of a program that is started for each envelope: the node ends it by itself, and that takes."""

HANDLED_SECONDS = 600
"""agent0 has so long to take what it was told; then the owner is."""

AGAIN_SECONDS = (3_600, 7_200, 14_400, 28_800)
"""Between pages of one alarm, the last of them for ever: a night has three or four, not thirty."""

REVIVE_SECONDS = 300
REVIVE_SECONDS_MAX = 3_600
"""Between tries to start a program again, doubled each time: never one try alone, and never a loop."""

REVIVES_FAILED = 3
"""Tries that did not help; then a person is needed, and is paged."""

SETTLED_SECONDS = 120
"""So long a program that was started again has to stay up before that counts for anything."""

GRACE_SECONDS = 300
"""After a start of the node everybody has at least so long: programs begin anew, and clocks may have changed."""

ASKED_SECONDS = 86_400
"""Who asked and waits is excused for a day, as long as what was asked lives."""

QUIET_SECONDS_MAX = 3_600
"""Declared quiet ends within the hour: who needs more says it again, and shows by that that it lives."""

QUIETS_MAX = 16
"""Of one actor at once; the latest counts, so more say nothing more."""

MARKER_SECONDS = 86_400
"""A marker of an alarm lapses after a day unless the alarm still stands: it is written anew at half of that."""

READ_SECONDS = 5.0
"""For the one query of a look. It takes a millisecond: what takes seconds hangs, and that is an alarm."""

SAY_SECONDS = 5.0
"""For an envelope about an alarm to be stored."""

REVIVE_WAIT_SECONDS = 30.0
"""For a program to be ended and another one started in its place."""

SILENT_ROUNDS = 3
"""Rounds of the ticker that did not come, or in which a part failed, before that is an alarm."""

STARTING_SECONDS = 60
"""A node that starts has so long for its first round."""
