"""The programs of the tutorial, run as it tells people to, with traffic that they are about."""

from __future__ import annotations

import re
import socket
import struct
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import ARP, Ether

from peers.collect import inject
from peers.frames import LEFT, RIGHT
from peers.net import Namespace, namespaces

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
MOST_LINES = 40
NAMES = ("ids.py", "latency.py", "marker.py")


def program(name: str) -> str:
    """A program of the page: the first block of Python after the words that say how to name it."""
    text = PAGE.read_text(encoding="utf-8").split(f"Save it as `{name}`")[1]
    found = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def saved(name: str, folder: Path) -> list[str]:
    """The command that runs a program of the page."""
    path = folder / name
    path.write_text(program(name), encoding="utf-8")
    return [sys.executable, str(path)]


def shell_lines() -> list[str]:
    """The lines of the page's shell blocks."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def set_up(namespace: Namespace) -> None:
    """Makes the links that the page makes, and no other."""
    namespace.ip(*(line.removeprefix("ip ") for line in shell_lines() if line.startswith("ip ")))
    for link in ("left0", "right0", "left1", "right1"):
        namespace.wait_carrier(link)


def arguments(name: str) -> list[str]:
    """What the page writes behind the name of a program."""
    (line,) = (line for line in shell_lines() if line.startswith(f"python {name} "))
    return line.split()[2:]


@pytest.mark.parametrize("name", NAMES)
def test_programs_are_short(name: str) -> None:
    """Each program keeps the page's word about its length."""
    assert len(program(name).splitlines()) < MOST_LINES


def test_the_ids_tells_of_scans_and_stolen_addresses(tmp_path: Path) -> None:
    """It names who scans ports and whose address is claimed twice, and says nothing of what is usual."""
    claims = [
        Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=mac, psrc=address)
        for mac, address in ((LEFT, "10.9.0.1"), (RIGHT, "10.9.0.2"), (LEFT, "10.9.0.1"), (LEFT, "10.9.0.2"))
    ]
    head = Ether(src=LEFT, dst=RIGHT)
    usual = [
        head / IP(src="10.9.0.3", dst="10.9.0.9") / TCP(sport=port, dport=80) for port in range(4000, 4050)
    ]
    scan = [head / IP(src="10.9.0.4", dst="10.9.0.9") / TCP(sport=4000, dport=port) for port in range(1, 30)]
    answers = [
        head / IP(src="10.9.0.5", dst="10.9.0.9") / TCP(sport=80, dport=port, flags="SA")
        for port in range(1, 50)
    ]
    with Namespace("ids", ipv6=False) as namespace:
        set_up(namespace)
        command = [*saved("ids.py", tmp_path), *arguments("ids.py")]
        with namespace.popen(command, name="ids") as watching:
            watching.wait_for_text("watching")
            inject(namespace, "left0", [bytes(each) for each in (*claims, *usual, *answers, *scan)])
            watching.wait_for_text("scans ports")
            assert watching.output.splitlines() == [
                "watching",
                f"10.9.0.2 is claimed by {RIGHT} and by {LEFT}",
                "10.9.0.4 scans ports",
            ]


def test_the_latency_test_tells_how_long_and_how_many(tmp_path: Path) -> None:
    """It loses no frame on a quiet link, and its percentiles grow."""
    with Namespace("latency", ipv6=False) as namespace:
        set_up(namespace)
        done = namespace.run([*saved("latency.py", tmp_path), *arguments("latency.py")])
        lines = done.stdout.splitlines()
        assert lines[0] == "6400 sent, 0 lost"
        values = [float(value) for value in re.findall(r"within ([\d.]+) microseconds", done.stdout)]
        assert len(values) == 4
        assert values == sorted(values)
        assert values[0] > 0


def test_the_bridge_marks_what_passes_one_way(tmp_path: Path) -> None:
    """Hosts reach each other through it; what comes from the first is marked, its checksum right."""
    with namespaces("left", "right", "bridge", ipv6=False) as (left, right, middle):
        set_up(middle)
        middle.ip(f"link set right0 netns {left.name}", f"link set right1 netns {right.name}")
        left.up("right0", "10.9.0.1/24")
        right.up("right1", "10.9.0.2/24")
        command = [*saved("marker.py", tmp_path), *arguments("marker.py")]
        with middle.popen(command, name="marker") as running:
            running.wait_for_text("ready")
            with right.enter(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as heard:
                heard.settimeout(10)
                left.wait_reachable("10.9.0.2")
                packet = IP(heard.recv(2048))
            assert ICMP in packet
            assert packet.tos == 8 << 2
            checksum = packet.chksum
            del packet.chksum
            assert IP(bytes(packet)).chksum == checksum
            with left.enter(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as heard:
                heard.settimeout(10)
                right.ping("10.9.0.1")
                assert struct.unpack_from("!BB", heard.recv(2048))[1] == 0
