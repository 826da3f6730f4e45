"""The power under the ledger cut again and again: nothing acknowledged is lost, and what would lose is found out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.importorskip("apsw")

from netsky.node.db.ledger import SqliteLedger
from netsky.node.db.opening import settings
from netsky.node.lab.pages import campaign as module
from netsky.node.lab.pages.__main__ import main
from netsky.node.lab.pages.campaign import Campaign, Result, campaign, text
from netsky.node.lab.pages.disk import Disk
from netsky.node.lab.pages.ledger import PageLedgers
from netsky.node.lab.pages.reference import Reference, Violation, build, done, start
from netsky.node.lab.pages.traffic import record
from netsky.node.lab.pages.vfs import Vfs
from netsky.node.seams.ledger import Row, Statement

CUTS = 600
DAY = 1_000
MANY = 150
"""Cases in which a planted fault must show; each shows within ten."""


days = cache(record)
"""Recording one takes a second, and nobody changes it."""


@cache
def reference(day: int, node: int) -> Reference:
    """Its disks are cloned by whoever plays on them, so it outlives the folder that it was made in."""
    with TemporaryDirectory() as folder:
        made = Vfs(folder)
        try:
            return build(made, days(day)[node], day)
        finally:
            made.unregister()


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "record", lambda day: [(day, 0), (day, 1)])
    monkeypatch.setattr(module, "build", lambda _, traffic, __: reference(*traffic))


@pytest.fixture
def vfs(tmp_path: Path) -> Iterator[Vfs]:
    made = Vfs(str(tmp_path))
    yield made
    made.unregister()


def until_found(result: Result) -> bool:
    assert result.cases < MANY, "nobody noticed"
    return not result.found


def found(synchronous: str = "full", more: Callable[[Result], bool] = until_found) -> Result:
    with campaign(1, synchronous) as made:
        return made.run(more)


def test_hundreds_of_power_cuts_lose_nothing() -> None:
    with campaign(1) as made:
        result = made.run(lambda so_far: so_far.tally.cuts < CUTS)
    print(text(result))
    assert result.found == []
    data = result.data()
    assert data["cuts"] >= CUTS
    assert data["acknowledged"] > CUTS
    assert min(data[what] for what in ("kills", "failed_syncs", "torn_writes", "names_forgotten")) > 0
    phases = {place.split(":")[0] for place in data["where"]}
    assert phases == {"starting", "working", "writing back", "ending"}
    assert {"working: sync log", "starting: sync log", "writing back: write database"} <= set(data["where"])


def test_a_log_that_is_not_synced_at_each_commit_loses() -> None:
    result = found("normal")
    assert result.lost > 0
    assert "were acknowledged and" in text(result)
    assert f"--replay {result.found[0].seed}" in text(result)


def test_a_disk_that_is_never_synced_loses() -> None:
    result = found("off", lambda so_far: so_far.cases < 40)
    assert len(result.found) > 10
    assert any("damaged" in one.sentence or "cannot be" in one.sentence for one in result.found)


def test_a_log_that_is_not_renewed_after_a_failed_sync_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Disk, "renew", lambda *_: None)
    assert found().lost > 0


def test_a_transaction_in_parts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SqliteLedger.transaction

    async def in_parts(self: SqliteLedger, statements: Sequence[Statement]) -> list[list[Row]]:
        return [(await whole(self, [statement]))[0] for statement in statements]

    with campaign(1) as made:
        made.play(1_000_000)  # what is right is known by then
        monkeypatch.setattr(SqliteLedger, "transaction", in_parts)
        result = made.run(lambda so_far: so_far.cases < 40)
    told = {what for one in result.found for what in ("in part", "books") if what in one.sentence}
    assert "in part" in told


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("DELETE FROM inbox WHERE seq = (SELECT max(seq) FROM inbox)", "a message is for nobody"),
        ("UPDATE streams SET number = number + 1 WHERE direction = 'out'", "what is in flight"),
        ("UPDATE outbox SET number = number + 100000", "never gave"),
        ("UPDATE streams SET number = 0 WHERE direction = 'in'", "beyond the mark"),
        ("DELETE FROM ticks", "in part"),
    ],
)
def test_what_stands_there_and_should_not_is_told(vfs: Vfs, sql: str, sentence: str) -> None:
    known = reference(DAY, 1)
    number = max(known.kept)
    vfs.put_in(known.kept[number].clone(), 1)
    ledgers = PageLedgers(vfs)
    ledger = start(ledgers)
    assert known.judge(ledger, number, number) == number
    done(ledger.transaction([Statement(sql)]))
    with pytest.raises(Violation, match=sentence):
        known.judge(ledger, number, number)
    ledgers.die()


def test_more_than_was_given_is_no_state_of_it_either(vfs: Vfs) -> None:
    known = reference(DAY, 0)
    number = sorted(known.kept)[5]
    vfs.put_in(known.kept[number].clone(), 1)
    ledgers = PageLedgers(vfs)
    ledger = start(ledgers)
    with pytest.raises(Violation, match="were given"):
        known.judge(ledger, 0, 5)
    with pytest.raises(Violation, match="were acknowledged") as told:
        known.judge(ledger, number + 9, number + 9)
    assert told.value.lost > 0
    ledgers.die()


def test_the_settings_are_the_shipped_ones(vfs: Vfs, tmp_path: Path) -> None:
    from netsky.node.db.ledger import SqliteLedgers

    ledgers = PageLedgers(vfs)
    here, shipped = start(ledgers), SqliteLedgers().open(str(tmp_path / "meta.db"))
    names = ("cache_size", "wal_autocheckpoint", "journal_size_limit", "secure_delete", "locking_mode", "page_size")
    asked = [Statement(f"PRAGMA {name}") for name in names]
    assert done(here.transaction(asked)) == done(shipped.transaction(asked))
    assert {**done(settings(here)), "page_count": 0} == {**done(settings(shipped)), "page_count": 0}
    ledgers.die()
    shipped.close()


def test_the_same_seed_is_the_same_story_in_another_process(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "netsky.node.lab.pages", "--replay", "1000006"]
    env = {**os.environ, "PYTHONHASHSEED": "77"}
    other = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=300).stdout
    with campaign(1) as made:
        made.play(1_000_005)
        story = made.play(1_000_006)
    assert len(story) > 1
    assert other.splitlines()[: len(story)] == story


def test_the_command_says_what_it_did_and_exits_with_one_for_a_loss(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--cuts", "5", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"]
    assert answer["lost"] == 0
    monkeypatch.setattr(Campaign, "run", lambda self, _: [self.play(seed) for seed in range(1_000_000, 1_000_012)])
    assert main(["--synchronous", "normal"]) == 1
    said = capsys.readouterr().out
    assert "violated: " in said
    assert "power cuts in 12 cases of seed 1" in said
