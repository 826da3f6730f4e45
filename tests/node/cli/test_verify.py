"""`netsky channel verify`: who ordered it is proven in this process, from sealed bytes, charter and roster alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from netsky.envelope.batch import Batch, Statement, encode_batch, leaves, proof, seal
from netsky.envelope.fields import Body, Header
from netsky.envelope.file import Proof, to_file
from netsky.envelope.wire import decode_header, encode_body, encode_header
from netsky.mesh.charter import Charter, seal_charter
from netsky.mesh.roster import Member, Roster, seal_roster
from netsky.mesh.route import Route, bitmap_of, seal_route

from tests.node.cli.conftest import Run, StubNode
from tests.node.stations import key, private_key

MESH = b"the mesh of test"
OWNER, STRANGER = 100, 101
NOW = 1_700_000_000 * 10**9
WORDS, BRIEF, TASK = "owners-words", "brief-of-root", "task-of-one"


def header(id_: str, sender: str, origin: int, to: str, destination: int, **more: Any) -> Header:
    made = Header(
        v=1, id=id_, origin=key(origin), sender=sender, destination=key(destination), to=to, kind="brief",
        in_reply_to=None, thread=None, swarm=None, idempotency_key=None, requires_ack=False,
        ts=NOW, clock=NOW, expires=NOW + 10**15, parent=None,
    )  # fmt: skip
    return replace(made, **more)


def sealed(signer: int, *headers: Header, mesh: bytes = MESH) -> Batch:
    statements = [Statement(encode_header(one), encode_body(BODY)) for one in headers]
    return seal(private_key(signer).sign, key(signer), "envelope", mesh, statements)


BODY = Body(text="count them", data=None, attachments=())
OWNERS = header(WORDS, "owner", 0, "agent0", 0)
BRIEFED = header(BRIEF, "agent0@netsky0", 0, "agent0@netsky1", 1, parent=WORDS)
TASKED = header(TASK, "agent0@netsky1", 1, "agent0@netsky2", 2, parent=BRIEF)
OTHER = replace(TASKED, id="another")


@dataclass
class Case:
    """An envelope from netsky1 that came to netsky2 over the root, position 1 of its batch; and what is in its home."""

    batch: Batch = field(default_factory=lambda: sealed(1, OTHER, TASKED, replace(TASKED, id="third")))
    position: int = 1
    route: Route | None = None
    route_by: int = 0
    route_mesh: bytes = MESH
    charter: Charter = field(default_factory=lambda: Charter(MESH, key(OWNER), 1, key(0), (), "", 0, b"", 1))
    owner: int = OWNER
    roster: Roster | None = None
    root: int = 0
    me: int = 2
    answer: dict[str, Any] = field(default_factory=dict)
    causes: list[tuple[Header, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.route = route_over(self.batch)
        self.roster = Roster(MESH, key(0), 1, 7, 1, 7, tuple(member(number) for number in (0, 1, 2)))

    def install(self, home: Path, *, charter: bool = True, roster: bool = True) -> None:
        if charter:
            (home / "charter").write_bytes(seal_charter(self.charter, private_key(self.owner).sign))
        if roster and self.roster is not None:
            (home / "roster").write_bytes(seal_roster(self.roster, private_key(self.root).sign))
        (home / "node.key").write_text(bytes([self.me + 1] * 32).hex() + "\n")
        (home / "node.key").chmod(0o600)

    def proof(self) -> dict[str, Any]:
        route = None
        if self.route is not None:
            sign = private_key(self.route_by).sign
            route = seal_route(sign, key(self.route_by), self.route_mesh, self.route).hex()
        return {
            "id": TASK,
            "batch": encode_batch(proof(self.batch, self.position)).hex(),
            "route": route,
            "life": 3,
            "number": 11,
            "via": "link",
            "causes": [cause(one, signer) for one, signer in self.causes],
            "missing": None,
        } | self.answer


def member(number: int, **more: Any) -> Member:
    return Member(key(number), f"netsky{number}", f"machine {number}", **more)


def route_over(batch: Batch, *positions: int, **more: Any) -> Route:
    """By default all but the first: the second one is number 10 + 1 of them."""
    routed = positions or (0, 1)
    made = Route(
        *(1, "work", 3, 10, key(2), len(routed), sha256(b"".join(leaves(batch))).digest(), bitmap_of(routed), 6),
        *(NOW, NOW),
    )  # fmt: skip
    return replace(made, **more)


def cause(one: Header, signer: int, via: str = "operator") -> dict[str, Any]:
    batch = sealed(signer, one)
    bare = Batch(1, batch.type, batch.mesh, batch.key, batch.signature, tuple(leaves(batch)))
    shown = {"header": encode_header(one).hex(), "body_hash": sha256(encode_body(BODY)).hexdigest()}
    return {"id": one.id, "batch": encode_batch(bare).hex(), "via": via} | shown


@pytest.fixture
def case() -> Case:
    return Case()


def file_of(case: Case, folder: Path, **more: Any) -> Path:
    said = {"reign": 1, "life": 3, "number": 11} | more
    path = folder / "envelope.json"
    path.write_bytes(to_file(TASKED, BODY, Proof(key(1), TASK, leaves(case.batch)[1], **said)))
    return path


def keep(case: Case, path: Path) -> None:
    Path(f"{path}.seal").write_text(json.dumps(case.proof()))


def test_it_is_proven_offline_from_a_file_and_its_seal(run: Run, home: Path, case: Case) -> None:
    case.install(home)
    path = file_of(case, home)
    keep(case, path)
    ran = run("channel", "verify", str(path))
    assert (ran.code, ran.err) == (0, "")
    for said in (
        "netsky1 (machine 1, key",
        "agent0@netsky1 to agent0@netsky2",
        "let it pass to netsky2 (this node): reign 1, work lane, life 3, number 11, by roster version 6",
        "here version 7 is in force",
        "charter of reign 1, sealed by the owner key",
        f"not known here: {BRIEF}, from which that follows; on netsky1: netsky channel verify {BRIEF}",
    ):
        assert said in ran.out
    assert run("envelope", "verify", str(path)).code == 0


def test_the_node_gives_the_bytes_of_an_id_and_they_can_be_kept(
    run: Run, home: Path, case: Case, node: StubNode
) -> None:
    case.install(home)
    node.verbs["proof"] = lambda args: case.proof()
    ran = run("--json", "channel", "verify", "x" * 26 + TASK)
    assert ran.code == 5, "the node answered about another id"
    node.verbs["query"] = lambda args: {"columns": ["id"], "rows": [[TASK]], "truncated": False}
    ran = run("--json", "channel", "verify", TASK)
    assert ran.json["data"]["route"] == {"reign": 1, "lane": "work", "life": 3, "roster": 6, "number": 11}
    assert (ran.json["data"]["proven"], ran.json["data"]["owner"], ran.json["data"]["chain"]) == (True, False, [])
    assert run("channel", "verify", TASK, "--keep").code == 2
    channel = home / "channels" / "agent0"
    for folder in ("inbox", "archive"):
        (channel / folder).mkdir(parents=True)
    path = file_of(case, channel / "inbox")
    ran = run("--json", "channel", "verify", str(path), "--keep")
    assert ran.json["data"]["kept"] == str(channel / "archive" / "envelope.json.seal"), "no stranger in an inbox"
    node.stop()
    assert run("channel", "verify", str(path)).code == 0
    path.rename(channel / "archive" / "envelope.json")
    assert run("channel", "verify", str(channel / "archive" / "envelope.json")).code == 0


def test_the_chain_goes_up_to_the_owners_words_and_says_how_they_came(run: Run, home: Path) -> None:
    """At netsky0, which alone has all of it; bodies are not shown, and need not be."""
    case = Case(sealed(0, BRIEFED), position=0, me=0)
    case.answer = {"id": BRIEF, "route": None, "via": "actor", "life": None, "number": None}
    case.causes = [(OWNERS, 0)]
    case.install(home)
    path = home / "envelope.json"
    path.write_bytes(to_file(BRIEFED, BODY, Proof(key(0), BRIEF, leaves(case.batch)[0])))
    keep(case, path)
    ran = run("--json", "channel", "verify", str(path))
    assert ran.json["data"]["owner"] is True
    assert [one["id"] for one in ran.json["data"]["chain"]] == [WORDS]
    said = "\n".join(ran.json["data"]["lines"])
    assert f"it follows from {WORDS}: brief, owner@netsky0 to agent0@netsky0, sealed by netsky0" in said
    assert "by operator.sock, so from a shell of the account that runs netsky0 (its own record" in said
    assert "not known here: its route; netsky1 has it" in said


def test_a_chain_longer_than_this_node_is_told_as_far_as_it_goes(run: Run, home: Path, case: Case) -> None:
    case.causes = [(BRIEFED, 0)]
    case.answer = {"missing": WORDS}
    case.install(home)
    path = file_of(case, home)
    keep(case, path)
    ran = run("--json", "channel", "verify", str(path))
    assert ran.code == 0
    assert ran.json["data"]["lines"][-1].endswith(f"on netsky0: netsky channel verify {WORDS}")
    assert ran.json["data"]["owner"] is False


def test_who_never_got_what_it_names_as_its_cause_gains_nothing_by_it(run: Run, home: Path) -> None:
    case = Case(sealed(1, OTHER, replace(TASKED, parent=WORDS)))
    case.causes = [(OWNERS, 0)]  # the owner said that to agent0@netsky0, not to agent0@netsky1
    case.install(home)
    path = home / "envelope.json"
    told = Proof(key(1), TASK, leaves(case.batch)[1], 1, 3, 11)
    path.write_bytes(to_file(replace(TASKED, parent=WORDS), BODY, told))
    keep(case, path)
    ran = run("--json", "channel", "verify", str(path))
    assert ran.json["data"]["owner"] is False
    assert f"{WORDS} was not for agent0@netsky1, who says so" in ran.json["data"]["lines"][-1]


# What must not pass.


def of_route(**more: Any) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        assert case.route is not None
        case.route = replace(case.route, **more)

    return change


def of_case(**more: Any) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        for name, value in more.items():
            setattr(case, name, value)

    return change


def of_roster(*members: Member, **more: Any) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        assert case.roster is not None
        case.roster = replace(case.roster, **({"members": members} if members else {}), **more)

    return change


def of_charter(**more: Any) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        case.charter = replace(case.charter, **more)

    return change


def other_owner(case: Case) -> None:
    """Of the same mesh id, with an owner and a root of its own."""
    case.charter = replace(case.charter, owner_key=key(STRANGER), root_key=key(STRANGER))
    case.owner = STRANGER


def as_if_by(signer: int) -> Batch:
    """Sealed by another than the one it names."""
    return sealed(signer, OTHER, TASKED)


def relabelled() -> Batch:
    return replace(sealed(1, OTHER, TASKED), key=key(STRANGER))


def of_batch(batch: Batch) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        case.batch, case.route = batch, route_over(batch)

    return change


def with_causes(*causes: dict[str, Any]) -> Callable[[Case], None]:
    return of_case(answer={"causes": list(causes)})


AS_OWNER = replace(TASKED, sender="owner@netsky1")
AS_ROOT = replace(TASKED, sender="agent0@netsky0")
TAMPERED: dict[str, tuple[Callable[[Case], None], str]] = {
    "another key sealed the batch": (of_batch(as_if_by(STRANGER)), "names another origin than the key that sealed it"),
    "another key in the batch": (of_batch(relabelled()), "the seal does not hold"),
    "a batch of another mesh": (of_batch(sealed(1, OTHER, TASKED, mesh=bytes(range(16)))), "sealed in the mesh"),
    "a batch from before the mesh": (of_batch(sealed(1, OTHER, TASKED, mesh=bytes(16))), "belonged to no mesh then"),
    "no route": (of_case(route=None), "there is no route"),
    "a route for another key": (of_route(destination=key(1)), "route is for the key"),
    "a route of another reign": (of_route(reign=2), "route is of reign 2, and the charter here of reign 1"),
    "a route by a sibling": (of_case(route_by=1), "not sealed by the root of this mesh"),
    "a route of another mesh": (of_case(route_mesh=bytes(range(16))), "not sealed by the root of this mesh"),
    "a route over another batch": (of_route(leaves=bytes(32)), "over another batch"),
    "a bitmap that leaves it out": (of_route(bitmap=bitmap_of((0, 2))), "lets others of its batch pass, and not this"),
    "another number": (of_route(first=11), "another reign, life or number"),
    "another life": (of_route(life=4), "another reign, life or number"),
    "filed under another number": (of_case(answer={"number": 12}), "filed it under another life or number"),
    "a route that is no route": (of_case(answer={"route": "00"}), "its route does not hold"),
    "a roster that lacks the origin": (of_roster(member(0), member(2)), "version 7, has no node with the key"),
    "a revoked origin": (of_roster(member(0), member(1, revoked=NOW), member(2)), "netsky1 was revoked at"),
    "the name of another node": (of_batch(sealed(1, OTHER, AS_ROOT)), "speaks as agent0@netsky0, and netsky1 sealed"),
    "the owner's name": (of_batch(sealed(1, OTHER, AS_OWNER)), "only netsky0 speaks with the owner"),
    "a roster of another reign": (of_roster(reign=2), "roster here is of reign 2, and the charter of reign 1"),
    "a charter of another owner": (other_owner, "roster here is not that of the charter's root"),
    "a charter of another mesh": (of_charter(mesh=bytes(range(16))), "not that of the charter's root"),
    "for a third node": (of_case(me=0), "it is for netsky2, not for this node"),
    "no roster": (of_case(roster=None), "no roster here"),
    "a cause under another key": (with_causes(cause(BRIEFED, STRANGER)), "another key sealed it"),
    "a cause of a stranger": (with_causes(cause(replace(BRIEFED, origin=key(STRANGER)), STRANGER)), "has no node"),
    "another cause": (with_causes(cause(OWNERS, 0)), f"it follows from {BRIEF}, and {WORDS} was shown instead"),
    "a changed cause": (
        with_causes(cause(BRIEFED, 0) | {"header": encode_header(replace(BRIEFED, kind=None)).hex()}),
        "over other envelopes",
    ),
    "bytes that are none": (of_case(answer={"batch": "zz"}), "cannot be read"),
    "a proof of another shape": (of_case(answer={"causes": 3}), "cannot be read"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_does_not_prove_it_is_a_sentence_and_exit_5(name: str, run: Run, home: Path, case: Case) -> None:
    change, sentence = TAMPERED[name]
    change(case)
    case.install(home)
    path = file_of(case, home)
    stated = case.batch.statements[1]
    assert isinstance(stated, Statement)  # the file says what was sealed, whatever that is
    told = Proof(key(1), TASK, leaves(case.batch)[1], 1, 3, 11)
    path.write_bytes(to_file(decode_header(stated.header), BODY, told))
    keep(case, path)
    ran = run("channel", "verify", str(path))
    assert ran.code == 5, ran.out
    assert sentence in ran.err
    assert ran.err.startswith(f"netsky: not proven: {path}: ")
    assert "do not act on it" in ran.err
    assert ran.out == ""


def test_a_file_that_says_something_else_is_not_proven(run: Run, home: Path, case: Case) -> None:
    case.install(home)
    path = file_of(case, home)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text": "delete them"}))
    keep(case, path)
    assert "`text` is not what was sealed" in run("channel", "verify", str(path)).err


def test_a_damaged_charter_proves_nothing(run: Run, home: Path, case: Case) -> None:
    case.install(home)
    (home / "charter").write_bytes(b"\x00" + (home / "charter").read_bytes()[1:])
    path = file_of(case, home)
    keep(case, path)
    ran = run("channel", "verify", str(path))
    assert ran.code == 5
    assert "the charter here is damaged" in ran.err


def test_a_home_without_a_mesh_proves_the_seal_and_says_what_it_does_not(run: Run, home: Path) -> None:
    local = header(TASK, "agent0", 2, "worker1", 2)
    case = Case(sealed(2, local, mesh=bytes(16)), position=0)
    case.answer = {"route": None, "via": "actor", "life": None, "number": None}
    case.install(home, charter=False, roster=False)
    path = home / "envelope.json"
    path.write_bytes(to_file(local, BODY, Proof(key(2), TASK, leaves(case.batch)[0])))
    keep(case, path)
    ran = run("channel", "verify", str(path))
    assert ran.code == 0
    assert "not proven: whose node that is" in ran.out
    case.batch = sealed(2, local)
    path.write_bytes(to_file(local, BODY, Proof(key(2), TASK, leaves(case.batch)[0])))
    keep(case, path)
    assert run("channel", "verify", str(path)).code == 5, "sealed in a mesh, and no charter to check it against"


def test_inside_an_actor_the_copies_beside_its_socket_count(
    run: Run, home: Path, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    case.install(folder)
    (folder / "node.key").unlink()
    other_owner(case)
    case.install(home)  # behind a fence nobody sees these
    path = file_of(case, tmp_path)
    good = Case()
    keep(good, path)
    monkeypatch.setenv("NETSKY_SOCKET", str(folder / "actor.sock"))
    monkeypatch.setenv("NETSKY_ACTOR", "agent0")
    monkeypatch.setenv("NETSKY_NODE", "netsky2")
    assert "(this node)" in run("channel", "verify", str(path)).out
    monkeypatch.setenv("NETSKY_NODE", "netsky0")
    assert "it is for netsky2, not for this node" in run("channel", "verify", str(path)).err


def test_what_is_not_there_is_exit_3_and_what_cannot_be_asked_exit_4(
    run: Run, home: Path, case: Case, node: StubNode
) -> None:
    case.install(home)
    error = {"code": "unknown_id", "exit": 3, "message": "no envelope has the id", "next": "netsky channel ls"}
    node.verbs["proof"] = lambda args: {"error": error}
    assert run("channel", "verify", "x" * 32).code == 3
    assert run("channel", "verify", str(home / "missing.json")).code == 3
    assert run("channel", "verify", str(file_of(case, home))).code == 5, "the node knows nothing of that file"
    node.stop()
    assert run("channel", "verify", "x" * 32).code == 4


# Answers of the owner to what was asked here.

ASK = header("the-ask", "worker1@netsky2", 2, "owner@netsky0", 0, kind="question")
ANSWER = header(TASK, "owner@netsky0", 0, "worker1@netsky2", 2, kind="reply", in_reply_to="the-ask")
AT_DEADLINE = replace(ANSWER, id="deadline-" + "0" * 32)


def answer_of_root(case: Case, one: Header, data: bytes | None = None) -> None:
    body = Body(text="keep it", data=data, attachments=())
    statement = Statement(encode_header(one), encode_body(body))
    case.batch = seal(private_key(0).sign, key(0), "envelope", MESH, [statement])
    case.position, case.route = 0, route_over(case.batch, 0)
    case.causes = [(ASK, 2)]
    case.answer |= {"id": one.id, "number": 10}


def test_the_owners_answer_is_proven_to_be_the_owners(run: Run, node: StubNode, home: Path, case: Case) -> None:
    answer_of_root(case, ANSWER)
    case.install(home)
    node.verbs |= {"proof": lambda args: case.proof(), "query": lambda args: {"rows": [[TASK]]}}
    ran = run("--json", "channel", "verify", ANSWER.id)
    assert (ran.json["data"]["answered"], ran.json["data"]["owner"]) == ("owner", True)
    said = " ".join(ran.json["data"]["lines"])
    assert f"these are the owner's words: netsky0 sealed {TASK} as such" in said
    assert "it answers the-ask: question, worker1@netsky2 to owner@netsky0, sealed by netsky2" in said


def test_an_answer_at_the_deadline_is_proven_to_be_netsky0s_and_not_the_owners(
    run: Run, node: StubNode, home: Path, case: Case
) -> None:
    answer_of_root(case, AT_DEADLINE, b'{"by":"deadline","deadline":%d}' % (NOW - 3 * 3_600 * 10**9))
    case.install(home)
    node.verbs |= {"proof": lambda args: case.proof(), "query": lambda args: {"rows": [[TASK]]}}
    ran = run("--json", "channel", "verify", AT_DEADLINE.id)
    assert (ran.json["data"]["proven"], ran.json["data"]["answered"], ran.json["data"]["owner"]) == (
        *(True, "deadline", False),
    )  # fmt: skip
    said = " ".join(ran.json["data"]["lines"])
    assert "not the owner's words: nobody had answered at the deadline of the-ask" in said
    assert "that answer is 3h late" in said
    assert "these are the owner's words" not in said


def test_what_follows_from_an_answer_at_the_deadline_is_not_the_owners_will(
    run: Run, node: StubNode, home: Path, case: Case
) -> None:
    """Also where the answer's body is not shown, and the ask is not known: the header alone tells."""
    follows = replace(TASKED, sender="agent0@netsky1", parent=AT_DEADLINE.id)
    answered_one = replace(AT_DEADLINE, to="agent0@netsky1", destination=key(1))
    case.batch = sealed(1, follows)
    case.position, case.route = 0, route_over(case.batch, 0)
    case.answer |= {"number": 10}
    case.causes = [(answered_one, 0)]
    case.install(home)
    node.verbs |= {"proof": lambda args: case.proof(), "query": lambda args: {"rows": [[TASK]]}}
    ran = run("--json", "channel", "verify", TASK)
    assert (ran.json["data"]["answered"], ran.json["data"]["owner"]) == (None, False)
    assert "not the owner's words" in " ".join(ran.json["data"]["lines"])
