"""The harness itself: what it makes is gone afterwards, and what it measures is there to be measured."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from peers.background import Background, ProcessError
from peers.exchange import udp
from peers.hosts import cabled
from peers.net import (
    CommandError,
    Namespace,
    Ping,
    namespaces,
    parse_iperf3,
    parse_ping,
    sweep,
    veth,
    wait_until,
)

pytestmark = [pytest.mark.interop, pytest.mark.needs("ip", "nsenter", "ping", "ethtool")]


def _netns() -> str:
    return os.readlink("/proc/thread-self/ns/net")  # noqa: PTH115 no file, but a name


def test_a_namespace_is_gone_with_its_processes_after_a_failure() -> None:
    """However a context ends, namespace and processes end with it."""

    def fail_inside(namespace: Namespace) -> None:
        with namespace:
            raise ZeroDivisionError

    namespace = Namespace("fails")
    process = namespace.popen(["sleep", "1000"])
    wait_until(
        lambda: str(process.process.pid) in namespace.run(["ip", "netns", "pids", namespace.name]).stdout,
        timeout=5,
        what="the process is inside",
    )
    with pytest.raises(ZeroDivisionError):
        fail_inside(namespace)
    assert not namespace.path.exists()
    assert process.wait(5) == -9


def test_leftovers_of_a_dead_test_run_are_swept() -> None:
    """A namespace whose test run is no more is deleted by the next."""
    with Background([sys.executable, "-c", ""]) as ended:
        ended.wait()
    name = f"vecwire-test-{ended.process.pid}-0-left"
    with Background(["ip", "netns", "add", name]) as made:
        made.wait()
    assert Path("/run/netns", name).exists()
    sweep()
    assert not Path("/run/netns", name).exists()


def test_a_thread_enters_a_namespace_and_comes_back() -> None:
    """Sockets opened inside stay inside; the thread itself is back outside, after an error too."""
    before = _netns()
    with Namespace("enter") as namespace:
        namespace.tap("only0")
        with namespace.enter():
            assert _netns() != before
            inside = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        assert _netns() == before
        with pytest.raises(ZeroDivisionError), namespace.enter():
            raise ZeroDivisionError
        assert _netns() == before
        with inside:
            inside.bind(("only0", 3))


def test_a_new_link_is_silent_and_its_addresses_work_at_once() -> None:
    """No frame but our own crosses a new veth, and both address families answer the first ping."""
    with namespaces("a", "b") as (a, b):
        with b.enter():
            listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        veth((a, "va"), (b, "vb"))
        with listener:
            listener.bind(("vb", 3))
            a.up("va", "10.0.0.1/24", "fd00::1/64")
            b.up("vb", "10.0.0.2/24", "fd00::2/64")
            assert a.ping("10.0.0.2", count=1).lost == 0
            assert a.ping("fd00::2", count=1, size=1400).lost == 0
            listener.setblocking(False)
            seen = set()
            while True:
                try:
                    frame = listener.recv(2048)
                except BlockingIOError:
                    break
                # IPv4, ARP, and of IPv6 what is ours: echo, neighbour discovery, group membership.
                seen.add((frame[12:14].hex(), frame[54] if frame[20] == socket.IPPROTO_ICMPV6 else 0))
        assert {kind for ethertype, kind in seen if ethertype == "86dd"} <= {0, 128, 129, 135, 136}
        assert {ethertype for ethertype, _ in seen} <= {"0800", "0806", "86dd"}


def test_bad_checksums_are_counted() -> None:
    """A UDP packet with a wrong checksum shows in `checksum_errors`, which is empty before."""
    packet = bytes.fromhex(
        "4500001d000040004011 0000 0a000001 0a000002 0fa0 0fa1 0009 dead 78".replace(" ", "")
    )
    total = sum(int.from_bytes(packet[at : at + 2], "big") for at in range(0, 20, 2))
    total = (total & 0xFFFF) + (total >> 16)
    packet = packet[:10] + (0xFFFF - total).to_bytes(2, "big") + packet[12:]
    with namespaces("a", "b") as (a, b):
        veth((a, "va"), (b, "vb"), addresses_b=["10.0.0.2/24"])
        with b.enter():
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with a.enter():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        with receiver, sender:
            receiver.bind(("10.0.0.2", 4001))
            receiver.setblocking(False)
            sender.bind(("va", 0))
            assert b.checksum_errors() == {}
            mac = bytes.fromhex(b.link("vb")["address"].replace(":", ""))
            sender.send(mac + b"\2\0\0\0\0\1" + b"\x08\0" + packet)

            # The socket looks at the checksum only when it is read.
            def counted() -> dict[str, int]:
                with pytest.raises(BlockingIOError):
                    receiver.recv(100)
                return b.checksum_errors()

            assert wait_until(counted, timeout=2, what="counted") == {"UdpInCsumErrors": 1}


@pytest.mark.needs("iperf3")
@pytest.mark.parametrize("lost", ["greater 1000", "greater 1000 and udp[16:4] > 20"], ids=["all", "last"])
@pytest.mark.parametrize("size", [1200, 4000])
def test_a_datagram_that_does_not_arrive_is_missed(size: int, lost: str) -> None:
    """Of datagrams that a filter takes away, all of them or the last ones, `udp` says that they are lost."""
    with cabled("tap", "tap", options=f',filter="not (udp and {lost})"') as (left, right, _):
        with pytest.raises(AssertionError, match="were sent"):
            udp(left.namespace, right.namespace, "10.9.0.2", size, reverse=False, patience=0.3)
        udp(left.namespace, right.namespace, "10.9.0.2", 800, reverse=False)


def test_ping_and_iperf3_reports_are_read() -> None:
    """Counts and times come out of ping's summary; a report of failure is an error with its text."""
    assert parse_ping(
        "10 packets transmitted, 9 received, +1 duplicates, +2 errors, 10% packet loss, time 9ms\n"
        "rtt min/avg/max/mdev = 0.036/0.199/0.521/0.1 ms\n"
    ) == Ping(10, 9, 1, 2, 0.036, 0.199, 0.521)
    assert parse_ping("1 packets transmitted, 0 received, 100% packet loss, time 0ms").lost == 1
    with pytest.raises(CommandError, match="no summary"):
        parse_ping("ping: bad address")
    with pytest.raises(CommandError, match="server is busy"):
        parse_iperf3('{"error": "the server is busy"}')


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    """`stop` ends in SIGKILL, reaps, and what was printed stays to be read."""
    program = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    process = Background([sys.executable, "-c", program])
    process.wait_for_text("deaf")
    assert process.stop(timeout=0.1) == -9
    assert process.output == "deaf\n"


def test_waiting_for_an_event_tells_what_came_instead() -> None:
    """An event comes as its object; a process that ends without it is an error that shows its output."""
    program = "print('words'); print('{\"event\": \"ready\", \"port\": 1}'); import sys; sys.exit('why')"
    with Background([sys.executable, "-c", program]) as process:
        assert process.wait_for_event("ready") == {"event": "ready", "port": 1}
        with pytest.raises(ProcessError, match=r"ended before[\s\S]*words[\s\S]*why"):
            process.wait_for_event("never")


def test_wait_until_says_what_did_not_happen() -> None:
    """The error names what was waited for and what was seen last."""
    with pytest.raises(TimeoutError, match=r"rain: not within 0.02 s \(last seen: ''\)"):
        wait_until(lambda: "", timeout=0.02, what="rain")
