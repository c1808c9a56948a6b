"""Network namespaces, links and measurements for tests.

Everything happens in namespaces that are made here: no link, address, route or setting of the host is
touched, and no packet leaves. Each namespace is gone when its context ends, with whatever still runs in
it; what a killed test run has left behind is taken away by the next.

The namespaces are quiet. Links get no link-local address and send no router solicitation, and IPv6
addresses are usable at once (no duplicate address detection), so that a test sees its own frames only.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from peers.background import Background
from peers.counters import FILES, bad_checksums, protocol_counters
from peers.sanitized import SLOWNESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

T = TypeVar("T")

PREFIX = "vecwire-test"
CLONE_NEWNET = 0x40000000
RTF_LOCAL = 0x80000000  # linux/ipv6_route.h
_RUN = Path("/run/netns")
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


class CommandError(RuntimeError):
    """A command in a namespace failed; the text holds what it printed."""


def wait_until(condition: Callable[[], T | None], *, timeout: float, what: str, interval: float = 0.01) -> T:
    """Asks again and again until `condition` returns something true, and returns that.

    The only place where tests sleep.

    Args:
        condition: What is asked.
        timeout: Seconds until it is given up; more under a sanitizer.
        what: What is waited for, for the error message.
        interval: Seconds between two questions.

    Raises:
        TimeoutError: It did not happen.
    """
    deadline = time.monotonic() + timeout * SLOWNESS
    while True:
        if found := condition():
            return found
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s (last seen: {found!r})")
        time.sleep(interval)


def open_descriptors() -> list[str]:
    """The numbers of the descriptors that this process has open, sorted."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def keepers_rest() -> bool:
    """Whether nobody looks after lost ports: there is no keeper, or none that is awake."""
    keepers = [thread for thread in threading.enumerate() if thread.name == "vecwire-keeper"]
    # What it watches with is there only while some port is lost.
    return all(thread._target.__self__._wake < 0 for thread in keepers)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Ping:
    """What `ping` reports; round-trip times in milliseconds, None where nothing came back."""

    sent: int
    received: int
    duplicates: int = 0
    errors: int = 0
    rtt_min: float | None = None
    rtt_avg: float | None = None
    rtt_max: float | None = None

    @property
    def lost(self) -> int:
        """Requests without an answer."""
        return self.sent - self.received


def parse_ping(text: str) -> Ping:
    """Reads the summary of iputils' `ping`.

    Raises:
        CommandError: There is no summary in the text.
    """
    counts = re.search(
        r"(\d+) packets transmitted, (\d+) received(?:, \+(\d+) duplicates)?(?:, \+(\d+) errors)?", text
    )
    if counts is None:
        raise CommandError(f"ping gave no summary:\n{text}")
    sent, received, duplicates, errors = (int(number or 0) for number in counts.groups())
    times = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)/", text)
    rtts = [float(number) for number in times.groups()] if times else [None] * 3
    return Ping(sent, received, duplicates, errors, *rtts)


def ping_command(
    destination: str, *, count: int = 3, size: int = 56, interval: float = 0.01, patience: float = 1
) -> list[str]:
    """The `ping` command for `count` requests of `size` octets of data, `interval` seconds apart.

    Requests are never fragmented: an octet too many is lost, and seen.

    Args:
        destination: An IPv4 or IPv6 address.
        count: Requests.
        size: Octets of ICMP data; the IPv4 packet is 28 longer, the IPv6 packet 48.
        interval: Seconds between two requests.
        patience: Seconds to wait for the last answer.
    """
    options = f"-n -q -M do -c {count} -s {size} -i {interval:g} -W {patience:g}"
    return ["ping", *options.split(), destination]


@dataclass(frozen=True)
class Iperf:
    """What one run of iperf3 measured."""

    bits_per_second: float
    retransmits: int
    report: dict[str, Any] = field(repr=False)


def parse_iperf3(text: str) -> Iperf:
    """Reads the JSON report of an iperf3 client.

    Raises:
        CommandError: The text is no report, or reports an error.
    """
    start = text.find("{")
    try:
        report: dict[str, Any] = json.loads(text[start:]) if start >= 0 else {"error": "no JSON"}
    except json.JSONDecodeError as error:
        raise CommandError(f"iperf3 gave no report ({error}):\n{text}") from error
    if "error" in report:
        raise CommandError(f"iperf3: {report['error']}\n{text}")
    end = report["end"]
    received = end.get("sum_received") or end["sum"]
    return Iperf(received["bits_per_second"], end.get("sum_sent", {}).get("retransmits", 0), report)


def iperf3_command(
    destination: str,
    *,
    port: int = 5201,
    seconds: float = 1,
    octets: int | None = None,
    reverse: bool = False,
    options: Sequence[str] = (),
) -> list[str]:
    """The command of an iperf3 client; with `reverse`, the server sends.

    Args:
        destination: The server's address.
        port: The server's port.
        seconds: How long it lasts, whole ones: iperf3 takes no others.
        octets: How much is sent, instead of a time.
        reverse: Whether the server sends.
        options: More arguments.
    """
    return [
        "iperf3",
        *("-c", destination, "-p", str(port), "-J", "--connect-timeout", "3000"),
        *(("-t", f"{seconds:g}") if octets is None else ("-n", str(octets))),
        *(["-R"] if reverse else []),
        *options,
    ]


class Namespace:
    """One network namespace with a unique name, its loopback up and IPv6 quiet.

    Use it as a context, or call `close`.

    Args:
        label: A word for the name, to recognise it by.
        ipv6: False switches IPv6 off on every link made in it.
    """

    def __init__(self, label: str = "ns", *, ipv6: bool = True) -> None:
        sweep()
        self.name = f"{PREFIX}-{os.getpid()}-{next(_numbers)}-{label}"
        self.path = _RUN / self.name
        _checked(["ip", "netns", "add", self.name])
        try:
            for scope in ("all", "default"):
                base = f"ipv6/conf/{scope}"
                self.sysctl(f"{base}/accept_ra", "0")
                self.sysctl(f"{base}/accept_dad", "0")
                self.sysctl(f"{base}/router_solicitations", "0")
                self.sysctl(f"{base}/disable_ipv6", "0" if ipv6 else "1")
            self.sysctl("ipv6/conf/default/addr_gen_mode", "1")
            self.ip("link set lo up")
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"Namespace({self.name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kills what still runs inside and deletes the namespace. Closing twice does nothing."""
        _remove(self.name)

    # Commands and threads inside

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` inside: it becomes `argv`, with the same process id."""
        return ["nsenter", f"--net={self.path}", "--", *argv]

    def run(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 30, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command inside to its end.

        Raises:
            CommandError: It failed and `check` is set, or it took longer than `timeout` seconds.
        """
        return _checked(self.command(argv), check=check, timeout=timeout, stdin=stdin)

    def popen(self, argv: Sequence[str], *, name: str = "", stdin: bool = False) -> Background:
        """Starts a command inside, in the background."""
        return Background(
            self.command(argv),
            name=name or os.path.basename(argv[0]),  # noqa: PTH119 a word of a command
            stdin=stdin,
        )

    @contextlib.contextmanager
    def enter(self) -> Iterator[None]:
        """Takes the calling thread, and no other, into the namespace until the context ends.

        Sockets opened meanwhile belong to the namespace, and stay in it afterwards.
        """
        with _descriptor("/proc/thread-self/ns/net") as before, _descriptor(self.path) as inside:
            _setns(inside)
            try:
                yield
            finally:
                _setns(before)

    # Links

    def ip(self, *lines: str) -> None:
        """Runs commands of `ip` inside, each given without the leading `ip`, all in one process."""
        _checked(["ip", "-n", self.name, "-batch", "-"], stdin="".join(f"{line}\n" for line in lines))

    def sysctl(self, key: str, value: str) -> None:
        """Writes a setting below /proc/sys/net of the namespace; the key with slashes."""
        with self.enter():
            Path("/proc/sys/net", key).write_text(value, encoding="ascii")

    def up(self, link: str, *addresses: str, mtu: int | None = None, mac: str | None = None) -> None:
        """Sets a link up, with addresses (`10.0.0.1/24`, `fd00::1/64`) that are usable at once."""
        settings = (f" mtu {mtu}" if mtu else "") + (f" address {mac}" if mac else "")
        self.ip(
            *([f"link set {link}{settings}"] if settings else []),
            *(f"addr add {each} dev {link}{' nodad' if ':' in each else ''}" for each in addresses),
            f"link set {link} up",
        )
        for each in addresses:
            if ":" in each:
                self.wait_ipv6(each)

    def wait_ipv6(self, address: str) -> None:
        """Waits until an IPv6 address can be sent to and from.

        The kernel adds the address at once and the route to it a little later, from a work queue
        (addrconf_dad_work(), net/ipv6/addrconf.c), duplicate address detection or not.
        """
        wanted = ipaddress.IPv6Address(address.partition("/")[0]).packed.hex()

        def routed() -> bool:
            with self.enter():
                routes = Path("/proc/thread-self/net/ipv6_route").read_text(encoding="ascii")
            return any(
                line.startswith(f"{wanted} 80") and int(line.split()[8], 16) & RTF_LOCAL
                for line in routes.splitlines()
            )

        wait_until(routed, timeout=5, what=f"{address} has its route")

    def tap(self, link: str, *addresses: str, mtu: int | None = None, mac: str | None = None) -> None:
        """Makes a persistent tap, up and with addresses, for a process to attach to."""
        self.ip(f"tuntap add dev {link} mode tap")
        self.up(link, *addresses, mtu=mtu, mac=mac)

    def bridge(self, link: str, *members: str, mtu: int | None = None) -> None:
        """Makes a bridge that forwards from the first moment, with the given links in it."""
        self.ip(
            f"link add {link} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            *(f"link set {member} master {link}" for member in members),
        )
        self.up(link, mtu=mtu)

    def offloads(self, link: str, **features: bool) -> None:
        """Switches features of a link as `ethtool -K` names them: `offloads("veth0", tx=False)`."""
        words = [word for name, on in features.items() for word in (name, "on" if on else "off")]
        self.run(["ethtool", "-K", link, *words])

    def link(self, link: str) -> dict[str, Any]:
        """What `ip -details -statistics` knows about a link, as `ip -json` words it."""
        text = _checked(["ip", "-n", self.name, "-j", "-d", "-s", "link", "show", "dev", link]).stdout
        found: dict[str, Any] = json.loads(text)[0]
        return found

    def has_carrier(self, link: str) -> bool:
        """Whether a link is up and something is attached to its other end."""
        return "LOWER_UP" in self.link(link)["flags"]

    def wait_carrier(self, link: str, *, timeout: float = 5) -> None:
        """Waits until a link is up and something is attached to its other end."""
        wait_until(lambda: self.has_carrier(link), timeout=timeout, what=f"{link} has a carrier")

    # Counters

    def counters(self) -> dict[str, int]:
        """The protocol counters of the namespace, named as by nstat: `TcpInCsumErrors`, `Udp6InErrors`."""
        with self.enter():
            return protocol_counters(
                {name: Path("/proc/thread-self/net", name).read_text(encoding="ascii") for name in FILES}
            )

    def checksum_errors(self) -> dict[str, int]:
        """The counters of packets thrown away for a bad checksum that are not zero."""
        return bad_checksums(self.counters())

    # Traffic

    def ping(
        self, destination: str, *, count: int = 3, size: int = 56, interval: float = 0.01, patience: float = 1
    ) -> Ping:
        """Pings from inside; the arguments are those of `ping_command`."""
        command = ping_command(destination, count=count, size=size, interval=interval, patience=patience)
        done = self.run(command, check=False, timeout=30 + count * interval + patience)
        return parse_ping(done.stdout + done.stderr)

    def wait_reachable(self, destination: str, *, timeout: float = 10) -> None:
        """Waits until a ping is answered."""

        def answered() -> bool:
            done = self.run(ping_command(destination, count=1, patience=0.2), check=False)
            return done.returncode == 0

        wait_until(answered, timeout=timeout, what=f"{destination} answers {self.name}")

    def iperf3_server(self, address: str, port: int = 5201) -> Background:
        """Starts an iperf3 server inside, for one run, and returns once it listens.

        Give the next server another port: the last moments of a server refuse, or reset, the next client.
        """
        server = self.popen(["iperf3", "-s", "-1", "--forceflush", "-B", address, "-p", str(port)])
        try:
            server.wait_for_text("Server listening")
        except BaseException:
            server.kill()
            raise
        return server

    def iperf3(
        self,
        destination: str,
        *,
        port: int = 5201,
        seconds: float = 1,
        octets: int | None = None,
        reverse: bool = False,
        options: Sequence[str] = (),
    ) -> Iperf:
        """Runs an iperf3 client inside; the arguments are those of `iperf3_command`."""
        command = iperf3_command(
            destination, port=port, seconds=seconds, octets=octets, reverse=reverse, options=options
        )
        done = self.run(command, check=False, timeout=seconds + 20)
        return parse_iperf3(done.stdout or done.stderr)


@contextlib.contextmanager
def namespaces(*labels: str, ipv6: bool = True) -> Iterator[list[Namespace]]:
    """Several namespaces at once, one for each label."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Namespace(label, ipv6=ipv6)) for label in labels]


def veth(
    a: tuple[Namespace, str],
    b: tuple[Namespace, str],
    *,
    addresses_a: Sequence[str] = (),
    addresses_b: Sequence[str] = (),
    mtu: int = 1500,
) -> None:
    """Joins two namespaces by a veth pair, both ends up.

    Args:
        a: The namespace of one end and the name of the link there.
        b: The other end.
        addresses_a: Addresses of one end, with prefix lengths.
        addresses_b: Addresses of the other end.
        mtu: Octets, of both.
    """
    (ns_a, link_a), (ns_b, link_b) = a, b
    _checked(
        [
            *("ip", "link", "add", link_a, "netns", ns_a.name),
            *("type", "veth", "peer", "name", link_b, "netns", ns_b.name),
        ]
    )
    ns_a.up(link_a, *addresses_a, mtu=mtu)
    ns_b.up(link_b, *addresses_b, mtu=mtu)
    ns_a.wait_carrier(link_a)
    ns_b.wait_carrier(link_b)


def sweep() -> None:
    """Takes away namespaces of test runs that are no more."""
    for name in os.listdir(_RUN) if _RUN.is_dir() else ():  # noqa: PTH208 names, not paths
        owner = re.match(rf"{PREFIX}-(\d+)-", name)
        if owner and not Path("/proc", owner[1]).exists():
            _remove(name)


def _remove(name: str) -> None:
    if not (_RUN / name).exists():
        return
    wait_until(lambda: not _kill_inside(name), timeout=10, what=f"all processes in {name} are gone")
    done = _checked(["ip", "netns", "del", name], check=False)
    if done.returncode and (_RUN / name).exists():
        raise CommandError(f"namespace {name} stays: {done.stderr}")


def _kill_inside(name: str) -> list[int]:
    """Kills the processes in a namespace and returns those that were there, zombies aside."""
    found = [int(pid) for pid in _checked(["ip", "netns", "pids", name], check=False).stdout.split()]
    for pid in found:
        if pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return found


def _checked(
    argv: Sequence[str], *, check: bool = True, timeout: float = 30, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(
            argv, check=False, capture_output=True, text=True, timeout=timeout, input=stdin or ""
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(argv)}: still runs after {timeout:g} s") from error
    if check and done.returncode:
        raise CommandError(
            f"{' '.join(argv)}: exit status {done.returncode}\n{stdin or ''}{done.stdout}{done.stderr}"
        )
    return done


@contextlib.contextmanager
def _descriptor(path: str | Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _setns(descriptor: int) -> None:
    # os.setns comes with Python 3.12.
    if _libc.setns(descriptor, CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")
