"""``vecwire blast``: sends stamped frames through a port."""

import time
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from vecwire.cli._common import (
    DropOption,
    DurationOption,
    JsonOption,
    SeccompOption,
    SpecArgument,
    StatsOption,
    UserOption,
    VerboseOption,
)
from vecwire.cli._counters import quantity
from vecwire.cli._running import Shared
from vecwire.cli._traffic import Rows, work
from vecwire.confine import Seccomp
from vecwire.traffic.blast import Blast
from vecwire.traffic.plan import FRAMES, MACS, Traffic, read_rate, read_sizes
from vecwire.transports import TransportPort

HELP = """
Send frames that "vecwire sink" can judge: numbered, stamped with the time, at a rate.

Each frame is a UDP datagram over IPv4 or IPv6, or a frame of the EtherType for experiments, with a stamp
of 18 octets: the number of the blast, of its flow, of the frame in its flow, and when it was sent. Flows take
turns; they differ in the source's address and port, so that a hash over those spreads them. All checksums
are right.

A --size is the octets of a frame without its check sequence, as captures and counters show it: what is
called 64 elsewhere is 60 here.

    60             all frames of 60 octets
    60,594,1514    in turn
    60-1514        each size as often, in no order
    imix           60, 566 and 1514 octets, 7:4:1 (RFC 6985)

A --rate is in frames or in bits of frames a second:

    1000  10k  1.5Mframes/s    frames
    100Mbit  2Gbit/s           bits, as many frames as that is at the mean of the sizes
    max                        as fast as it goes

At a low rate it sleeps from frame to frame; above some ten thousand frames/s it keeps a processor. What the
machine was too slow for is not made up for, and told as "skipped".

It prints "ready", and a table when it ends: after --count frames or --duration, on Ctrl-C or on SIGTERM.
Marks tell a sink when it began and how many frames there were. With --json it prints one event a line:
"warning", "ready", "stats" (every --stats seconds) and "end".

Addresses are those kept for measurements (RFC 2544, RFC 5180), unless others are given.

Once the port is open it keeps only the capabilities that opening it again takes, and none with --drop. The
thread that sends frames has none, and only the system calls of its loop.

Examples:

    vecwire blast --rate 10k --duration 10 raw,ifname=eth1
    vecwire blast --size imix --rate 500Mbit --flows 64 --vlan 10 tap,ifname=tap0
    vecwire blast --rate max --count 1000000 --frames ethernet bess,dst=/run/vecwire.sock
"""


def command(
    spec: SpecArgument,
    size: Annotated[str, typer.Option(metavar="SIZES", help="Octets of frames.")] = "60",
    rate: Annotated[str, typer.Option(metavar="RATE", help="How fast.")] = "1000",
    count: Annotated[
        int | None, typer.Option(min=1, metavar="FRAMES", help="End after so many.", show_default=False)
    ] = None,
    flows: Annotated[int, typer.Option(min=1, max=32768, metavar="NUMBER", help="How many flows.")] = 1,
    frames: Annotated[
        str,
        typer.Option(metavar="|".join(FRAMES), help="What frames carry.", autocompletion=lambda: [*FRAMES]),
    ] = "udp4",
    vlan: Annotated[
        int | None, typer.Option(min=1, max=4094, metavar="ID", help="Tag frames.", show_default=False)
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The first flow's IP address.", show_default=False)
    ] = None,
    destination: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Whom for, by IP.", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Whom for, by UDP port.")] = 9,
    source_mac: Annotated[str, typer.Option(metavar="MAC", help="Whom from.")] = MACS[0],
    destination_mac: Annotated[str, typer.Option(metavar="MAC", help="Whom for.")] = MACS[1],
    duration: DurationOption = None,
    stats: StatsOption = None,
    user: UserOption = None,
    drop: DropOption = False,
    seccomp: SeccompOption = Seccomp.ON,
    json: JsonOption = False,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Sends frames until the end is asked for."""
    if (source is None) != (destination is None):
        raise typer.BadParameter("give both --source and --destination, or neither")
    addresses = (source, destination) if source is not None and destination is not None else None
    try:
        traffic = Traffic(
            read_sizes(size), frames, flows, vlan, (source_mac, destination_mac), addresses, port
        )
        wanted = read_rate(rate)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None

    def make(opened: TransportPort) -> tuple[Blast, "Sent"]:
        blast = Blast(opened, traffic, wanted, count=count or 0, seconds=duration)
        return blast, Sent(blast)

    work(spec, make, Shared(json=json, stats=stats, user=user, drop=drop), seccomp)


@dataclass(slots=True)
class Sent:
    """How far a blast is."""

    blast: Blast
    _before: tuple[float, int, int] = field(default_factory=lambda: (time.monotonic(), 0, 0))

    def _rates(self) -> tuple[float, float]:
        """Frames and bits a second since the last time that this was asked."""
        began, frames, octets = self._before
        self._before = moment, now, more = time.monotonic(), self.blast.frames, self.blast.octets
        passed = max(moment - began, 1e-6)
        return (now - frames) / passed, (more - octets) * 8 / passed

    def line(self) -> str:
        """A line of a log."""
        frames, bits = self._rates()
        return (
            f"{self.blast.seconds:.1f} s  sent {self.blast.frames:,} frames, "
            f"{quantity(frames, 'frames/s')}, {quantity(bits, 'bit/s')}"
        )

    def rows(self) -> Rows:
        """All of it, with averages."""
        blast, seconds = self.blast, max(self.blast.seconds, 1e-6)
        dropped = blast.port.stats.tx_dropped
        wanted = f"of {quantity(blast.wanted, 'frames/s')} wanted" if blast.wanted else "as fast as it goes"
        return [
            ("sent", f"{blast.frames:,}", f"frames in {blast.traffic.flows:,} flows, {blast.seconds:.2f} s"),
            ("rate", quantity(blast.frames / seconds, "frames/s"), wanted),
            ("", quantity(blast.octets * 8 / seconds, "bit/s"), ""),
            ("skipped", f"{blast.skipped:,}", "frames for which the machine was too slow"),
            ("stalls", f"{blast.stalls:,}", "times without room to send"),
            ("dropped", f"{dropped:,}", "frames that the port did not send"),
        ]

    def event(self) -> dict[str, Any]:
        """The members of an event."""
        blast, seconds = self.blast, max(self.blast.seconds, 1e-6)
        return {
            "run": blast.number,
            "seconds": round(blast.seconds, 6),
            "frames": blast.frames,
            "octets": blast.octets,
            "flows": blast.traffic.flows,
            "wanted_per_second": blast.wanted or None,
            "frames_per_second": round(blast.frames / seconds, 1),
            "bits_per_second": round(blast.octets * 8 / seconds, 1),
            "skipped": blast.skipped,
            "stalls": blast.stalls,
            "dropped": blast.port.stats.tx_dropped,
        }
