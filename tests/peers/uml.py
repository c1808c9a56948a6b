"""User Mode Linux, the seed's own code, as a peer: a guest with one vector interface, driven by the test.

Theory of operation. `linux.uml` runs inside a namespace, with the host's root directory as its own, mounted
read-only: only /proc, /sys, /dev and /run of the guest are its own. Its console is a pair of pipes. The
init script there is a loop that reads a line, evaluates it and prints a mark with the exit status, so a test
drives the guest as it would a shell. Nothing is timed: boot ends with a mark, each command with another.
One command in some hundreds stays unread, the guest idle: UML has missed the signal that its input is
there. The next character brings both, so a silent guest is nudged with an empty line.

What Debian's UML (6.1.176) does. Seen here, unless it says otherwise:

- raw, tap and hybrid always switch vnet headers on, so super-frames arrive whether it wants them or not.
  Only with `gro=1` are they taken; otherwise each is cut ("Incoming GSO frames and GRO disabled on the
  interface") and TCP towards the guest crawls at 0.2 Mbit/s. gre, l2tpv3 and bess have no vnet header and
  need nothing. No offload of the host's interfaces need be switched off for any of them.
- raw opens two packet sockets: ETH_P_ALL to receive, ETH_P_IP to send, on which received IPv4 frames queue
  up unread. hybrid opens one and the tap. None makes the interface promiscuous: on a veth, a bridge port or
  a tap that does no harm; on a real card the host must.
- hybrid sends into the tap and receives what is *outgoing* on the tap's interface; its own frames come back
  as incoming ones, and its own-MAC filter drops them (from reading). A packet socket with
  PACKET_QDISC_BYPASS on the same interface sends past it (from reading): put a bridge between.
- `srcport` and `dstport` are the names that the driver reads. `src_port` of its manual is passed over
  silently: the socket is bound to a random port and each send fails with EINVAL.
- A session of 2^31 or more, or only one of the two sessions, panics the guest when vec0 is set up. A GRE key
  of 2^31 or more is taken for no key, a cookie that is no number for any number; both silently.
- `transport=rawXYZ` is raw. A transport that it does not know, a missing `src` of gre, a bess server that
  does not listen: `ip link set vec0 up` fails with EINVAL and the log is silent. An interface that is not
  there: ENETUNREACH.
- bess connects once, when vec0 is set up.
- raw and hybrid lose the VLAN tag of what they receive: the kernel takes it out and tells it beside
  (PACKET_AUXDATA), and what was tagged arrives on vec0 itself. What the guest sends keeps its tag.
- Frames, as characters, may stay unread with the guest idle: tcpdump showed the last replies to a ping in
  time on the tap, and the guest got them when the next command woke it, after ping had given up. Those that
  waited then come at once, and take more of a socket's buffer than ping's has. So replies are counted where
  the guest's kernel counts them.
- vec0 has MTU 1500 unless `mtu=` says otherwise; `ip link set vec0 mtu` takes at most 1500 even then. Both
  ends of a tunnel must have room for the encapsulation: 1600 octets in the tests.
- A counter or sequence begins at 1 (RFC 2890 has the GRE sequence begin at 0; neither minds). What is
  received there is not looked at, but its presence must be equal: GRE flags and protocol are compared as one
  word. Sockets are not connected: a frame from any source is taken.
- A transport's data is not zeroed (from reading): `udp`, `has_sequence` and the pins are undefined where
  they are not given. The guest boots with `init_on_alloc=1`, so that absent means 0.
- IPv6 and VLAN devices are modules in Debian's UML and are loaded by hand; the guest has no /lib/modules of
  its own.
- On a processor with AMX, UML 6.1 dies at boot; see `uml_launch.py`.
"""

from __future__ import annotations

import contextlib
import itertools
import shlex
import shutil
import sysconfig
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from peers.background import ProcessError
from peers.counters import FILES, bad_checksums, protocol_counters
from peers.net import (
    Iperf,
    Namespace,
    Ping,
    iperf3_command,
    parse_iperf3,
    parse_ping,
    ping_command,
    wait_until,
)
from vecwire.bench import uml_launch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

COMMAND = "linux.uml"
BOOT_TIMEOUT = 30
_READY = "@@guest ready"
_PANIC = "Kernel panic - not syncing"
_ECHOES = (("IcmpOutEchos", "IcmpInEchoReps"), ("Icmp6OutEchos", "Icmp6InEchoReplies"))

# The host need not have kmod, and the guest has the host's programs: call finit_module(2), 313, directly.
_LOAD = """import ctypes, os, sys
folder = "/usr/lib/uml/modules/" + os.uname().release + "/"
needs = dict(line.split(":") for line in open(folder + "modules.dep"))
wanted = "kernel/net/" + sys.argv[1]
for module in [*needs[wanted].split()[::-1], wanted]:
    with open(folder + module, "rb") as file:
        ctypes.CDLL(None).syscall(313, file.fileno(), b"", 0)
"""

# Not sys.executable: a sanitized interpreter wants more memory than a guest has.
_PYTHON = f"{sysconfig.get_config_var('BINDIR')}/python{sysconfig.get_python_version()}"
_INIT = f"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TMPDIR=/run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmpfs /run
stty -echo -onlcr
dmesg -n 1
cd /run
load() {{ '{_PYTHON}' -I -S "${{0%/*}}/load.py" "$1"; }}
[ -d /proc/sys/net/ipv6 ] || load ipv6/ipv6.ko
ip link set lo up
echo '{_READY}'
while read -r line; do eval "$line"; done
echo o > /proc/sysrq-trigger
"""


class GuestError(RuntimeError):
    """A command in the guest failed; the text holds its output."""


class Uml:
    """A running guest with the interface `vec0`. Use it as a context.

    Args:
        namespace: Where its sockets and taps are.
        vector: What follows `vec0:` on its command line, `transport=...,...`.
        memory: Of the guest.
    """

    def __init__(self, namespace: Namespace, vector: str, *, memory: str = "128M") -> None:
        self.vector = vector
        self._marks = itertools.count(1)
        self._folder = tempfile.TemporaryDirectory(prefix="vecwire-uml-")
        try:
            init = Path(self._folder.name, "init")
            init.write_text(_INIT, encoding="utf-8")
            init.with_name("load.py").write_text(_LOAD, encoding="utf-8")
            init.chmod(0o700)
            arguments = [
                f"mem={memory}",
                *("rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"),
                *("con=null", "con0=fd:0,fd:1", "init_on_alloc=1", "random.trust_cpu=1"),
                *(f"uml_dir={self._folder.name}/", "umid=guest"),
                f"vec0:{vector}",
            ]
            self.process = namespace.popen(_command(arguments), name="linux.uml", stdin=True)
        except BaseException:
            self._folder.cleanup()
            raise
        try:
            self.process.wait_for_text(_READY, timeout=BOOT_TIMEOUT)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the guest at once, however it is."""
        self.process.kill()
        self._folder.cleanup()

    def power_off(self, timeout: float = 10) -> int:
        """Lets the guest power off and returns the exit status of UML, 0 if all went well."""
        self.process.write("echo o > /proc/sysrq-trigger\n")
        with contextlib.suppress(ProcessError):  # "ended": its output is at an end
            self.process.wait_for(
                lambda _out, _err: None, timeout=timeout, what="the guest powers off", nudge=self._nudge
            )
        return self.process.wait(1)

    def _nudge(self) -> None:
        with contextlib.suppress(ProcessError):  # it may have ended this moment
            self.process.write("\n")

    def run(self, argv: Sequence[str] | str, *, check: bool = True, timeout: float = 15) -> str:
        """Runs a command in the guest and returns what it printed, both streams.

        Args:
            argv: A command, or a line for its shell.
            check: Whether an exit status other than 0 is an error.
            timeout: Seconds.

        Raises:
            GuestError: It failed; the text holds its output.
            ProcessError: The guest ended, or the command took too long.
        """
        line = argv if isinstance(argv, str) else shlex.join(argv)
        mark = f"@@{next(self._marks)}"
        start = len(self.process.output)

        def find(output: str, _errors: str) -> tuple[str, int] | None:
            if _PANIC in output:
                raise GuestError(f"{line}: the guest panicked\n{output[-6000:]}")
            text, found, status = output[start:].partition(f"\n{mark} ")
            return (text, int(status.split("\n")[0])) if found and "\n" in status else None

        self.process.write(f"eval {shlex.quote(line)} 2>&1 < /dev/null; printf '\\n{mark} %d\\n' $?\n")
        text, status = self.process.wait_for(
            find, timeout=timeout, what=f"the guest runs {line!r}", nudge=self._nudge
        )
        if check and status:
            raise GuestError(f"{line}: exit status {status}\n{text}")
        return text

    def log(self) -> str:
        """The kernel log of the guest, without colours."""
        return self.run(["dmesg", "--color=never"])

    def configure(
        self, *addresses: str, mtu: int | None = None, mac: str | None = None, link: str = "vec0"
    ) -> None:
        """Sets vec0, or another link, up, with addresses that are usable at once.

        Raises:
            GuestError: It does not come up; the text holds the guest's kernel log.
        """
        lines = [
            f"cd /proc/sys/net/ipv6/conf/{link}",
            "echo 0 > accept_dad",
            "echo 0 > accept_ra",
            "echo 0 > router_solicitations",
            f"ip link set {link} addrgenmode none",
            *([f"ip link set {link} address {mac}"] if mac else []),
            *([f"ip link set {link} mtu {mtu}"] if mtu else []),
            *(f"ip addr add {each} dev {link}{' nodad' if ':' in each else ''}" for each in addresses),
            f"ip link set {link} up",
        ]
        try:
            self.run(" && ".join(lines))
        except GuestError as error:
            log = "" if _PANIC in self.process.output else self.log()[-3000:]
            raise GuestError(f"vec0:{self.vector} does not bring {link} up\n{error}\n{log}") from error

    def vlan(self, link: str, number: int, *addresses: str) -> None:
        """Makes a VLAN device of the guest's kernel on vec0, and sets it up."""
        self.run("[ -e /proc/net/vlan ] || load 8021q/8021q.ko")
        self.run(f"ip link add link vec0 name {link} type vlan id {number}")
        self.configure(*addresses, link=link)

    def counters(self) -> dict[str, int]:
        """The protocol counters of the guest's kernel, named as by nstat."""
        text = self.run(f"for name in {' '.join(FILES)}; do cat /proc/net/$name; echo @; done")
        return protocol_counters(dict(zip(FILES, text.split("@\n"), strict=False)))

    def checksum_errors(self) -> dict[str, int]:
        """The counters of packets that the guest threw away for a bad checksum that are not zero."""
        return bad_checksums(self.counters())

    def ping(
        self, destination: str, *, count: int = 3, size: int = 56, interval: float = 0.02, patience: float = 1
    ) -> Ping:
        """Pings from the guest; the arguments are those of `net.ping_command`.

        Replies that its kernel has got are not lost, though `ping` gave up before or had no room for them.
        """
        command = ping_command(destination, count=count, size=size, interval=interval, patience=patience)
        found = parse_ping(self.run(command, check=False, timeout=30 + count * interval + patience))
        if found.lost:
            with contextlib.suppress(TimeoutError):
                wait_until(self._answered, timeout=2, what="the guest has all replies")
                return replace(found, received=found.sent)
        return found

    def _answered(self) -> bool:
        """Whether the kernel has got a reply to each ping there ever was."""
        counters = self.counters()
        return all(counters[out] == counters[back] for out, back in _ECHOES)

    def iperf3_servers(self, *ports: int) -> None:
        """Starts iperf3 servers in the guest, each for one run, and returns once all listen.

        A server is for one run: its last moments refuse, or reset, the next client. Starting one takes the
        guest a third of a second, however many are started with it.
        """
        logs = "/run/iperf3.$port.log"
        self.run(f"for port in {' '.join(map(str, ports))}; do iperf3 -s -1 -p $port > {logs} 2>&1 & done")
        wanted = "|".join(f"{port:04X}" for port in ports)
        listening = f"cat /proc/net/tcp /proc/net/tcp6 | grep -cE ':({wanted}) 0+:0000 0A '"
        self.run(
            f"n=0; until [ $({listening}) -ge {len(ports)} ]; do n=$((n+1));"
            " [ $n -lt 500 ] || { cat /run/iperf3.*.log; false; break; }; sleep 0.01; done"
        )

    def iperf3(
        self, destination: str, *, port: int = 5201, seconds: float = 1, reverse: bool = False
    ) -> Iperf:
        """Runs an iperf3 client in the guest; with `reverse`, the server sends."""
        command = iperf3_command(destination, port=port, seconds=seconds, reverse=reverse)
        return parse_iperf3(self.run(command, check=False, timeout=seconds + 20))

    def statistics(self) -> dict[str, int]:
        """The driver's own counters of vec0: `rx_queue_max`, `rx_encaps_errors`, `tx_restart_queue`..."""
        lines = self.run(["ethtool", "-S", "vec0"]).splitlines()[1:]
        pairs = (line.split(":") for line in lines if ":" in line)
        return {key.strip(): int(value) for key, value in pairs}


def missing() -> str | None:
    """Why UML cannot run here, or None."""
    return None if shutil.which(COMMAND) else f"{COMMAND} is not installed (Debian: user-mode-linux)"


def _command(arguments: Sequence[str]) -> list[str]:
    return [*uml_launch.command(), *arguments, *uml_launch.environment()]
