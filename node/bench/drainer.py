"""The consumer of a bench: a process of its own that claims, acknowledges and archives until it has all.

How many that are it reads from its stdin, as soon as whoever sends them knows. Prints one JSON line when it starts and
one when it ends, with the monotonic clock of the machine.
"""

from __future__ import annotations

import json
import select
import sys
import time

from netsky.node.cli.arrivals import Arrivals
from netsky.node.cli.dial import Dialer
from netsky.node.cli.mailbox import Mailbox

GIVE_UP_SECONDS = 60.0
ACK_AT_ONCE = 128


def main() -> int:
    home, actor = sys.argv[1], sys.argv[2]
    node = Dialer(home)
    wanted: int | None = None
    seen: set[str] = set()
    doubled = 0
    last = time.monotonic()
    print(json.dumps({"ready": True}), flush=True)
    with Mailbox(node, actor) as mailbox, Arrivals(node, actor) as arrivals:
        while wanted is None or (len(seen) < wanted and time.monotonic() - last < GIVE_UP_SECONDS):
            held: list[str] = []
            for item in mailbox.envelopes(None):
                doubled += item.name in seen
                seen.add(item.name)
                held.append(item.name)
                last = time.monotonic()
                if len(held) >= ACK_AT_ONCE:
                    mailbox.ack(*held)
                    held.clear()
            mailbox.ack(*held)
            if wanted is None and select.select([sys.stdin], [], [], 0)[0]:
                wanted = int(sys.stdin.readline())
            elif wanted is None or len(seen) < wanted:
                arrivals.wait(*([sys.stdin.fileno()] if wanted is None else ()))
    print(json.dumps({"archived": len(seen), "doubled": doubled, "at": last, "cpu": time.process_time()}), flush=True)
    return 0 if len(seen) == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
