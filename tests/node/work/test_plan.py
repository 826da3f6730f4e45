"""A plan is read whole, or every fault of it is said with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.node.work import ticket as tickets
from netsky.node.work.plan.graph import cycle, overlaps
from netsky.node.work.plan.plan import Plan, Reading, read_plan

GOOD = """
name = "demo"
title = "A demo"
[defaults]
constraints = { max_retries = 2 }
on = ["netsky1"]
[[ticket]]
id = "build"
runtime = "command"
command = ["make", "-j2"]
idempotency_key = "demo/build"
[ticket.permission_scope]
fs_write = ["src/"]
[[ticket]]
id = "test"
after = ["build"]
text = '''
[[ticket]]
id = "not one"
'''
constraints = { timeout_ms = 5000 }
"""


def faults(text: str) -> list[tuple[int, str]]:
    found = read_plan(text)
    assert isinstance(found, list), found
    return [(fault.line, fault.sentence) for fault in found]


def test_a_good_plan_is_read_with_its_defaults() -> None:
    plan = read_plan(GOOD)
    assert isinstance(plan, Plan), plan
    build, test = plan.tickets
    assert (build.name, build.spec.command, build.spec.on) == ("build", ("make", "-j2"), ("netsky1",))
    assert build.spec.permission_scope.fs_write == ("src/",)
    assert (test.after, test.spec.constraints) == (("build",), tickets.Constraints(5_000, 2))
    assert "[[ticket]]" in test.spec.text
    assert tickets.decode(tickets.encode(build.spec)) == build.spec


WRONG = {
    "name = ": (1, "is not TOML: Invalid value"),
    '[[ticket]]\nid = "a"': (1, "name is missing"),
    'name = "A b"\n[[ticket]]\nid = "a"': (1, "name has to be 1 to 40 of a-z"),
    'name = "x"': (1, "a plan has tickets"),
    'name = "x"\n[[ticket]]\ntitle = "a"': (2, "this ticket has no id"),
    'name = "x"\n[[ticket]]\nid = "a"\nrole = "king"': (4, "role is one of"),
    'name = "x"\n[[ticket]]\nid = "a"\nwish = 1': (4, "'wish' is unknown here"),
    'name = "x"\n[[ticket]]\nid = "a"\n[[ticket]]\nid = "a"': (5, "a is there twice"),
    'name = "x"\n[[ticket]]\nid = "a"\nafter = ["b"]': (4, "a comes after b, which is no ticket"),
    'name = "x"\n[[ticket]]\nid = "a"\nafter = ["b"]\n[[ticket]]\nid = "b"\nafter = ["a"]': (4, "a → b → a wait for"),
    'name = "x"\n[[ticket]]\nid = "a"\nruntime = "command"': (4, "a has no command"),
    'name = "x"\n[[ticket]]\nid = "a"\nruntime = "magic"': (4, "runtime is one of"),
    'name = "x"\n[[ticket]]\nid = "a"\nsuccess_criteria = ["make"]': (2, "a does nothing (noop)"),
    'name = "x"\n[[ticket]]\nid = "a"\nruntime = "command"\ncommand = ["x"]\n'
    '[ticket.permission_scope]\nfs_write = ["s"]': (
        6, "a writes and has no idempotency_key"),
    'name = "x"\n[[ticket]]\nid = "a"\npermission_scope = { fs_write = ["../up"] }': (4, "has to be a path inside"),
    'name = "x"\n[[ticket]]\nid = "a"\npermission_scope = { fs_write = ["a/.GIT/hooks"] }': (4, "is git's own"),
    'name = "x"\n[[ticket]]\nid = "a"\npermission_scope = { net = ["example.org"] }': (4, "has to be host:port"),
    'name = "x"\n[[ticket]]\nid = "a"\nconstraints = { max_retries = 101 }': (4, "max_retries has to be from 0 to 100"),
    'name = "x"\n[[ticket]]\nid = "a"\nconstraints = { max_retries = true }': (4, "has to be a whole number"),
    'name = "x"\n[[ticket]]\nid = "a"\ncontext_pointers = ["http://x"]': (4, "is file:, log:, note:"),
    'name = "x"\n[[ticket]]\nid = "a"\nidempotency_key = "k"\n[[ticket]]\nid = "b"\nidempotency_key = "k"': (
        7, "b has the idempotency_key of a"),
    'name = "x"\n[defaults]\nidempotency_key = "k"\n[[ticket]]\nid = "a"': (3, "each ticket has one of its own"),
    'name = "x"\n[defaults]\nruntime = 3\n[[ticket]]\nid = "a"': (3, "[defaults] runtime is one of"),
    'name = "x"\nticket = 3': (2, "a plan has tickets"),
    'name = "x"\nticket = [3]': (1, "a ticket is a table"),
    'name = "x"\n[[ticket]]\nid = "a"\ntext = "\\u0007"': (4, "has a control character"),
}  # fmt: skip


@pytest.mark.parametrize("text", sorted(WRONG))
def test_each_fault_has_its_line_and_its_rule(text: str) -> None:
    line, sentence = WRONG[text]
    found = faults(text)
    assert any(at == line and sentence in said for at, said in found), found


def test_all_faults_are_said_at_once() -> None:
    text = 'name = "x"\n[[ticket]]\nid = "a"\nrole = "king"\n[[ticket]]\nid = "B"\nneeds = ["a b"]\n'
    assert [line for line, _ in faults(text)] == [4, 6, 7]


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    read_plan('name = "x"\n[[ticket]]\nid = "a"\n' + text)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "after", "on", "x"]), inner),
    max_leaves=12,
)


@given(json_like, json_like, json_like)
def test_no_value_makes_the_reader_fail(name: object, defaults: object, found: object) -> None:
    Reading({"name": name, "defaults": defaults, "ticket": found}).whole()
    Reading({"name": "x", "ticket": [{"id": "a", "after": found, "constraints": defaults}]}).whole()


def test_those_that_may_write_the_same_are_named_unless_one_comes_first() -> None:
    said = overlaps(
        {
            "a": ((), ["src/"]),
            "b": ((), ["src/x.py"]),
            "c": (("a", "b"), ["src/"]),
            "d": ((), ["docs/"]),
            "e": ((), ["srcs/"]),
            "f": (("c",), ["src/x.py"]),
        }
    )
    assert said == ["a and b may both write src/x.py, and neither comes after the other"]


def test_ten_thousand_tickets_in_a_row_are_no_burden() -> None:
    names = [f"t{number}" for number in range(10_000)]
    chain = {name: names[max(0, at - 1) : at] for at, name in enumerate(names)}
    assert cycle(chain) == []
    said = overlaps({name: (after, ["src/"]) for name, after in chain.items()})
    assert said == ["more than 100,000 pairs of tickets touch each other's paths; no more were compared"]
    assert cycle({**chain, "t0": ["t9999"]})
