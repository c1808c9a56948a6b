"""Where the bench happens: namespaces without names, links in them, and processes that die with the bench.

A namespace is held by a descriptor of this process alone. When that is closed, or this process ends in any
way, the namespace goes as soon as the last process in it has gone; each of those is killed by the kernel
when the bench ends (PR_SET_PDEATHSIG). All of it belongs to the main thread: it enters a namespace to open a
socket or to start a process there, and comes back.
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vecwire.errors import VecwireError
from vecwire.transports._netns import enter
from vecwire.transports._unshare import own_network

ENDED = 5.0
_QUIET = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
}


class BenchError(VecwireError):
    """A contender did not do what it should; the message holds what it said."""


class Namespace:
    """A network namespace without a name, its loopback up, silent but for what is sent in it."""

    def __init__(self) -> None:
        with _back_again():
            own_network()
            self._fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            for key, value in _QUIET.items():
                with contextlib.suppress(OSError):  # a kernel without IPv6 is as silent
                    Path("/proc/sys/net", key).write_text(value, encoding="ascii")

    @contextlib.contextmanager
    def enter(self) -> Iterator[None]:
        """Takes the calling thread into the namespace until the context ends."""
        with _back_again():
            enter(self._fd)
            yield

    def close(self) -> None:
        """Lets go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def ip(self, *lines: str) -> None:
        """Configures what is inside; each line is what stands behind ``ip`` on a command line."""
        self.run(["ip", "-batch", "-"], text="".join(f"{line}\n" for line in lines))

    def run(
        self, argv: Sequence[str], *, text: str = "", timeout: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command inside to its end, in the hands of the kernel should this process end before.

        Raises:
            BenchError: It failed and ``check`` is set, or took too long.
        """
        with self.enter():
            try:
                done = subprocess.run(  # noqa: S603 # commands of the bench
                    _mortal(argv), input=text, capture_output=True, text=True, timeout=timeout, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise BenchError(f"{argv[0]} still ran after {timeout:g} s") from error
        if check and done.returncode:
            raise BenchError(f"{' '.join(argv)}: {_last(done.stderr or done.stdout) or done.returncode}")
        return done

    def start(self, argv: Sequence[str], **options: "int | bytes | dict[str, str] | None") -> "Process":
        """Starts a command inside; the options are those of :class:`Process`."""
        with self.enter():
            return Process(argv, **options)  # type: ignore[arg-type]

    def move(self, link: str, other: "Namespace", name: str) -> None:
        """Moves a link into another namespace, under another name."""
        self.ip(f"link set {link} netns /proc/{os.getpid()}/fd/{other._fd} name {name}")  # noqa: SLF001

    def octets_and_frames(self, link: str) -> tuple[int, int]:
        """What a link has received: octets, and frames as the kernel counts them."""
        with self.enter():
            text = Path("/proc/thread-self/net/dev").read_text(encoding="ascii")
        for line in text.splitlines():
            name, colon, numbers = line.strip().partition(":")
            if colon and name == link:
                fields = numbers.split()
                return int(fields[0]), int(fields[1])
        raise BenchError(f"there is no link {link}")

    def checksum_errors(self) -> int:
        """How many packets this namespace has thrown away for a wrong checksum."""
        with self.enter():
            return parse_checksum_errors(Path("/proc/thread-self/net/snmp").read_text(encoding="ascii"))


def parse_checksum_errors(text: str) -> int:
    """How many packets were thrown away for a wrong checksum, from the text of /proc/net/snmp.

    Raises:
        BenchError: The text has no such counter.
    """
    names: dict[str, list[str]] = {}
    total: list[int] = []
    for line in text.splitlines():
        protocol, colon, words = line.partition(":")
        if colon and protocol in names:
            values = dict(zip(names[protocol], words.split(), strict=False))
            total += [int(values[name]) for name in values.keys() & {"InCsumErrors"}]
        elif colon:
            names[protocol] = words.split()
    if not total:
        raise BenchError(f"no counters of wrong checksums: {_last(text)}")
    return sum(total)


class Process:
    """A command in the background; one pipe takes what it prints, on either stream.

    Args:
        argv: The command.
        cpu: The only processor that it may run on; None leaves that to the kernel.
        stdin: Written to its standard input, which then ends; None keeps the input open, for ``write``.
        env: Variables to add to the environment.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cpu: int | None = None,
        stdin: bytes | None = b"",
        env: dict[str, str] | None = None,
    ) -> None:
        self.name = Path(argv[0]).name
        self.text = ""
        with _pinned(cpu):
            self._popen = subprocess.Popen(  # noqa: S603 # commands of the bench
                _mortal(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        assert self._popen.stdin is not None  # noqa: S101 # they are pipes
        assert self._popen.stdout is not None  # noqa: S101
        self._input, self._output = self._popen.stdin, self._popen.stdout
        os.set_blocking(self._output.fileno(), False)
        self.pid = self._popen.pid
        if stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._input.write(stdin)
                self._input.close()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._popen.poll() is None

    def write(self, text: str) -> None:
        """Writes to its standard input.

        Raises:
            BenchError: It does not read any more.
        """
        try:
            self._input.write(text.encode())
            self._input.flush()
        except BrokenPipeError as error:
            raise BenchError(f"{self.name} ended: {_last(self.text)}") from error

    def read(self, seconds: float = 0.0) -> bool:
        """Takes what it has printed, waiting for it so long at most; False once there will be no more."""
        watch = select.poll()
        watch.register(self._output, select.POLLIN)
        if not watch.poll(seconds * 1000):
            return True
        data = self._output.read()
        self.text += (data or b"").decode(errors="replace")
        return bool(data)

    def expect(
        self, text: str, *, start: int = 0, timeout: float = 20, nudge: Callable[[], None] | None = None
    ) -> str:
        """Waits until it prints a text; returns all that it has printed from ``start`` on.

        Args:
            text: What to wait for.
            start: How many of the characters printed so far are not looked at.
            timeout: Seconds.
            nudge: Called while it is silent.

        Raises:
            BenchError: It ended, or stayed silent, before.
        """
        deadline = time.monotonic() + timeout
        while text not in self.text[start:]:
            before = len(self.text)
            left = deadline - time.monotonic()
            if left <= 0 or not self.read(min(left, 0.25)):
                state = "is silent" if left > 0 and self.alive else "ended" if not self.alive else "is late"
                raise BenchError(f"{self.name} {state}, and did not say {text!r}: {_last(self.text)}")
            if nudge is not None and len(self.text) == before:
                nudge()
        return self.text[start:]

    def finish(self, timeout: float = 60) -> str:
        """Waits until it ends by itself; returns all that it has printed.

        Raises:
            BenchError: It still runs after so long, or failed.
        """
        deadline = time.monotonic() + timeout
        while self.read(0.25):
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} still ran after {timeout:g} s")
        if self._popen.wait(ENDED):
            raise BenchError(f"{self.name} failed: {_last(self.text)}")
        return self.text

    def stop(self) -> None:
        """Ends it: SIGTERM first, and SIGKILL for it and all that it has started."""
        if self.alive:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(ENDED)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        for pipe in (self._input, self._output):
            with contextlib.suppress(OSError):
                pipe.close()


def veth(a: tuple[Namespace, str], b: tuple[Namespace, str], *, mtu: int = 1500) -> None:
    """Joins two namespaces by a veth pair, both ends up."""
    (here, name), (there, other) = a, b
    here.ip(f"link add {name} mtu {mtu} type veth peer name vecwire-peer mtu {mtu}")
    here.move("vecwire-peer", there, other)
    here.ip(f"link set {name} up")
    there.ip(f"link set {other} up")


def wait_until(condition: Callable[[], bool], *, timeout: float, what: str) -> None:
    """Asks again and again until something is so.

    Raises:
        BenchError: It is not so in time.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {timeout:g} s")
        time.sleep(0.02)


def _mortal(argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` and is killed when this process ends."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *argv]


def _last(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[:300]


@contextlib.contextmanager
def _pinned(cpu: int | None) -> Iterator[None]:
    """Lets processes that are started here run on one processor only."""
    before = os.sched_getaffinity(0)
    if cpu is not None and cpu in before:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _back_again() -> Iterator[None]:
    """Brings the thread back into its namespace when the context ends."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        enter(before)
        os.close(before)
