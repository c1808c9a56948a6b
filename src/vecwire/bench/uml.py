"""User Mode Linux as a contender: a guest's own driver at one end, ``vecwire cable`` and a tap at the other.

Theory of operation: ``linux.uml`` has the host's root directory as its own, read-only, and its console is a
pair of pipes. Its init is a loop that reads a line, evaluates it, and prints a mark with the exit status. Now
and then UML misses the signal that its input is there: a silent guest is nudged with an empty line.
"""

import itertools
import shlex
from pathlib import Path
from typing import ClassVar

from vecwire.bench import uml_launch
from vecwire.bench.contender import ADDRESSES, INNER_MTU, OUTER, Contender, Host, Site, Wan, joined
from vecwire.bench.lab import BenchError, Process, parse_checksum_errors

_READY = "@@guest ready"
_INIT = f"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TMPDIR=/run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmpfs /run
stty -echo -onlcr
dmesg -n 1
cd /run
ip link set lo up
echo '{_READY}'
while read -r line; do eval "$line"; done
echo o > /proc/sysrq-trigger
"""


class Guest:
    """The console of a running guest, as a place where clients can be run."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._marks = itertools.count(1)

    def output(self, argv: list[str], seconds: float) -> str:
        """Runs a command in the guest to its end and returns what it printed, whether it failed or not.

        Raises:
            BenchError: The guest ended, or the command took too long.
        """
        mark = f"@@{next(self._marks)}"
        start = len(self._process.text)
        self._process.write(f"eval {shlex.quote(shlex.join(argv))} 2>&1 < /dev/null; printf '\\n{mark}\\n'\n")
        text = self._process.expect(
            f"\n{mark}\n", start=start, timeout=seconds, nudge=lambda: self._process.write("\n")
        )
        return text.partition(f"\n{mark}\n")[0]


class UmlGuest(Contender):
    """A guest whose ``vec0`` speaks to vecwire; TCP between the guest and a host.

    Args:
        name: what tables call it.
        vector: what follows ``vec0:`` on UML's command line, but for the addresses.
        spec: vecwire's end, but for the addresses.
    """

    commands: ClassVar = {"linux.uml": "user-mode-linux"}

    def __init__(self, name: str, vector: str, spec: str) -> None:
        super().__init__(name)
        self._vector = vector
        self._spec = spec
        self._guest: Guest | None = None

    def join(self, site: Site, cpu: int | None) -> None:
        """The guest in host a, vecwire in host b."""
        assert isinstance(site, Wan)  # noqa: S101 # the tables see to it
        site.b.ip(
            "tuntap add dev inner0 mode tap",
            f"link set inner0 mtu {INNER_MTU}",
            f"addr add {ADDRESSES[1]}/24 dev inner0",
            "link set inner0 up",
        )
        texts = {"path": site.folder / "bess", "a": OUTER[0], "b": OUTER[1]}
        self.launch(site.b, joined("tap,ifname=inner0", self._spec.format(**texts)), cpu=cpu)
        init = Path(site.folder, "init")
        init.write_text(_INIT, encoding="utf-8")
        init.chmod(0o700)
        command = [
            *uml_launch.command(),
            *("mem=128M", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"),
            *("con=null", "con0=fd:0,fd:1", "init_on_alloc=1", "random.trust_cpu=1"),
            *(f"uml_dir={site.folder}/", "umid=guest", f"vec0:{self._vector.format(**texts)}"),
            *uml_launch.environment(),
        ]
        process = self.launch(site.a, command, ready=_READY, cpu=cpu, stdin=None)
        self._guest = Guest(process)
        for line in (
            f"ip link set vec0 mtu {INNER_MTU}",
            f"ip addr add {ADDRESSES[0]}/24 dev vec0",
            "ip link set vec0 up",
        ):
            if said := self._guest.output(line.split(), 15).strip():
                raise BenchError(f"in the guest, {line}: {said}")

    def client(self, site: Site) -> "Guest | Host":  # type: ignore[override]
        """The guest."""
        return self._guest or site.a

    def checksum_errors(self, site: Site) -> int:
        """The same, of the guest's kernel too."""
        text = self.client(site).output(["cat", "/proc/net/snmp"], 15)
        return super().checksum_errors(site) + parse_checksum_errors(text)

    def wait(self, site: Site) -> None:
        """Waits until the guest hears the host."""
        guest = self.client(site)
        for _ in range(20):
            if " 0% packet loss" in guest.output(["ping", "-c", "1", "-W", "1", ADDRESSES[1]], 10):
                return
        raise BenchError("the guest hears nothing")


def guests() -> list[UmlGuest]:
    """UML by each transport that vecwire has to be better at."""
    addresses = "src={a},dst={b}"
    back = "src={b},dst={a}"
    return [
        UmlGuest("UML gre", f"transport=gre,mtu=1600,{addresses}", f"gre,{back}"),
        UmlGuest(
            "UML l2tpv3 ip",
            f"transport=l2tpv3,mtu=1600,{addresses},rx_session=1,tx_session=2",
            f"l2tpv3,{back},rx_session=2,tx_session=1",
        ),
        UmlGuest("UML bess", "transport=bess,dst={path}", "bess,listen={path}"),
    ]
