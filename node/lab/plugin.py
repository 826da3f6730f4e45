"""The pytest plugin: `async def` tests that take `mesh` run in a simulated mesh of their own, in virtual time.

    async def test_it_answers_although_its_machine_was_cut_off(mesh): ...
    @pytest.mark.netsky(siblings=3, routes=["agent1@netsky1 -> agent1@netsky2: text reply"])
    pytest --netsky-seed 7          another order of things; 1-20 runs each such test with each of these seeds

pytest loads this in every project that has netsky installed, so it imports nothing else of ours until a test wants a
mesh. It runs such tests itself, by the seed alone: whether pytest-trio, pytest-asyncio or anyio are there does not
matter.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from netsky.node.lab.trial import Trial

MARKER = "netsky"
SEED_OPTION = "--netsky-seed"
SEEDS_MAX = 10_000
_SEEDS_FORM = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_STORY = pytest.StashKey[Any]()
_TRIAL: pytest.StashKey[Trial] = pytest.StashKey()


class Planned:
    """What a test's `mesh` is until the test runs: a mesh lives in virtual time alone."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"mesh.{name}: a mesh runs in `async def` tests only, not in fixtures and plain tests; "
            "make what several tests share an async function that takes the mesh, and await it in each"
        )


@pytest.fixture
def netsky_seed(request: pytest.FixtureRequest) -> int:
    """By what the order of tasks, latencies, ids and waits of this test's mesh are drawn."""
    seed: int = getattr(request, "param", 0)
    return seed


@pytest.fixture
def mesh(netsky_seed: int) -> Planned:
    """A running mesh: netsky0, and as many siblings as the marker says (`netsky help testing`)."""
    return Planned(netsky_seed)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("netsky").addoption(
        SEED_OPTION, type=_seeds, default=None, metavar="SEED",
        help="the seed of tests in a simulated mesh (0), or FIRST-LAST for each of them",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(siblings=2, routes=()): the mesh of this test, and which lines its root has under [routes]",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    seeds = metafunc.config.getoption(SEED_OPTION)
    if seeds is not None and "netsky_seed" in metafunc.fixturenames:
        ids = [f"seed{seed}" for seed in seeds] if len(seeds) > 1 else [pytest.HIDDEN_PARAM]
        metafunc.parametrize("netsky_seed", seeds, indirect=True, ids=ids)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Others put a runner of theirs in the place of an async function: the function itself is remembered before."""
    if isinstance(item, pytest.Function) and _planned(item):
        item.stash[_STORY] = item.obj
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    __tracebackhide__ = True
    story = pyfuncitem.stash.get(_STORY, None)
    if story is None:
        return None
    _check(pyfuncitem, story)
    from netsky.node.lab.trial import Broken, Trial  # noqa: PLC0415 - not before a test wants it

    names = pyfuncitem._fixtureinfo.argnames  # as pytest itself calls a test
    given = {name: pyfuncitem.funcargs[name] for name in names}
    planned = [name for name, value in given.items() if isinstance(value, Planned)]
    seed = next(value.seed for value in pyfuncitem.funcargs.values() if isinstance(value, Planned))
    trial = pyfuncitem.stash[_TRIAL] = Trial(seed=seed, **_marked(pyfuncitem))
    try:
        trial.run(lambda mesh: story(**given | dict.fromkeys(planned, mesh)))
    except Broken as broken:
        _wrong(str(broken))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    trial = item.stash.get(_TRIAL, None)
    if trial is not None and report.when == "call" and report.failed:
        name = item.nodeid.partition("[seed")[0] if "[seed" in item.nodeid else item.nodeid
        again = f"seed {trial.seed}. The same run again: pytest {name!r} {SEED_OPTION} {trial.seed}"
        report.sections.append(("netsky", again))
        if trial.failures:
            report.sections.append(("netsky: what agents raised", "\n".join(trial.failures)))
    return report


def _planned(item: pytest.Function) -> bool:
    return any(isinstance(value, Planned) for value in item.funcargs.values())


def _check(item: pytest.Function, story: Any) -> None:
    __tracebackhide__ = True
    if hasattr(story, "hypothesis"):
        _wrong(
            f"{item.name}: a mesh is made for a test, not for each example; "
            "in a plain test with @given: from netsky.node.lab.trial import run_mesh"
        )
    if not inspect.iscoroutinefunction(story):
        _wrong(f"{item.name} takes a mesh, so it must be an async function: async def {item.name}")
    for name, value in item.funcargs.items():
        if inspect.isawaitable(value) or inspect.isasyncgen(value) or type(value).__module__.startswith("pytest_trio"):
            _wrong(
                f"{item.name}: the fixture {name} is async, and tests in a mesh run in a loop of their own; "
                f"make it plain, or an async function that the test awaits"
            )


def _marked(item: pytest.Function) -> dict[str, Any]:
    """The closest marker wins."""
    __tracebackhide__ = True
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return {}
    unknown = [*map(repr, marker.args), *sorted(set(marker.kwargs) - {"siblings", "routes"})]
    if unknown:
        _wrong(f"@pytest.mark.{MARKER} takes siblings and routes by name, not {', '.join(unknown)}")
    return dict(marker.kwargs)


def _wrong(sentence: str) -> NoReturn:
    __tracebackhide__ = True
    pytest.fail(sentence, pytrace=False)


def _seeds(word: str) -> list[int]:
    found = _SEEDS_FORM.fullmatch(word)
    if found is not None:
        first, last = int(found[1]), int(found[2] or found[1])
        if first <= last < first + SEEDS_MAX:
            return list(range(first, last + 1))
    raise argparse.ArgumentTypeError(f"{word!r} is no seed and no FIRST-LAST of at most {SEEDS_MAX}")
