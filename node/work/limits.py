"""Numbers of work, each with its reason."""

from netsky.envelope.limits import BODY_BYTES_MAX, SECOND_NS
from netsky.node.limits import WORKERS_MAX

PLAN_BYTES_MAX = 384 * 1024
"""A plan is one request of the control socket, escaped; 10,000 bare tickets fit."""

PLAN_TICKETS_MAX = 10_000
"""More than a person reads; what needs more is several runs."""

RUNS_OPEN_MAX = 100
"""Runs that have not ended: each has a row in memory."""

FAULTS_SHOWN = 50
"""Of one plan: who has more corrects these first."""

CONTEXT_BYTES_MAX = 24 * 1024
"""What a ticket points to travels with it."""

SPEC_BYTES_MAX = BODY_BYTES_MAX - CONTEXT_BYTES_MAX - 8 * 1024
"""A ticket travels in one envelope with all that belongs to it, every quote in it escaped."""

ANSWER_BYTES_MAX = BODY_BYTES_MAX - 8 * 1024
"""An answer of netsky0 to a sibling's question, in one envelope."""

REPORT_BYTES_MAX = 40 * 1024
"""A report is read by a person or a manager: what is longer is an attachment."""

TEXT_CHARS_MAX = 16_000
TITLE_CHARS_MAX = 200
REASON_CHARS_MAX = 500
WORD_CHARS_MAX = 64

LIST_MAX = 64
"""Of context pointers, criteria, paths, needs: beyond it a ticket is several."""

DEPTH_MAX = 3
"""A ticket's child's child is the last one: runaway work ends there."""

FAN_OUT_MAX = 32
"""Open children of one ticket."""

SLOTS = WORKERS_MAX
"""Tickets that a node works on at once, if its config does not say."""

SLOTS_MAX = 64

LEASE_NS = 60 * SECOND_NS
"""Without a sign from the node that has it a ticket is given to another."""

RENEW_NS = 15 * SECOND_NS
"""Three of four signs may be lost."""

RETRIES = 5
RETRIES_MAX = 100
"""Of one ticket, if its plan does not say; and what a plan may say."""

TIMEOUT_MS = 600_000
TIMEOUT_MS_MAX = 24 * 3_600_000
"""Of one try."""

CRASHES_MAX = 2
"""A ticket that was alone on a node that died is poison the second time."""

BATCH = 256
"""Tickets that one step moves: one commit of some milliseconds."""

TELL_NS = SECOND_NS // 4
"""From taking tickets to saying so: what is done within it is told by its report alone."""

IDLE_NS = 60 * SECOND_NS
"""The longest wait without looking: a bell that was forgotten costs a minute."""

ASK_SECONDS = 25.0
"""For an answer of netsky0 to what was typed here: less than a client waits for its node."""

FETCH_WAIT_SECONDS = 20.0
"""Whoever starts a run waits so long for its repository; what takes longer goes on without being waited for."""

LANDINGS_MAX = 4
"""Patches that are verified and committed at once, one of each repository: each may be some megabytes in memory."""

LANDING_TRIES = 5
"""Of a commit that the machine and not the patch kept from happening."""

CHANGED_SHOWN = 200
"""Names of changed files in a report; the patch has them all."""

SAID_CHARS_MAX = 4_000
"""Of what a worker said without a report: its end."""

PARK_SECONDS_MAX = 30 * 86_400
"""A worker may ask to be left alone so long."""

PUSHES_LOOKED_AT = 1_000
"""The latest, in which those are that still have to go out."""
