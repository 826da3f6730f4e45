"""The numbers of membership, each with its reason."""

INVITE_NS = 3_600 * 10**9
"""A ticket lives for an hour: long enough to walk to the other machine, too short to lie about."""

INVITES_MAX = 64
"""Open at once: more is a script that forgot to stop."""

PENDING_NS = 24 * 3_600 * 10**9
"""A join that waits for a person is given up after a day."""

JOINS_MAX = 16
"""Connections at the door at once, waiting ones included."""

JOIN_BURST = 16
JOIN_EVERY_NS = 10**9
"""Then one each second: a hundred machines join in two minutes, and a flood costs nothing."""

ROSTER_CAPABILITIES_MAX = 16
"""What an invite may promise of a machine: a handful of words."""

DIAL_SECONDS = 10.0
"""For one try to reach the root: a handshake through a NAT takes two."""

UNREACHABLE_SECONDS = 30.0
"""So long a joiner tries before it says that nobody is there."""

JOIN_WAIT_SECONDS = 3_600.0
"""For a person at the root to approve; typed again, the join goes on where it was."""

SILENT_SECONDS = 15.0
"""A pending join that hears nothing for three signs dials anew."""

INSTALL = "pipx install netsky-mesh"
"""What a new machine types first, unless [mesh] install in the config says otherwise."""
