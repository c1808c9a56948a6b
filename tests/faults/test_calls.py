"""Every system call of opening, closing and moving frames fails, with every errno that its manual page lists.

``VECWIRE_FAULTS_SHARE`` says which share of the cases is run, ``VECWIRE_FAULTS_SEED`` which ones; the default
is short enough for every run. For all of them:
``VECWIRE_FAULTS_SHARE=1 make test PYTEST_ARGS='tests/faults/test_calls.py --timeout 0 -s'``, and with
``test_service.py`` the same for a service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peers.faults import EVERYBODYS, OURS, SEED, SHARE, Found, drive
from peers.faulty import PAIRS
from peers.manual import MANUAL
from peers.net import Namespace, veth
from peers.ports import LEFT6, RIGHT4, RIGHT6

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USED = (
    *(
        "raw",
        "raw,vec=0",
        "raw-options",
        "tap",
        "hybrid",
        "gre",
        "gre-ipv6",
        "l2tpv3-udp",
        "l2tpv3-udp,vec=0",
    ),
    *("l2tpv3-ip", "bess"),
)
HANDED = ("raw", "tap", "l2tpv3-udp", "bess", "bess-listen")
WORKED = ("work tap l2tpv3-udp", "work bess raw", "work hybrid gre", "work netns raw", "revive raw")


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Namespace, Namespace]]:
    """A namespace with a veth pair, a tap and addresses, and another one with the same addresses."""
    with Namespace("faults") as here, Namespace("faults-other") as there:
        for each in (here, there):
            each.up("lo", f"{RIGHT4}/8", f"{LEFT6}/128", f"{RIGHT6}/128")
        veth((here, "left0"), (here, "right0"))
        veth((here, "mid0"), (here, "right1"))
        here.tap("tap0")
        here.tap("tap1")
        here.bridge("bridge0", "tap1", "mid0")
        yield here, there


def run(
    site: tuple[Namespace, Namespace], folder: Path, *scenarios: str, share: float, **options: object
) -> None:
    """Runs a share of the cases of scenarios: all where the environment says so; none may be a problem."""
    here, there = site
    found = drive(
        here,
        folder,
        scenarios,
        share=SHARE or share,
        seed=SEED,
        VECWIRE_FAULTS_NETNS=str(there.path),
        **options,  # type: ignore[arg-type]  # what drive takes
    )
    assert [each.scenario for each in found] == list(scenarios)
    print("\n".join(map(told, found)))  # noqa: T201 # shown by -s, and where it fails
    problems = [(each.scenario, problem) for each in found for problem in each.problems]
    assert not problems, f"seed {SEED}: " + "\n".join(map(str, problems))
    for each in found:
        assert each.calls == sorted(call for call in each.counts if MANUAL[call].errnos)
        assert each.cases


def told(found: Found) -> str:
    """One line of what came of a scenario."""
    return f"{found.scenario}: {found.cases} cases, {found.unfired} not reached, {found.outcomes}"


def test_opening(site: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    """Whatever call of opening fails, the port works without it, or a named error leaves nothing behind."""
    run(site, tmp_path, *(f"open {kind}" for kind in PAIRS), share=0.04)


def test_closing(site: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    """Whatever call of closing fails, everything is given back."""
    run(site, tmp_path, *(f"close {kind}" for kind in PAIRS), share=0.04)


def test_handing_over(site: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    """Whatever call of opening for another program fails, it gets all of it, or nothing is left of it."""
    run(site, tmp_path, *(f"hand-over {kind}" for kind in HANDED), share=0.04)


def test_using(site: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    """Whatever call of a port in use fails, it is counted, and frames pass again when that is over."""
    run(site, tmp_path, *(f"use {kind}" for kind in USED), share=0.04)


@pytest.mark.parametrize("lasting", [False, True])
def test_working(site: tuple[Namespace, Namespace], tmp_path: Path, *, lasting: bool) -> None:
    """Whatever call of a worker or the keeper fails, once or for a while, frames pass again afterwards."""
    run(site, tmp_path, *WORKED, share=0.01, lasting=lasting)


def test_joining_and_recording(site: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    """Whatever call fails while cables, switches, captures and files begin and end, nothing is left of it."""
    run(site, tmp_path, "join", "record", share=0.04)


def test_no_memory_for_the_compiled_path(site: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    """Whatever allocation of the compiled modules fails, the error is named and nothing is left of it."""
    run(site, tmp_path, *(f"open {kind}" for kind in PAIRS), "join", share=0.4, memory=OURS)


def test_no_memory_at_all(site: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    """Whatever allocation fails, Python's own too, the error is named and nothing is left of it."""
    run(
        site,
        tmp_path,
        *(f"open {kind}" for kind in PAIRS),
        share=0.005,
        memory=EVERYBODYS,
        PYTHONMALLOC="malloc",
    )
