"""``vecwire open``: a cable that never had any privilege, over every transport."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.command import NOBODY, reachable, vecwire_command
from peers.frames import fill, frame
from peers.net import Namespace, veth, wait_until
from peers.ports import LINKS, LOOPBACK, RIGHT4

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.background import Background
    from vecwire import Port

PATIENCE = 20.0
#: What the cable has at one end, and what stands opposite. At its other end is a bess server.
ENDS: dict[str, tuple[str, str]] = {
    **{kind: (spec, "raw,ifname=right0") for kind, spec in LINKS.items()},
    **{kind: LOOPBACK[kind] for kind in ("gre", "l2tpv3-udp", "l2tpv3-ip-cookies")},
    "bess": ("bess,listen=@near", "bess,dst=@near"),
    "bess-client": ("bess,dst=@near", "bess,listen=@near"),
}


def sets(pid: int) -> dict[str, list[str]]:
    """The lines of /proc/PID/status, by name."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return {name: value.split() for name, _, value in (line.partition(":") for line in text.splitlines())}


@contextlib.contextmanager
def cabled(kind: str, *options: str) -> Iterator[tuple[Background, Port, Port]]:
    """A cable of nobody's that is ready, and the ports opposite its ends, in one namespace."""
    near, opposite = ENDS[kind]
    with Namespace("open", ipv6=False) as namespace, contextlib.ExitStack() as stack:
        namespace.ip(f"addr add {RIGHT4}/8 dev lo")
        stack.enter_context(namespace.enter())
        server_first = opposite.startswith("bess,listen")
        if server_first:
            far = stack.enter_context(vecwire.open(opposite))
        if kind == "raw":
            veth((namespace, "left0"), (namespace, "right0"))
        cable = vecwire_command("cable", "--json", *options, near, "bess,listen=@end")
        argv = vecwire_command("open", "--user", "nobody", *cable)
        running = stack.enter_context(namespace.popen(reachable(argv, tun=True), name="open"))
        running.wait_for_event("ready", timeout=PATIENCE)
        if kind in {"tap", "hybrid"}:
            veth((namespace, "mid0"), (namespace, "right0"))
            namespace.up("tap0")
            namespace.bridge("bridge0", "tap0", "mid0")
        if not server_first:
            far = stack.enter_context(vecwire.open(opposite))
        end = stack.enter_context(vecwire.open("bess,dst=@end"))
        yield running, far, end


def crosses(sender: Port, receiver: Port, number: int) -> bool:
    """Whether a frame of this number has come, which is sent once more."""
    batch, got = sender.batch(), receiver.batch()
    fill(batch, [frame(number)])
    sender.send(batch)
    receiver.wait(0.05)
    receiver.recv(got)
    return any(bytes(each) == frame(number) for each in got)


@pytest.mark.parametrize("kind", ENDS)
def test_a_cable_that_never_had_privileges(kind: str) -> None:
    """As nobody, without a single capability and with no way to gain one, it moves frames both ways."""
    with cabled(kind) as (running, far, end):
        for number, (sender, receiver) in enumerate(((far, end), (end, far))):
            wait_until(
                lambda s=sender, r=receiver, n=number: crosses(s, r, n),  # type: ignore[misc]
                timeout=PATIENCE,
                what="the frame came through",
            )
        (pid,) = [each for each in descendants(running.process.pid) if "Seccomp" in sets(each)][-1:]
        for status in (sets(pid), *(sets(int(each.name)) for each in Path(f"/proc/{pid}/task").iterdir())):
            assert status["Uid"] == [str(NOBODY)] * 4
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert int(status[name][0], 16) == 0, name
            assert status["NoNewPrivs"] == ["1"]


def descendants(pid: int) -> list[int]:
    """A process and those that it has started, the youngest last."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(each for child in children for each in descendants(int(child)))]


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["true"], 2, "no argument of the command is a spec"),
        (["true", "tap,ifnam=a"], 2, "did you mean ifname?"),
        (["--user", "no-such-user", "true", "tap,ifname=tap0"], 1, "there is no user no-such-user"),
        (["true", "raw,ifname=nothere0"], 1, "there is no network interface nothere0"),
        (["/no/such/command", "bess,listen=@end"], 1, "cannot run /no/such/command"),
    ],
)
def test_what_is_wrong_is_told(words: list[str], status: int, told: str) -> None:
    """A command line that cannot be has its error, and its exit code."""
    with Namespace("open", ipv6=False) as namespace:
        done = namespace.run(vecwire_command("open", *words), check=False)
    assert done.returncode == status
    assert told in done.stderr


def test_the_command_gets_specs_in_the_place_of_specs() -> None:
    """Every other word of the command stays as it is, options like those of ``open`` too."""
    script = "import json, sys; print(json.dumps(sys.argv[1:]))"
    words = ["python3", "-c", script, "--user", "bess,listen=@a,depth=8", "x=1", "transport=bess,listen=@b"]
    with Namespace("open", ipv6=False) as namespace:
        done = namespace.run(vecwire_command("open", *words))
    got = json.loads(done.stdout)
    assert got[0] == "--user"
    assert got[2] == "x=1"
    assert [each.split(",fd=")[0] for each in (got[1], got[3])] == [
        "transport=bess,depth=8",
        "transport=bess",
    ]
