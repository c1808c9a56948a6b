"""Many tunnels in one process: L2TPv3 comes in from one side, and leaves to the other in another tunnel."""

import json
import sys

from vecwire.bench.contender import Contender, Site
from vecwire.bench.frames import NOBODY, frame, in_l2tpv3
from vecwire.bench.lab import veth

_SIDES = ("192.168.7", "192.168.8")
_MAC = bytes.fromhex("02000000000a")
_FIRST_PORT = 20_001
_SESSION = 7
INNER = 60


class Hub(Site):
    """A host with a process full of cables, between one that sends and one that counts nothing.

    The last host has no address: what is sent to it ends there, unanswered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.middle = self.host()
        for number, (host, side) in enumerate(zip((self.a, self.b), _SIDES, strict=True)):
            veth((host, "host0"), (self.middle, f"port{number}"))
            self.middle.ip(
                f"addr add {side}.2/24 dev port{number}",
                f"neigh add {side}.1 lladdr {NOBODY.hex(':')} dev port{number} nud permanent",
            )
        self.middle.ip(f"link set port0 address {_MAC.hex(':')}")


class ManyCables(Contender):
    """One Python process with a cable for each two tunnels."""

    tunnels = 2

    def join(self, site: Site, cpu: int | None) -> None:
        """Starts it with as many tunnels as ``tunnels`` says."""
        assert isinstance(site, Hub)  # noqa: S101 # the tables see to it
        specs = [
            f"l2tpv3,udp=1,src={side}.2,dst={side}.1,srcport={port},dstport={port},"
            f"rx_session={_SESSION},tx_session={_SESSION}"
            for port in self.udp_ports()
            for side in _SIDES
        ]
        command = [sys.executable, "-m", "vecwire.bench.many", *specs]
        self.launch(site.middle, command, cpu=cpu, stdin=None)

    def udp_ports(self) -> range:
        """The UDP ports of the tunnels of one side."""
        return range(_FIRST_PORT, _FIRST_PORT + self.tunnels // 2)

    def load(self) -> list[bytes]:
        """A frame for each tunnel that frames come in by."""
        hosts = (f"{_SIDES[0]}.1", f"{_SIDES[0]}.2")
        return [in_l2tpv3(frame(INNER), _MAC, hosts, port, _SESSION) for port in self.udp_ports()]

    def counts(self) -> tuple[int, int]:
        """How many frames have left so far, and how many were dropped."""
        process = self.processes[0]
        start = len(process.text)
        process.write("\n")
        found = json.loads(process.expect("}\n", start=start).strip())
        return found["tx_frames"], found["dropped"]

    def wait(self, site: Site) -> None:
        """It is ready when it says so."""
