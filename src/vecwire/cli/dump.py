"""``vecwire dump``: captures what a port receives, to a file or in lines."""

import contextlib
import dataclasses
import logging
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from vecwire.capture import SNAPLEN, Form, Recorder, Rotation, form_of
from vecwire.capture.files import Interface, Statistics
from vecwire.capture.sockets import Tap
from vecwire.cli._common import (
    NOT_FOR_A_TERMINAL,
    DropOption,
    DurationOption,
    JsonOption,
    SpecArgument,
    StatsOption,
    UserOption,
    VerboseOption,
)
from vecwire.cli._dumping import Dump, Files, Lines, Patience, Show, reasons
from vecwire.cli._quantities import parse_octets
from vecwire.cli._running import Shared, give_up, label_all, warn
from vecwire.cli._signals import ENDING, Interrupted, Signals
from vecwire.cli._wakeup import Wakeup
from vecwire.spec import Spec, parse
from vecwire.transports import TransportPort, open_port

logger = logging.getLogger("vecwire.cli")

HELP = """
Capture the frames that a port receives.

With -w they go to a file, pcapng unless its suffix says pcap; "-" is standard output, for a Wireshark at
the other end of a pipe. Without it each frame is a line: when it came, from whom, to whom, its VLANs, what
it carries, its length. An expression, as tcpdump has them, says which frames are wanted.

Times are nanoseconds. A raw port captures what this host sends, too, unless --incoming is given; not seen
is what goes past the queueing discipline, as other raw ports send. Super-frames of up to 64 KB, which the
kernel cuts or joins elsewhere, are written as they are, or with --segment as the frames that they stand
for. A checksum that the kernel has left to the interface is completed.

It ends on Ctrl-C, SIGTERM, after --duration, or after -c frames, and then tells on standard error how many
frames were captured, and how many were dropped, by reason; pcapng files tell so too. What came before the
end is taken yet, for two seconds at the most; a pipe that nobody reads is waited for as long, unless a
second signal comes. Several files are written one after the other with --rotate-size and --rotate-time,
numbered: trace-00001.pcapng. When the disk is full, the file ends with a whole frame, and the exit code is 1.

Once the port is open it keeps only the capabilities that opening it again takes and, where root writes files,
the one to write into anybody's folder. With --drop it keeps none; with --user it writes as that user.

With --json it prints one object a line: "ready", "stats" (every --stats seconds), "end", and without -w one
for each frame.

Examples:

    vecwire dump raw,ifname=eth1
    vecwire dump raw,ifname=eth1 -w trace.pcapng udp port 53
    vecwire dump raw,ifname=eth1 -w - | wireshark -k -i -
    vecwire dump raw,ifname=eth1 -w ring.pcapng --rotate-size 100M --keep 5
    vecwire dump l2tpv3,src=192.0.2.1,dst=192.0.2.2,rx_session=1,tx_session=2 \\
        -c 100 -s 128 -w inner.pcap
"""

#: Frames that one call takes at the most.
DEPTH = 128


def command(
    spec: SpecArgument,
    expression: Annotated[
        list[str] | None, typer.Argument(metavar="EXPR", help="Which frames are wanted: tcp port 80.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", "-w", metavar="FILE", help="Write the frames to a file; - is standard output."
        ),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option("--format", help="The form of the file.", show_default="the suffix's, or pcapng"),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count", "-c", min=1, metavar="N", help="End after so many frames.", show_default=False
        ),
    ] = None,
    snaplen: Annotated[
        int,
        typer.Option(
            "--snaplen", "-s", min=14, max=SNAPLEN, metavar="OCTETS", help="Keep so much of each frame."
        ),
    ] = SNAPLEN,
    segment: Annotated[
        bool, typer.Option("--segment", help="Write super-frames as the frames that they stand for.")
    ] = False,
    rotate_size: Annotated[
        int | None,
        typer.Option(
            "--rotate-size",
            parser=parse_octets,
            metavar="OCTETS",
            help="Begin a new file before one gets longer: 64k, 100M, 1G.",
            show_default=False,
        ),
    ] = None,
    rotate_time: Annotated[
        float | None,
        typer.Option(
            "--rotate-time",
            min=0.1,
            metavar="SECONDS",
            help="Begin a new file when one is so old.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", min=1, metavar="N", help="Keep the last files, so many of them.", show_default=False
        ),
    ] = None,
    incoming: Annotated[
        bool, typer.Option("--incoming", help="Leave out what this host sends through the interface.")
    ] = False,
    duration: DurationOption = None,
    stats: StatsOption = None,
    user: UserOption = None,
    drop: DropOption = False,
    json: JsonOption = False,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Captures until the end is asked for."""
    rotation = Rotation(rotate_size, rotate_time, keep)
    _check(write, json=json, rotation=rotation)
    text = " ".join(expression or ())
    wanted = dataclasses.replace(with_filter(parse(spec), text), timestamps=True)
    with Signals(), contextlib.suppress(Interrupted), open_port(wanted) as port:
        warn(port.info, json=json)
        with _listening(port, incoming=incoming, ring=write is not None) as tap, Wakeup(ENDING) as wakeup:
            give_up([wanted], Shared(user=user, drop=drop), files=write is not None)
            show = Show(json=json, every=stats, writes=write is not None)
            dump, patience = Dump(port, tap, count=count), Patience(wakeup, duration)
            if write is None:
                sink: Files | Lines = Lines(json=json, snaplen=snaplen)
            else:
                sink = Files(
                    Recorder(
                        write,
                        form=form_of(write, form),
                        snaplen=snaplen,
                        segment=segment,
                        rotation=rotation,
                        interface=Interface(label_all([port.info])[0], wanted.public, wanted.filter or ""),
                        patient=patience.with_a_pipe if _is_a_pipe(write) else patience.with_a_disk,
                        statistics=lambda begun, records: _statistics(dump, begun, records),
                    )
                )
            show.ready(port)
            with contextlib.ExitStack() as ending:
                ending.callback(show.end, dump, sink)
                ending.callback(sink.close)
                dump.run(sink, patience, show, depth=DEPTH)


def _is_a_pipe(write: Path) -> bool:
    """Whether somebody reads there who may not; what is no pipe and no socket takes all in its time."""
    if str(write) != "-":
        return write.is_fifo()
    mode = os.fstat(sys.stdout.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def with_filter(spec: Spec, expression: str) -> Spec:
    """A spec that takes only the frames that an expression wants, besides what it says itself.

    Raises:
        SpecError: The spec names a file of instructions.
    """
    if not expression:
        return spec
    both = f"({spec.filter}) and ({expression})" if spec.filter else expression
    return dataclasses.replace(spec, filter=both)


def _check(write: Path | None, *, json: bool, rotation: Rotation) -> None:
    standard_output = write is not None and str(write) == "-"
    if standard_output and json:
        raise typer.BadParameter("--json and -w - both want standard output")
    if standard_output and sys.stdout.isatty():
        raise typer.BadParameter(NOT_FOR_A_TERMINAL)
    if rotation.numbered and (write is None or standard_output):
        raise typer.BadParameter("several files need -w FILE")
    if rotation.keep is not None and not rotation.numbered:
        raise typer.BadParameter("--keep needs --rotate-size or --rotate-time")


@contextlib.contextmanager
def _listening(port: TransportPort, *, incoming: bool, ring: bool) -> Iterator[Tap]:
    """The port's descriptor with room for bursts, in both directions where there are two."""
    both = port.spec.transport == "raw" and not incoming
    with contextlib.closing(Tap(port.info.descriptors.get("rx", -1), outgoing=both, ring=ring)) as tap:
        if both and not tap.both:
            logger.warning("%s: frames that this host sends are not captured", port.spec.public)
        yield tap


def _statistics(dump: Dump, begun: int, records: int) -> Statistics:
    counters = dump.port.stats
    return Statistics(
        start=begun,
        end=time.time_ns(),
        received=counters.rx_frames,
        kernel_dropped=dump.tap.dropped,
        written=records,
        comment="\n".join(reasons(counters)),
    )
