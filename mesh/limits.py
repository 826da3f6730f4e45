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

ON_THE_WAY_MAX = 256
"""Of these, what a sender makes use of: four whole frames. Nobody's turn comes before what is on its way, so all that a
flood may have there is what an honest origin waits for. More is no faster: 256 for each ack are 5,000/s at 50 ms."""

CONTROL_SAID_BYTES_MAX = 4_608
"""The largest that we say ourselves: a hold of 64 actors."""

CONTROL_QUEUE_MAX = 64
"""Control frames waiting to be written. A peer that lets so many pile up reads no more."""

CONTROL_INBOX_BYTES_MAX = 256 * 1024
"""Control frames read and not yet looked at: 64 of them, or so many bytes."""

FRAMES_IN_TURN_MAX = 16
"""Frames taken into one commit: enough to share its cost, few enough to answer soon."""

HEARTBEAT_NS = 1_500_000_000
"""Between two heartbeats of ours, unless the config says otherwise."""

HEARTBEAT_MS_MAX = 3_000
"""No seldomer: a hold is said with every tenth and lapses after 60 s."""

ACK_AT_ONCE = 16
"""Numbers since the last ack: with the largest envelopes half a window of bytes. Fewer may wait for others."""

ACK_WAITS_NS = 40_000_000
"""So long: at a hundred envelopes a second one ack answers four. Data goes out without it if one was said within it."""

OUTCOME_ACK_WAITS_NS = 500_000_000
"""An ack of outcomes alone: no window fills by them, so it goes with what is said next, a heartbeat in the end."""

RECORDS_WAIT_NS = 500_000_000
RECORDS_WAITING_MAX = 64
"""What an ack changes waits for a transaction to go with; on a busy link one comes within milliseconds, and one that
carries an envelope now and then spares a disk the commit."""

FATES_EVERY_NS = 40_000_000
"""Outcomes leave at once on a quiet link; those that follow go together. Only who waits for one sees it."""

CLOCK_SAMPLES = 16
"""Questions by which a peer's clock is measured: 24 s, and 96 s at a root that is asked."""

HOLD_EVERY_BEATS = 10
"""A hold is said again with every tenth heartbeat, since it lapses when it is not."""

PING_EVERY_BEATS = 4
"""A root that is asked as often as it would ask itself still measures its peer's clock with every fourth heartbeat."""

DEAD_AFTER_NS = 4_000_000_000
"""Two heartbeats may be lost or late; iroh alone would need 33 s to notice."""

DEAD_AFTER_MS_MAX = 8_000
"""No later: a second before the shortest lease on routed work (`[root] lease_s`) is over, the loss must be known."""

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

PROGRAM_BYTES_MAX = 32
"""A version, for people."""

ADDRESSES_MAX = 16
ADDRESS_TEXT_BYTES_MAX = 200
"""Where a node listens: a machine has a handful of addresses, and a relay's URL is the longest."""

HOLDS_MAX = 64
"""Held destinations told to one peer; beyond it whole nodes are named instead of actors."""

HELD_ACTOR_BYTES_MAX = 32
"""The longest name of an actor takes 13."""

LINEAGES_MAX = 64
"""Told in one frame: 4 KiB."""

BLAMED_MAX = 3
"""Times that a peer ends the connection at the same frame before we give it up: once is the network, twice chance."""

PROOF_WITHIN_NS = 4 * 10**9
"""A peer that says it has seen more than we remember shows what proves it right behind its hello."""

OUTCOME_BYTES_MAX = 320
"""Packed: four keys and hashes, an id, a word, three times. 64 of them are far from a data frame's cap."""

ROSTER_PIECE_BYTES_MAX = 4 * 1024
"""A roster travels on the control stream, where acks and heartbeats must not wait long behind it."""

ROSTER_PIECES_IN_TURN = 8
"""Given to the writer at once, when it has nothing left: far from the bound of its queue."""

ROSTER_WITHIN_NS = 60_000_000_000
"""How long data waits for the roster by which it was routed: a megabyte over a bad line."""

BLOB_STREAMS = 2
"""Blobs on their way at once, each way: one is read and hashed while the other one is on the wire."""

BLOB_CHUNK_BYTES = 128 * 1024
"""Written and stored at once: less is slower, and more would not fit below the promised bound."""

BLOB_HEAD_BYTES_MAX = 64
"""Of what stands at the beginning of a blob's stream."""

ANNOUNCED_MAX = 32
"""Blobs that one node speaks of at once: two envelopes with as many as they can have."""

ANNOUNCE_AGAIN_NS = 30_000_000_000
"""Until what the peer could not take, or what broke off, is announced anew."""

BLOB_BYTES_MAX = 1 << 30
"""No attachment is larger."""

LABEL_BYTES_MAX = 64
"""What a person calls a machine."""

NODE_NAME_BYTES_MAX = 16
"""netsky and a number."""

ROSTER_MEMBERS_MAX = 4_096
"""Revoked ones too; ten times what one root was measured with."""

ROSTER_BYTES_MAX = 1 << 20
"""What a sibling collects before it looks at it."""

HOLD_LAPSES_NS = 60_000_000_000
"""A hold that was not said again for so long is over: four heartbeats of ten have failed to say it."""

LANE_INBOX_BYTES_MAX = DATA_FRAME_BYTES_MAX
"""Frames read and not yet looked at, of one lane: one of the largest, so that reading goes on during a commit. Neither
lane waits for room that the other one holds."""

INBOX_BYTES_MAX = 2 * LANE_INBOX_BYTES_MAX
"""Of both. As much may wait for the roster by which it was routed."""

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

TICKET_LETTERS_MAX = 6_000
"""With sixteen of the longest addresses; an ordinary ticket has some 300."""

JOIN_ALPN = b"netsky-join/1"
"""The door for joining, apart from links: a stranger never speaks the language of links."""

JOIN_FRAME_BYTES_MAX = 64 * 1024
"""Towards the joiner, which knows whom it dialled. A piece of a roster fits in half of it."""

JOIN_ASK_BYTES_MAX = 40 * 1024
"""Towards the root: a piece of the roster that a former member shows."""

JOIN_PIECE_BYTES = 32 * 1024
"""Of a roster, in one frame."""

JOIN_WITHIN_NS = 10_000_000_000
"""From the proven key to a complete question; who is slower comes again."""

JOIN_SIGN_NS = 5_000_000_000
"""While a join is pending the root says so again: a wait that is alive can be told from a dead one."""

assert DATA_FRAME_BYTES_MAX >= (
    CLAIM_BYTES_MAX + HEADER_BYTES_MAX + BODY_BYTES_MAX + STATEMENT_BYTES_OVER * (BATCH_MAX + 8)
), "one envelope always fits"
assert (
    (CONTROL_FRAME_BYTES_MAX + 2 * DATA_FRAME_BYTES_MAX + 3 * READ_BYTES)  # being read
    + 2 * INBOX_BYTES_MAX  # waits, and was taken or is parked
    + CONTROL_INBOX_BYTES_MAX  # control that came in
    + CONTROL_QUEUE_MAX * CONTROL_SAID_BYTES_MAX  # control that waits to go out
    + 3 * WRITE_BYTES_MAX  # being written
    + 2 * DATA_FRAME_BYTES_MAX  # of each lane, waiting to be written
    + 2 * BLOB_STREAMS * BLOB_CHUNK_BYTES  # of blobs, being read and being sent
) <= 4 << 20, "what a peer can make the root hold is bounded as promised"
assert 2 * HEARTBEAT_NS < DEAD_AFTER_NS < 5_000_000_000, "one late heartbeat ends nothing"
assert BATCH_MAX <= ON_THE_WAY_MAX <= WINDOW_ENVELOPES, "a frame always fits what may be on its way"
assert DATA_FRAME_BYTES_MAX < WINDOW_BYTES, "a frame always fits an empty window"
assert JOIN_PIECE_BYTES + 64 < JOIN_ASK_BYTES_MAX < JOIN_FRAME_BYTES_MAX, "a piece always fits"
