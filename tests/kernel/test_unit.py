"""The service under its unit's restrictions: every transport opens, moves frames and comes back.

systemd is not process 1 where tests run, so `peers.confined` applies the unit's directives, read from the
text that `vecwire run --unit` prints.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

import vecwire
from peers.command import NOBODY, vecwire_command
from peers.confined import CONFIG, RUNTIME, confined
from peers.net import Namespace, namespaces, veth, wait_until
from peers.unitfile import sections, words
from vecwire.confine.capabilities import NAMES
from vecwire.service.privileges import buffers_are_limited, needed
from vecwire.service.unit import unit_text
from vecwire.spec import SPEC_CLASSES, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peers.background import Background
    from vecwire import Port

pytestmark = pytest.mark.needs("ip", "setpriv", "systemd-analyze", "cc")

SERVICE = sections(unit_text())["Service"]
METRICS = 9477
TUNNEL, BACK = "src=192.168.7.1,dst=192.168.7.2", "src=192.168.7.2,dst=192.168.7.1"
#: The far ends of tunnels and of bess, by the names of the service's ports.
FAR = {
    "gre": f"gre,{BACK}",
    "udp": f"l2tpv3,udp=1,{BACK},srcport=1701,dstport=1001,rx_session=2,tx_session=1",
    "ip": f"l2tpv3,{BACK},rx_session=4,tx_session=3",
}
NEAR = {
    "raw": "raw,ifname=left0",
    "tap": "tap,ifname=tap0",
    "hybrid": "hybrid,ifname=tap1",
    "gre": f"gre,{TUNNEL}",
    "udp": f"l2tpv3,udp=1,{TUNNEL},srcport=1001,dstport=1701,rx_session=1,tx_session=2",
    "ip": f"l2tpv3,{TUNNEL},rx_session=3,tx_session=4",
    "server": "bess,listen=@vecwire-server",
    "client": "bess,dst=@vecwire-client",
}
#: Tries what no directive of the unit allows, and says how each attempt ended.
ESCAPES = """
import ctypes, errno, json, mmap, os, socket
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_long
def call(name, *arguments):
    ctypes.set_errno(0)
    return 0 if getattr(libc, name)(*arguments) >= 0 else ctypes.get_errno()
def attempt(do, *arguments):
    try:
        return do(*arguments) and 0
    except OSError as error:
        return error.errno
made = {
    "write": attempt(open, "/etc/vecwire-test", "w"),
    "write to /sys": attempt(open, "/sys/kernel/mm/ksm/run", "w"),
    "vsock": attempt(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM),
    "bluetooth": attempt(socket.socket, 31, socket.SOCK_RAW),
    "user namespace": call("unshare", 0x10000000),
    "mount namespace": call("unshare", 0x00020000),
    "any namespace": call("setns", 0, 0),
    "mount": call("mount", b"none", b"/mnt", b"tmpfs", 0, 0),
    "ptrace": call("ptrace", 0, 0, 0, 0),
    "setuid": call("setuid", 0),
    "executable memory": call("mmap", 0, 4096, mmap.PROT_WRITE | mmap.PROT_EXEC, 0x22, -1, 0),
    "kmsg": attempt(os.open, "/dev/kmsg", os.O_RDONLY),
}
allowed = {
    "network namespace": call("unshare", 0x40000000),
    "packet socket": attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW),
    "tun": attempt(os.open, "/dev/net/tun", os.O_RDWR),
    "runtime directory": attempt(open, RUNTIME + "/file", "w"),
    "memory": call("mmap", 0, 4096, mmap.PROT_WRITE, 0x22, -1, 0),
}
print(json.dumps([made, {name: value for name, value in allowed.items() if value}]))
"""


@dataclass
class Lab:
    """A confined service, the namespace that it is in, and the far ends of its ports."""

    home: Namespace
    away: Namespace
    other: Namespace
    stack: contextlib.ExitStack = field(repr=False)
    ports: dict[str, Port] = field(default_factory=dict)
    sockets: dict[str, socket.socket] = field(default_factory=dict)

    def wire(self) -> None:
        """Makes the links that the service's ports are on, and all far ends; at first, and again."""
        for link in ("left0", "wan0", "tap0", "tap1"):
            self.home.run(["ip", "link", "del", link], check=False)
        self.other.run(["ip", "link", "del", "port0"], check=False)
        veth((self.home, "left0"), (self.away, "right0"))
        veth((self.other, "port0"), (self.away, "right1"))
        veth(
            (self.home, "wan0"),
            (self.away, "wan0"),
            addresses_a=["192.168.7.1/24"],
            addresses_b=["192.168.7.2/24"],
        )

    def attach(self) -> None:
        """Opens the far ends of all ports."""
        for port in self.ports.values():
            port.close()
        for each in self.sockets.values():
            each.close()
        with self.away.enter():
            self.ports = {name: self.stack.enter_context(vecwire.open(spec)) for name, spec in FAR.items()}
            self.sockets = {"raw": self._listen("right0"), "inside": self._listen("right1")}
        with self.home.enter():
            for name in ("tap0", "tap1"):
                wait_until(functools.partial(_has, self.home, name), timeout=10, what=f"{name} is there")
                self.home.up(name)
            self.sockets |= {"tap": self._listen("tap0"), "hybrid": self._listen("tap1")}
            for name, spec in (
                ("server", "bess,dst=@vecwire-server"),
                ("client", "bess,listen=@vecwire-client"),
            ):
                self.ports[name] = self.stack.enter_context(vecwire.open(spec))

    def _listen(self, link: str) -> socket.socket:
        made = self.stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        made.bind((link, 0))
        made.setblocking(False)
        return made

    def flood(self, source: str, mark: bytes) -> None:
        """Has a frame for everybody enter by the far end of a port."""
        frame = (
            b"\xff" * 6 + b"\x02\x00\x00\x00\x00" + bytes([len(source)]) + b"\x88\xb5" + mark.ljust(60, b"\0")
        )
        if source in self.sockets:
            self.sockets[source].send(frame)
            return
        batch = self.ports[source].batch()
        batch.append(frame)
        self.ports[source].send(batch)

    def heard(self, mark: bytes) -> set[str]:
        """The far ends at which a frame with the mark has arrived since they were last asked."""
        found = set()
        for name, port in self.ports.items():
            batch = port.batch()
            while port.recv(batch):
                if any(mark in bytes(frame) for frame in batch):
                    found.add(name)
        for name, each in self.sockets.items():
            with contextlib.suppress(BlockingIOError, OSError):
                while True:
                    octets, address = each.recvfrom(2048)
                    if mark in octets and address[2] != socket.PACKET_OUTGOING:
                        found.add(name)
        return found

    def up(self) -> dict[str, bool]:
        """Which ports are up, as the metrics say."""
        with self.home.enter(), urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics") as answer:
            text = answer.read().decode()
        return {
            sample.labels["port"]: bool(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "vecwire_port_up"
        }


def _has(namespace: Namespace, link: str) -> bool:
    return namespace.run(["ip", "link", "show", "dev", link], check=False).returncode == 0


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Three namespaces, and the links between them."""
    with (
        namespaces("home", "away", "other", ipv6=False) as (home, away, other),
        contextlib.ExitStack() as stack,
    ):
        home.up("lo")
        made = Lab(home, away, other, stack)
        made.wire()
        yield made


def config(ports: dict[str, str]) -> str:
    """The service's file: all ports in one switch."""
    lines = [
        "[service]",
        f'control = "{RUNTIME}/control.sock"',
        f'metrics = "127.0.0.1:{METRICS}"',
        "[ports]",
    ]
    lines += [f"{name} = {json.dumps(spec)}" for name, spec in ports.items()]
    return "\n".join([*lines, "[switches.lan]", f"ports = {json.dumps(list(ports))}", ""])


@contextlib.contextmanager
def manager(namespace: Namespace) -> Iterator[tuple[Callable[[str], None], list[str]]]:
    """Somebody in a namespace who is told what systemd is; waits for a line, and the environment for it."""
    name = f"vecwire-notify-{os.getpid()}"
    with namespace.enter():
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with told:
        told.bind(f"\0{name}")
        told.settimeout(10)
        seen: set[str] = set()

        def wait_for(line: str) -> None:
            while line not in seen:
                seen.update(told.recv(4096).decode().split("\n"))
            seen.clear()

        yield wait_for, ["env", f"NOTIFY_SOCKET=@{name}", "WATCHDOG_USEC=200000"]


@contextlib.contextmanager
def service(lab: Lab, ports: dict[str, str], environment: list[str]) -> Iterator[Background]:
    """The service with the ports, under its unit's restrictions."""
    command = confined(vecwire_command("run", CONFIG), SERVICE, config(ports))
    with lab.home.popen([*environment, *command], name="run") as running:
        yield running


def status(pid: int | str) -> dict[str, str]:
    """The lines of /proc/PID/status, by name."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def mask(capabilities: frozenset[str] | set[str]) -> str:
    """A set of capabilities as /proc writes it."""
    return f"{sum(1 << NAMES.index(name) for name in capabilities):016x}"


def test_the_restrictions_bite() -> None:
    """What no directive allows is refused under them; what transports need is not."""
    code = f"RUNTIME = {RUNTIME!r}{ESCAPES}"
    with Namespace("unit", ipv6=False) as namespace:
        done = namespace.run(confined([sys.executable, "-c", code], SERVICE))
    refused, also_refused = json.loads(done.stdout)
    assert {name for name, number in refused.items() if not number} == set()
    assert also_refused == {}


def test_every_transport_works_under_the_unit(lab: Lab) -> None:
    """All transports open with what the unit allows, carry frames, and heal when their links come anew."""
    ports = NEAR | {"inside": f"raw,ifname=port0,netns={lab.other.name}"}
    assert {parse(spec).transport for spec in ports.values()} == set(SPEC_CLASSES)
    with manager(lab.home) as (wait_for, environment), service(lab, ports, environment) as running:
        running.wait_for_text("ready", timeout=30)
        wait_for("READY=1")
        wait_for("WATCHDOG=1")
        _all_frames_pass(lab, ports)
        _assert_confined(running.process.pid, ports)

        lab.wire()
        wait_until(
            lambda: _has(lab.home, "tap0") and _has(lab.home, "tap1"), timeout=10, what="the taps are back"
        )
        _all_frames_pass(lab, ports)
        _assert_confined(running.process.pid, ports)

        assert running.stop() == 0
        wait_for("STOPPING=1")


def _all_frames_pass(lab: Lab, ports: dict[str, str]) -> None:
    """Every port is up, and a frame for everybody reaches the far end of each, whichever end it enters by."""
    lab.attach()
    wait_until(lambda: lab.up() == dict.fromkeys(ports, True), timeout=10, what="all ports are up")
    for number, source in enumerate(("raw", "server")):
        mark = f"mark {number} of {os.urandom(8).hex()}".encode()
        heard: set[str] = set()

        def passed(source: str = source, mark: bytes = mark, heard: set[str] = heard) -> bool:
            lab.flood(source, mark)
            heard |= lab.heard(mark)
            return heard >= set(ports) - {source}

        wait_until(passed, timeout=10, what=f"frames from {source} reach all others", interval=0.05)


def tasks_of(pid: int) -> list[str]:
    """The threads of a process, by number."""
    return [task.name for task in Path(f"/proc/{pid}/task").iterdir()]


def name_of(pid: int, task: str) -> str:
    """A thread's name for the kernel."""
    return Path(f"/proc/{pid}/task/{task}/comm").read_text(encoding="utf-8").strip()


def _assert_confined(pid: int, ports: dict[str, str]) -> None:
    """Each thread has the unit's user, no more capabilities than its file needs, and can gain none.

    The worker and the thread that serves metrics have a filter of their own besides the unit's, and no
    capability at all.
    """
    filters = {task: int(status(f"{pid}/task/{task}")["Seccomp_filters"]) for task in tasks_of(pid)}
    held = {task: name_of(pid, task) for task, count in filters.items() if count > filters[str(pid)]}
    assert sorted(held.values()) == ["vecwire-metrics", "vecwire-worker0"]
    force = buffers_are_limited()
    wanted = needed(map(parse, ports.values()), force_buffers=force)
    for task in filters:
        told = status(f"{pid}/task/{task}")
        assert told["Uid"].split() == told["Gid"].split() == [str(NOBODY)] * 4
        assert told["Groups"] == ""
        assert told["CapEff"] == told["CapPrm"] == mask(set() if task in held else wanted)
        assert told["CapInh"] == told["CapAmb"] == mask(set())
        assert told["CapBnd"] == mask(set(words(SERVICE, "CapabilityBoundingSet")))
        assert told["NoNewPrivs"] == "1"
        assert told["Seccomp"] == "2"


def test_what_the_file_does_not_need_is_given_up(lab: Lab) -> None:
    """With a tunnel over UDP and a bess port alone, no capability is left but for large buffers."""
    ports = {"udp": NEAR["udp"].replace("1001", "1701"), "server": NEAR["server"]}
    with manager(lab.home) as (wait_for, environment), service(lab, ports, environment) as running:
        wait_for("READY=1")
        _assert_confined(running.process.pid, ports)
        assert int(status(running.process.pid)["CapEff"], 16) in {0, 1 << NAMES.index("CAP_NET_ADMIN")}
