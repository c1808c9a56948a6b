"""What a contender is, and the two places where contenders meet."""

import contextlib
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from vecwire.bench.lab import Namespace, Process, veth
from vecwire.bench.measure import wait_reachable

ADDRESSES = ("10.9.0.1", "10.9.0.2")
OUTER = ("192.168.7.1", "192.168.7.2")
#: Room for every encapsulation on a link of 1500.
INNER_MTU = 1400
#: Frames that one call moves, where a table does not ask for another number.
DEPTH = 64


class Host(Namespace):
    """A namespace in which clients can be run."""

    def output(self, argv: list[str], seconds: float) -> str:
        """Runs a command to its end and returns what it printed."""
        return self.run(argv, timeout=seconds, check=False).stdout


class Site:
    """Where contenders meet: two hosts, what is between them, and a folder; used as a context."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._hosts: list[Host] = []
        self.a = self.host()
        self.b = self.host()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vecwire-bench-")))

    def host(self) -> Host:
        """Another namespace, which goes with the site."""
        made = Host()
        self._stack.callback(made.close)
        self._hosts.append(made)
        return made

    def checksum_errors(self) -> int:
        """How many packets its hosts have thrown away for a wrong checksum, those of a tunnel included."""
        return sum(host.checksum_errors() for host in self._hosts)

    def close(self) -> None:
        """Takes everything away."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Wan(Site):
    """Two hosts with a network between them, for tunnels over it: ``tap - tunnel - tunnel - tap``.

    The inner link is ``inner0`` in both hosts; whoever tunnels makes it.
    """

    def __init__(self) -> None:
        super().__init__()
        veth((self.a, "wan0"), (self.b, "wan0"))
        for host, address in zip((self.a, self.b), OUTER, strict=True):
            host.ip(f"addr add {address}/24 dev wan0")

    def taps(self) -> None:
        """Makes ``inner0`` a tap in both hosts, for a process to attach to."""
        for host in (self.a, self.b):
            host.ip("tuntap add dev inner0 mode tap")
        self.address()

    def address(self) -> None:
        """Sets ``inner0`` up in both hosts, with its address."""
        for host, address in zip((self.a, self.b), ADDRESSES, strict=True):
            host.ip(
                f"link set inner0 mtu {INNER_MTU}", f"addr add {address}/24 dev inner0", "link set inner0 up"
            )


class Wire(Site):
    """Two hosts with a namespace between them, for what joins ``port0`` and ``port1`` there.

    Args:
        offloads: whether the hosts may send super-frames and frames without a checksum.
    """

    def __init__(self, *, offloads: bool = True) -> None:
        super().__init__()
        self.middle = self.host()
        for number, (host, address) in enumerate(zip((self.a, self.b), ADDRESSES, strict=True)):
            veth((host, "host0"), (self.middle, f"port{number}"))
            host.ip(f"addr add {address}/24 dev host0")
            if not offloads:
                host.run(["ethtool", "-K", "host0", "tx", "off"])


class Contender(ABC):
    """Something that joins what a site has; the tables list one instance of each.

    A subclass sets ``commands`` and writes ``join``, which starts processes with ``launch``.

    Args:
        name: what tables call it; always the same for the same thing.

    Attributes:
        depth: how many frames one call moves at the most, where it can be told.
        ports: how many ports it joins, where a table asks for more than two; the others are idle taps.
    """

    #: Programs that it needs, with Debian's packages for them.
    commands: ClassVar[dict[str, str]] = {}
    #: Whether what it joins may hand it super-frames.
    offloads: ClassVar[bool] = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.depth = DEPTH
        self.ports = 2
        self.processes: list[Process] = []
        self.stack = contextlib.ExitStack()

    def missing(self) -> str:
        """Why it cannot run here; empty where it can."""
        wanted = {
            package: command for command, package in self.commands.items() if shutil.which(command) is None
        }
        return f"not installed: {', '.join(wanted.values())} ({', '.join(wanted)})" if wanted else ""

    def start(self, site: Site, *, cpu: int | None = None) -> None:
        """Joins what the site has; returns once frames flow.

        Args:
            site: where; of the kind that the contender is for.
            cpu: the only processor that its processes may run on; None leaves that to the kernel.

        Raises:
            BenchError: It did not come up.
        """
        self.stack = contextlib.ExitStack()
        try:
            self.join(site, cpu)
        except BaseException:
            self.stop()
            raise

    @abstractmethod
    def join(self, site: Site, cpu: int | None) -> None:
        """Does what ``start`` promises."""

    def launch(
        self,
        where: Namespace,
        argv: list[str],
        *,
        ready: str = "ready",
        cpu: int | None = None,
        stdin: bytes | None = b"",
        env: dict[str, str] | None = None,
    ) -> Process:
        """Starts one of its processes, which ends with it, and waits until that says that it is ready."""
        process = where.start(argv, cpu=cpu, stdin=stdin, env=env)
        self.stack.callback(process.stop)
        self.processes.append(process)
        if ready:
            process.expect(ready)
        return process

    def stop(self) -> None:
        """Ends everything that it has started; again and again does no harm."""
        self.stack.close()
        self.processes = []

    def idle(self) -> list[str]:
        """The names of the ports beyond two, through which nothing is meant to go."""
        return [f"idle{number}" for number in range(self.ports - 2)]

    def client(self, site: Site) -> Host:
        """Who talks to host b."""
        return site.a

    def checksum_errors(self, site: Site) -> int:
        """How many packets the kernels there have thrown away for a wrong checksum so far."""
        return site.checksum_errors()

    def wait(self, site: Site) -> None:
        """Waits until the hosts hear each other."""
        wait_reachable(site.a, ADDRESSES[1])

    def __repr__(self) -> str:
        return f"<{self.name}>"


def joined(*words: str, command: str = "cable") -> list[str]:
    """The command that joins specs, with this interpreter and this package; options may follow the specs."""
    return [sys.executable, "-m", "vecwire", command, *words]
