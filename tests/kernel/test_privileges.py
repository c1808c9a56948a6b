"""Privileges given up for real, in processes of their own: what is left, and that every port opens again."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from peers.command import NOBODY, reachable
from peers.net import Namespace, namespaces, veth
from peers.ports import LINKS, LOOPBACK, RIGHT4, TRANSPORTS
from vecwire.confine.capabilities import NAMES
from vecwire.service.privileges import needed
from vecwire.spec import parse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

pytestmark = pytest.mark.needs("ip", "setpriv")

#: Opens a spec, gives up all but some capabilities, and opens it again twice, the old one closed.
CHILD = """
import json, subprocess, sys
from pathlib import Path
import vecwire
from vecwire.service.privileges import keep
spec, then, capabilities, user = json.loads(sys.argv[1])
if spec:
    vecwire.open(spec).close()
keep(capabilities, user)
told = {"self": Path("/proc/self/status").read_text()}
told["child"] = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
try:
    for _ in range(2):
        with vecwire.open(then) as port:
            told["refused"] = dict(port.info.refused)
            told["up"] = port.info.up or port.info.transport == "bess"
except vecwire.VecwireError as error:
    told["error"] = error.errno
print(json.dumps(told))
"""

UDP_LOW = LOOPBACK["l2tpv3-udp"][0].replace("srcport=1701", "srcport=1001")
SPECS = {
    **{kind: ends[0] for kind, ends in LOOPBACK.items()},
    **LINKS,
    "bess-server": "bess,listen=@vecwire-test",
    "bess-client": "bess,dst=@vecwire-peer",
    "l2tpv3-udp-low": UDP_LOW,
}


def child(
    namespace: Namespace,
    spec: str,
    capabilities: Collection[str],
    *,
    user: str | None = "nobody",
    then: str | None = None,
    before: Collection[str] = (),
) -> dict[str, Any]:
    """What a process tells that opens `spec`, keeps `capabilities` as `user`, and opens it or `then`."""
    request = json.dumps([spec, then or spec, sorted(capabilities), user])
    done = namespace.run(reachable([*before, sys.executable, "-c", CHILD, request], tun=True))
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def sets(status: str) -> dict[str, str]:
    """The lines of /proc/PID/status, by name."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in status.splitlines())}


def mask(capabilities: Collection[str]) -> str:
    """A set of capabilities as /proc writes it."""
    return f"{sum(1 << NAMES.index(name) for name in capabilities):016x}"


@contextlib.contextmanager
def host(kind: str) -> Iterator[Namespace]:
    """A namespace that has what the spec of a kind needs."""
    with Namespace("priv", ipv6="ipv6" in kind) as namespace:
        namespace.ip(f"addr add {RIGHT4}/8 dev lo")
        if "ipv6" in kind:
            namespace.up("lo", "fd00::1/128", "fd00::2/128")
        if kind == "raw":
            veth((namespace, "left0"), (namespace, "right0"))
        with contextlib.ExitStack() as stack:
            if kind == "bess-client":
                with namespace.enter():
                    stack.enter_context(_listening())
            yield namespace


@contextlib.contextmanager
def _listening() -> Iterator[None]:

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind("\0vecwire-peer")
        server.listen(8)
        yield


def test_all_transports_are_tried() -> None:
    """The table of specs has every transport of the suite of the contract."""
    assert {kind.removesuffix("-server").removesuffix("-client") for kind in SPECS} >= set(TRANSPORTS) - {
        "memory"
    }


@pytest.mark.parametrize("kind", SPECS)
def test_every_transport_opens_again_with_what_it_needs(kind: str) -> None:
    """Opened by root, given up, and opened again as another user with exactly what `needed` says."""
    spec = SPECS[kind]
    capabilities = needed([parse(spec)], force_buffers=False)
    with host(kind) as namespace:
        told = child(namespace, spec, capabilities)
    assert "error" not in told
    assert told["up"]
    status = sets(told["self"])
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == mask(capabilities)


@pytest.mark.parametrize(
    ("kind", "without"),
    [(kind, name) for kind in SPECS for name in sorted(needed([parse(SPECS[kind])], force_buffers=False))],
)
def test_nothing_is_kept_that_is_not_needed(kind: str, without: str) -> None:
    """Without any one of the capabilities that a spec needs it is refused: `needed` asks for no more."""
    spec = SPECS[kind]
    with host(kind) as namespace:
        told = child(namespace, spec, needed([parse(spec)], force_buffers=False) - {without})
    assert told["error"] in {errno.EPERM, errno.EACCES}


def test_a_port_of_another_namespace_opens_again() -> None:
    """CAP_SYS_ADMIN, which netns= takes, is kept, and enters the namespace as another user."""
    with namespaces("priv", "there", ipv6=False) as (here, there):
        veth((there, "left0"), (there, "right0"))
        spec = f"raw,ifname=left0,netns={there.name}"
        told = child(here, spec, needed([parse(spec)], force_buffers=False))
        assert "error" not in told
        told = child(here, spec, {"CAP_NET_RAW"})
        assert told["error"] in {errno.EPERM, errno.EACCES}


def test_large_buffers_are_had_again() -> None:
    """With CAP_NET_ADMIN kept a socket passes the host's limits again."""
    spec = SPECS["gre"]
    with host("gre") as namespace:
        told = child(namespace, spec, needed([parse(spec)]))
    assert not {"receive buffer", "send buffer"} & set(told["refused"])


def test_only_what_is_kept_is_left() -> None:
    """As nobody with CAP_NET_RAW: packet sockets open, taps do not, and no program gains anything."""
    with host("raw") as namespace:
        told = child(namespace, "", {"CAP_NET_RAW"}, then=SPECS["raw"])
        refused = child(namespace, "", {"CAP_NET_RAW"}, then=SPECS["tap"])
    assert told["up"]
    assert refused["error"] == errno.EPERM
    status, program = sets(told["self"]), sets(told["child"])
    for name in ("CapEff", "CapPrm", "CapBnd"):
        assert status[name] == mask({"CAP_NET_RAW"})
    assert status["CapInh"] == status["CapAmb"] == mask(())
    assert status["NoNewPrivs"] == program["NoNewPrivs"] == "1"
    assert status["Uid"].split() == status["Gid"].split() == [str(NOBODY)] * 4
    assert "0" not in status["Groups"].split()
    assert program["CapEff"] == program["CapPrm"] == mask(())


def test_root_without_capabilities_is_like_anybody() -> None:
    """Without another user everything is given up all the same, for programs too."""
    with host("raw") as namespace:
        told = child(namespace, "", (), user=None, then=SPECS["raw"])
    assert told["error"] in {errno.EPERM, errno.EACCES}
    for status in (sets(told["self"]), sets(told["child"])):
        assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == mask(())
    assert sets(told["self"])["Uid"].split() == ["0"] * 4


def test_ambient_capabilities_are_reduced() -> None:
    """Started as systemd does, as another user with ambient capabilities, it gives up the others."""
    names = "+net_raw,+net_admin,+sys_admin"
    before = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    before += [f"--inh-caps={names}", f"--ambient-caps={names}"]
    with host("raw") as namespace:
        told = child(namespace, SPECS["tap"], {"CAP_NET_RAW"}, user=None, then=SPECS["raw"], before=before)
        refused = child(namespace, SPECS["raw"], {"CAP_NET_RAW"}, user=None, then=SPECS["tap"], before=before)
    assert told["up"]
    assert refused["error"] == errno.EPERM
    status = sets(told["self"])
    assert status["CapEff"] == status["CapPrm"] == mask({"CAP_NET_RAW"})
    assert status["CapAmb"] == status["CapInh"] == mask(())
    assert sets(told["child"])["CapPrm"] == mask(())


def test_another_user_cannot_become_a_third() -> None:
    """The option user needs root; the error says so."""
    code = (
        "from vecwire.service.privileges import keep\n"
        "import vecwire\n"
        "try: keep((), 'root')\n"
        "except vecwire.UnsupportedError as error: print(error, error.remedy)\n"
    )
    argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", sys.executable, "-c", code]
    with host("raw") as namespace:
        done = namespace.run(reachable(argv))
    assert "cannot become the user root" in done.stdout
    assert "without the option user" in done.stdout
