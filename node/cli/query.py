"""`netsky query`: through the node, or straight from the file while it is down."""

from __future__ import annotations

import csv
import sys
from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import plural
from netsky.node.errors import EXIT_DONE, Conflict, Unreachable

_STDIN_BYTES_MAX = 256 * 1024


def query(args: Any, out: Output) -> int:
    sql = sys.stdin.read(_STDIN_BYTES_MAX) if args.sql == "-" else args.sql
    data = _ask(sql, args.node)
    columns, rows, more = data["columns"], data["rows"], data["truncated"]
    if args.csv and not out.json:
        writer = csv.writer(out.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        summary = plural(len(rows), "row")
        out.answer("query", summary, data, lambda: _print(columns, rows, out))
    if more:
        out.notice(f"only the first {len(rows)} rows; add LIMIT and OFFSET, or WHERE")
    return EXIT_DONE


def _print(columns: list[str], rows: list[list[Any]], out: Output) -> None:
    if not rows:
        out.notice("no rows")
        return
    out.table(columns, [["" if value is None else str(value) for value in row] for row in rows])


def _ask(sql: str, node: Dialer) -> dict[str, Any]:
    try:
        return node.call("query", sql=sql)
    except Unreachable as down:
        if node.inside_actor is not None or down.code == "no_home":
            raise
        return _ask_the_file(sql, node, down)


def _ask_the_file(sql: str, node: Dialer, down: Unreachable) -> dict[str, Any]:
    """With the lock held, so that no node starts on the file meanwhile."""
    from netsky.node.db.query import direct_query  # noqa: PLC0415 - brings sqlite3
    from netsky.node.home import check_permissions, take_lock  # noqa: PLC0415
    from netsky.node.seams.real import RealTime  # noqa: PLC0415
    from netsky.node.seams.real_files import RealFiles  # noqa: PLC0415

    home, files = node.home, RealFiles()
    check_permissions(home, files)
    lock = take_lock(home, files)
    if lock is None:
        raise Conflict(
            f"{down.message}, but another process holds its home (it starts or stops)",
            next="netsky wait ready --timeout 10",
            code="home_in_use",
        )
    try:
        found = direct_query(home.database, sql, RealTime().monotonic)
    finally:
        lock.release()
    rows = [[value.hex() if isinstance(value, bytes) else value for value in row] for row in found.rows]
    return {"columns": list(found.columns), "rows": rows, "truncated": found.truncated}
