"""The numbers of one link, each with its reason."""

from netsky.envelope.limits import BATCH_MAX, BODY_BYTES_MAX, HEADER_BYTES_MAX

ALPN = b"netsky/1"
"""The wire version in force. Its successor is announced beside it, so that two builds always find a common one."""

CHANNELS = 3
"""Streams on a connection: control, replies, work. Opened by whoever dialled."""

CONTROL_FRAME_BYTES_MAX = 8 * 1024
"""The largest is evidence: a link seal of some 400 bytes and at most 64 leaves of 32."""

DATA_FRAME_BYTES_MAX = 256 * 1024
"""Four of the largest envelopes. Three being read and the inbox stay well below 4 MiB."""

CLAIM_BYTES_MAX = 512
"""A link seal: a batch of some 130 bytes around a header of some 110."""

STATEMENT_BYTES_OVER = 40
"""What a statement takes in a batch beside header and body, or instead of them as a leaf."""

READ_BYTES = 64 * 1024
"""One read; more is no faster."""

WRITE_BYTES_MAX = 256 * 1024
"""One write call costs about 135 us whatever its size; beyond this nothing more is won."""

WINDOW_ENVELOPES = 1_024
"""Numbered and not yet acknowledged, for each lane and direction."""

WINDOW_BYTES = 2 << 20
"""The same in bytes of sealed envelopes."""

CONTROL_QUEUE_MAX = 64
"""Control frames waiting to be written. A peer that lets so many pile up reads no more."""

FRAMES_IN_TURN_MAX = 16
"""Frames taken into one commit: enough to share its cost, few enough to answer soon."""

HEARTBEAT_NS = 1_500_000_000
"""Between two heartbeats of ours."""

DEAD_AFTER_NS = 4_000_000_000
"""Two heartbeats may be lost or late; iroh alone would need 33 s to notice."""

HELLO_WITHIN_NS = 4_000_000_000
"""From the proven key to the peer's hello; who connects and says nothing is let go."""

GOODBYE_SECONDS = 1
"""For the peer to hear why, before the connection is cut."""

NUMBER_MAX = 2**63 - 1
"""What SQLite stores; no link lives long enough to count so far."""

SENTENCE_BYTES_MAX = 200
"""Of a reason given in a goodbye: it is shown to people."""

CODE_BYTES_MAX = 32
"""A stable word."""

CAPABILITIES_MAX = 16
CAPABILITY_BYTES_MAX = 32
"""What a build can do beyond its version: a handful of words."""

INBOX_BYTES_MAX = 512 * 1024
"""Frames read and not yet looked at: two of the largest, so that reading goes on during a commit."""

DIRECT_ADDRESSES_MAX = 16
"""Tried at once for one peer. A machine has a handful of interfaces; a longer list is somebody else's wish."""

RELAY_LOOK_SECONDS = 30
"""Between two looks whether the relays answer."""

RELAY_ANSWER_SECONDS = 3
"""For a relay to take a connection, and for iroh to choose one after the start."""

VERSIONS_SECONDS = 2
"""For a peer that speaks another protocol to say which; the sentence is worth no more."""

BATCH_CACHE = 256
"""Verified batches remembered for each link: those that arrive cut into several frames."""

assert DATA_FRAME_BYTES_MAX >= (
    CLAIM_BYTES_MAX + HEADER_BYTES_MAX + BODY_BYTES_MAX + STATEMENT_BYTES_OVER * (BATCH_MAX + 8)
), "one envelope always fits"
assert INBOX_BYTES_MAX + 4 * CHANNELS * DATA_FRAME_BYTES_MAX <= 4 << 20, "what is read and waits is bounded as promised"
assert 2 * HEARTBEAT_NS < DEAD_AFTER_NS < 5_000_000_000, "one late heartbeat ends nothing"
assert DATA_FRAME_BYTES_MAX < WINDOW_BYTES, "a frame always fits an empty window"
