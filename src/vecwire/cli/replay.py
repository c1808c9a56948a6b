"""``vecwire replay``: sends the frames of a capture file through a port."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from vecwire.cli._common import (
    DropOption,
    DurationOption,
    JsonOption,
    SpecArgument,
    StatsOption,
    UserOption,
    VerboseOption,
)
from vecwire.cli._quantities import parse_rate
from vecwire.cli._replaying import Replay, Show, Timing
from vecwire.cli._running import Shared, give_up, warn
from vecwire.cli._signals import Interrupted, Signals
from vecwire.spec import parse
from vecwire.traffic.plan import Rate
from vecwire.transports import open_port

HELP = """
Send the frames of a capture file through a port.

FILE is pcapng or pcap, of any byte order and unit of time; "-" is standard input. Frames leave at the times
that the file has, or --speed times as fast, at a --rate, or with --flat-out as fast as they go. They leave
in order, each as the octets that the file has: of a frame that was cut when it was captured, that is its
beginning. A file that is damaged is replayed up to that place, which is then told.

It ends after --loop times through the file (0 is for ever), after --duration, on Ctrl-C or on SIGTERM, and
tells what has left and what was dropped, by reason. How late frames were given to the kernel is told, too:
on average, 99 of 100, and the worst. --spin keeps the processor before a frame is due, for those who need
it on the microsecond.

Once the port is open it keeps only the capabilities that opening it again takes and, for root, the one to
read anybody's file. With --drop it keeps none; with --user it reads the file as that user.

With --json it prints one event a line: "ready", "stats" (every --stats seconds), "end".

Examples:

    vecwire replay trace.pcapng raw,ifname=eth1
    vecwire replay trace.pcapng tap,ifname=tap0 --speed 10
    vecwire replay trace.pcap raw,ifname=eth1 --rate 50k --loop 0 --duration 60
    vecwire replay trace.pcap raw,ifname=eth1 --rate 100Mbit/s
    vecwire replay trace.pcap raw,ifname=eth1 --flat-out --loop 100
"""


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A capture: pcapng or pcap; - is standard input.")
    ],
    spec: SpecArgument,
    speed: Annotated[
        float | None,
        typer.Option(min=1e-6, metavar="TIMES", help="So many times as fast.", show_default=False),
    ] = None,
    rate: Annotated[
        Rate | None,
        typer.Option(
            parser=parse_rate,
            metavar="RATE",
            help="So many frames a second (50k), or bits of frames (100Mbit/s).",
            show_default=False,
        ),
    ] = None,
    flat_out: Annotated[bool, typer.Option("--flat-out", help="As fast as it goes.")] = False,
    loop: Annotated[int, typer.Option(min=0, metavar="N", help="Times through the file; 0 is for ever.")] = 1,
    spin: Annotated[
        int,
        typer.Option(
            min=0,
            max=1_000_000,
            metavar="MICROSECONDS",
            help="Keep the processor for so long before a frame is due.",
        ),
    ] = 0,
    duration: DurationOption = None,
    stats: StatsOption = None,
    user: UserOption = None,
    drop: DropOption = False,
    json: JsonOption = False,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Replays until the file, or the patience, ends."""
    if (speed is not None) + (rate is not None) + flat_out > 1:
        raise typer.BadParameter("--speed, --rate and --flat-out exclude each other")
    if str(file) == "-" and loop != 1:
        raise typer.BadParameter("standard input can be read once: --loop needs a file")
    timing = Timing(speed=speed or 1.0, rate=Rate() if flat_out else rate)
    replay = Replay(file, timing, loops=loop, spin=spin * 1000)
    replay.check()
    parsed = parse(spec)
    with Signals() as signals, contextlib.suppress(Interrupted), open_port(parsed) as port:
        warn(port.info, json=json)
        signals.hold()
        give_up([parsed], Shared(user=user, drop=drop), files=str(file) != "-")
        with Show(replay, port, json=json, every=stats) as show:
            replay.run(port, signals, show, duration=duration)
