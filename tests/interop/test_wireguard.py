"""The recipe of ``docs/security.md`` for tunnels over WireGuard, run as it stands there."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import GRE, Ether
from scapy.packet import Raw

from peers import tshark
from peers.frames import frame
from peers.liars import gre, l2tpv3
from peers.net import Namespace, namespaces, veth, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.background import Background

pytestmark = [
    pytest.mark.interop,
    pytest.mark.needs("wireguard-go", "wg", "ip", "nsenter", "ping", "tshark"),
]

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
ETH_P_ALL = 3
#: Where the kernel has no WireGuard, the userspace program takes the place of this line, as the page says.
IN_KERNEL, IN_USERSPACE = "ip link add wg0 type wireguard", "wireguard-go wg0"


def recipe(tunnel: str) -> list[str]:
    """The lines of the page: those that set WireGuard up, and the cable of this tunnel."""
    section = PAGE.read_text(encoding="utf-8").split("## Tunnels over WireGuard\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```bash\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if not line.startswith("vecwire") or f" {tunnel}," in line]


def mirrored(line: str) -> str:
    """A line as the other end has it: addresses, sessions and keys in each other's place."""
    for one, other in (
        ("192.0.2.1", "192.0.2.2"),
        ("10.99.0.1", "10.99.0.2"),
        ("rx_session", "tx_session"),
        ("rx_key", "tx_key"),
    ):
        line = line.replace(one, "\0").replace(other, one).replace("\0", other)
    return line


@dataclass
class End:
    """One end of the recipe: its namespace and the shell that runs it."""

    namespace: Namespace
    shell: Background
    key: str = ""

    def run(self, line: str) -> None:
        """Has the shell run a line of the recipe."""
        self.shell.write(f"{line}\n")


@pytest.fixture(scope="module", params=["l2tpv3", "gre"])
def ends(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[End]]:
    """Both ends, with the recipe run in each, and a host's address on the tap behind."""
    userspace = shutil.which("wireguard-go") is not None
    with namespaces("here", "there", ipv6=False) as made, contextlib.ExitStack() as stack:
        veth(
            (made[0], "under0"),
            (made[1], "under0"),
            addresses_a=["192.0.2.1/24"],
            addresses_b=["192.0.2.2/24"],
        )
        found: list[End] = []
        for number, namespace in enumerate(made):
            folder = tmp_path_factory.mktemp(f"end{number}")
            # WireGuard in userspace is reached by a path, the same for both ends: each has its own there.
            shell = namespace.popen(["unshare", "--mount", "bash", "-eu"], name=f"end {number}", stdin=True)
            stack.callback(shell.kill)
            found.append(End(namespace, shell))
            found[-1].run(f"cd {folder}; mkdir -p /run/wireguard; mount -t tmpfs tmpfs /run/wireguard")
            found[-1].run(f'vecwire() {{ "{sys.executable}" -m vecwire "$@"; }}')
        lines = recipe(request.param)
        keys = lines.index("wg pubkey < wg0.key") + 1
        for end in found:
            for line in lines[:keys]:
                end.run(line)
            end.key = end.shell.wait_for(
                lambda out, _: out.strip() if out.endswith("=\n") else None, timeout=10, what="a public key"
            )
        for end, other, change in ((found[0], found[1], str), (found[1], found[0], mirrored)):
            for line in lines[keys:]:
                asked = change(line).replace("PUBLIC-KEY-OF-THE-OTHER-END", other.key)
                end.run(asked.replace(IN_KERNEL, IN_USERSPACE) if userspace else asked)
        for number, end in enumerate(found, start=1):
            end.shell.wait_for_text("ready", timeout=30)
            end.namespace.up("tap0", f"10.77.0.{number}/24", mtu=inner_mtu(request.param))
        found[0].namespace.wait_reachable("10.77.0.2")
        yield found


def inner_mtu(tunnel: str) -> int:
    """What the page says fits into one packet of the tunnel, so that none is cut."""
    text = next(line for line in recipe(tunnel) if line.startswith("vecwire"))
    return int(re.findall(r"mtu=(\d+)", text)[0])


def sniffer(namespace: Namespace) -> socket.socket:
    """A packet socket on the link between the ends."""
    with namespace.enter():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.bind(("under0", ETH_P_ALL))
    made.settimeout(5)
    return made


def seen(listener: socket.socket) -> list[bytes]:
    """Everything that has come so far."""
    listener.setblocking(False)
    found = []
    try:
        while True:
            found.append(listener.recv(1 << 16))
    except BlockingIOError:
        return found


def arrived(namespace: Namespace) -> int:
    """How many frames the tap has taken from its tunnel."""
    count: int = namespace.link("tap0")["stats64"]["rx"]["packets"]
    return count


def test_only_wireguard_is_on_the_wire(ends: list[End], tmp_path: Path) -> None:
    """Pings of the whole inner MTU pass in one packet each, and tshark sees nothing but WireGuard and ARP."""
    here = ends[0].namespace
    with sniffer(here) as listener:
        size = here.link("tap0")["mtu"] - 28
        assert here.ping("10.77.0.2", count=20, size=size).lost == 0
        assert here.ping("10.77.0.2", count=1, size=size + 1).received == 0
        packets = seen(listener)
    capture = tmp_path / "wire.pcap"
    tshark.write_pcap(capture, packets)
    protocols = {each.protocols.split(":")[-1] for each in tshark.decode(capture, [])}
    assert protocols <= {"wg", "arp"}
    assert "wg" in protocols
    assert max(map(len, packets)) <= 1514


def test_a_forged_plaintext_packet_is_not_delivered(ends: list[End]) -> None:
    """What comes past WireGuard, from the peer's inner address and with all in order, stays in the kernel."""
    here, there = (end.namespace for end in ends)
    octets = frame(1, destination="ff:ff:ff:ff:ff:ff")
    head = Ether(src=there.link("under0")["address"], dst=here.link("under0")["address"]) / IP(
        src="10.99.0.2", dst="10.99.0.1"
    )
    forged = [
        head / UDP(sport=1701, dport=1701) / Raw(l2tpv3(octets, word=0x00030000, session=1)),
        head / GRE(proto=0x6558) / Raw(octets),
        head / Raw(gre(octets, key=1)),
    ]
    forged[-1][IP].proto = 47
    before, refused = arrived(here), here.counters()["TcpExtIPReversePathFilter"]
    with sniffer(there) as liar:
        for packet in forged:
            liar.send(bytes(packet))
    wait_until(
        lambda: here.counters()["TcpExtIPReversePathFilter"] - refused >= len(forged),
        timeout=5,
        what="the kernel drops what came the wrong way",
    )
    assert here.ping("10.77.0.2", count=3).received
    assert arrived(here) - before <= 3 + 2, "answers to the pings, and to a question who has the address"


def test_a_replayed_packet_is_not_delivered(ends: list[End]) -> None:
    """Packets of WireGuard that are sent again bring nothing, as no number of the tunnel's could promise."""
    here, there = (end.namespace for end in ends)
    with sniffer(here) as listener, sniffer(there) as liar:
        before = arrived(here)
        assert here.ping("10.77.0.2", count=10).received
        mine = bytes.fromhex(here.link("under0")["address"].replace(":", ""))
        captured = [each for each in seen(listener) if each[:6] == mine and len(each) > 150]
        assert captured
        once = arrived(here) - before
        for packet in captured:
            liar.send(packet)
        assert here.ping("10.77.0.2", count=10).received
        assert arrived(here) - before <= once + 10 + 2


def test_without_the_key_nobody_gets_in(ends: list[End]) -> None:
    """The other way round: a peer whose key is not known is not answered, and its frames go nowhere."""
    here, there = (end.namespace for end in ends)
    before = arrived(here)
    with sniffer(there) as liar:
        head = Ether(src=there.link("under0")["address"], dst=here.link("under0")["address"]) / IP(
            src="192.0.2.2", dst="192.0.2.1"
        )
        for kind, length in ((1, 148), (2, 92), (3, 64), (4, 200)):
            liar.send(bytes(head / UDP(sport=51820, dport=51820) / Raw(bytes([kind]) + bytes(length - 1))))
    assert here.ping("10.77.0.2", count=3).received
    assert arrived(here) - before <= 3 + 2
