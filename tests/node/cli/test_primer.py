from __future__ import annotations

from netsky.node.cli.primer import PRIMER_TOKENS_MAX, primer_text, tokens
from netsky.node.cli.table import commands

from tests.node.cli.conftest import Run


def test_the_primer_fits_its_tokens() -> None:
    assert tokens(primer_text(commands().values())) <= PRIMER_TOKENS_MAX


def test_tokens_are_counted_so_that_real_ones_are_fewer() -> None:
    assert tokens("word " * 100) >= 143
    assert tokens("x" * 350) == 100


def test_the_primer_names_what_an_agent_does(run: Run) -> None:
    ran = run("primer")
    assert ran.code == 0
    for command in ("netsky channel drain", "netsky channel ack ID", "netsky send", "netsky wait reply ID"):
        assert command in ran.out
    for command in commands().values():
        assert (command.primer in ran.out) == bool(command.primer) or not command.primer


def test_the_primer_is_made_from_the_table() -> None:
    (first, *rest) = [command for command in commands().values() if command.primer]
    changed = primer_text([first._replace(primer="something new"), *rest])
    assert "something new" in changed
    assert first.primer not in changed
