"""What ``cable`` and its like share: open ports, say ``ready``, show counters, end when told to.

On standard output come ``ready``, counters and the final table; with ``--json`` one event a line:
``warning``, ``ready``, ``stats``, ``end``. On standard error come warnings and errors.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from vecwire.cli._counters import as_object, info_object, log_lines, rich_table, table_lines
from vecwire.cli._output import print_json, print_line
from vecwire.cli._signals import Interrupted, Signals
from vecwire.meter import Meter
from vecwire.port import PortInfo
from vecwire.service import privileges
from vecwire.spec import Spec, parse, public
from vecwire.transports import TransportPort, open_port
from vecwire.transports._refusal import WITHOUT

logger = logging.getLogger("vecwire.cli")
Show = Callable[[Meter], None]


@dataclass(frozen=True, slots=True)
class Shared:
    """The options that such commands share.

    Attributes:
        json: Print events, not text.
        duration: Seconds after which to end; None is never.
        stats: Seconds between two readings of the counters; None shows none.
        user: The user to become, once ports are open; None stays.
        drop: Whether all capabilities are given up, or only those that opening the ports again does not take.
    """

    json: bool = False
    duration: float | None = None
    stats: float | None = None
    user: str | None = None
    drop: bool = False


def run(
    specs: Sequence[str],
    join: Callable[[list[TransportPort]], AbstractContextManager[object]],
    shared: Shared,
) -> None:
    """Opens ports, joins them, and moves frames until SIGINT, SIGTERM or the end of the duration.

    Args:
        specs: The texts of the specs; all are checked before any is opened.
        join: Makes what joins the open ports: frames move while it is entered.
        shared: The shared options.

    Raises:
        SpecError: A text is wrong.
        UnsupportedError: This user may not, or this host cannot, open one of the ports.
        PortError: An interface, an address or a peer is not there.
    """
    parsed = [parse(text) for text in specs]
    with Signals() as signals, contextlib.suppress(Interrupted), contextlib.ExitStack() as stack:
        ports = [stack.enter_context(open_port(spec)) for spec in parsed]
        for port in ports:
            logger.info(
                "%s: opened, with %s", port.spec.public, ", ".join(port.info.offloads) or "no offloads"
            )
            warn(port.info, json=shared.json)
        signals.hold()
        names = label_all([port.info for port in ports])
        meter = Meter(dict(zip(names, ports, strict=True)))
        give_up(parsed, shared)
        with join(ports):
            _say_ready(ports, names, shared)
            with _display(shared) as show:
                _watch(signals, meter, shared, show)
        _say_end(meter, shared)


def give_up(specs: Sequence[Spec], shared: Shared, *, files: bool = False) -> None:
    """Gives up the capabilities that are not needed any more, before any thread begins.

    Args:
        specs: Of all ports.
        shared: The shared options.
        files: Whether files are opened later, as captures are.

    Raises:
        UnsupportedError: The kernel refuses.
        PortError: There is no such user.
    """
    privileges.keep_needed([] if shared.drop else specs, shared.user, files=files and not shared.drop)


def label_all(infos: Sequence[PortInfo]) -> list[str]:
    """Short names for ports, each its own: the transport and what it is attached to."""
    names: list[str] = []
    for info in infos:
        spec = parse(info.spec)
        where = next(
            (str(found) for name in ("ifname", "dst", "listen") if (found := getattr(spec, name, None))),
            "" if spec.fd is None else f"fd={spec.fd}",
        )
        if "%" in where and info.ifname is not None:
            where = info.ifname  # a pattern, for which the kernel has chosen a number
        name = f"{spec.transport} {where}" + (f" in {spec.netns}" if spec.netns else "")
        names.append(f"{name} #{len(names) + 1}" if name in names else name)
    return names


def warn(info: PortInfo, *, json: bool) -> None:
    """Says what the host refused to a port that works without it, and what to do about that."""
    for what, why in info.refused.items():
        remedy = WITHOUT.get(what, "")
        if json:
            print_json(
                {"event": "warning", "port": public(info.spec), "refused": what, "why": why, "remedy": remedy}
            )
        else:
            sys.stderr.write(f"vecwire: warning: {public(info.spec)}: no {what}: {why}\n")
            if remedy:
                sys.stderr.write(f"  remedy: {remedy}\n")


def _say_ready(ports: Sequence[TransportPort], names: Sequence[str], shared: Shared) -> None:
    if shared.json:
        named = zip(names, ports, strict=True)
        objects = [{"name": name, **info_object(port.info)} for name, port in named]
        print_json({"event": "ready", "ports": objects})
    else:
        print_line("ready")


def _say_end(meter: Meter, shared: Shared) -> None:
    if shared.json:
        ports = [as_object(reading) for reading in meter.total()]
        print_json({"event": "end", "seconds": round(meter.seconds, 3), "ports": ports})
    else:
        print_line("\n".join(table_lines(meter.total(), average=True)))


def _watch(signals: Signals, meter: Meter, shared: Shared, show: Show) -> None:
    """Sleeps until it is time to end, and shows the counters as often as wanted."""
    start = time.monotonic()
    end = None if shared.duration is None else start + shared.duration
    due = None if shared.stats is None else start + shared.stats
    while True:
        moments = [moment for moment in (end, due) if moment is not None]
        if signals.wait(min(moments) - time.monotonic() if moments else None):
            return
        moment = time.monotonic()
        if due is not None and shared.stats is not None and moment >= due:
            show(meter)
            due = max(due + shared.stats, moment)  # after a pause of the machine nothing is made up for
        if end is not None and moment >= end:
            return


@contextlib.contextmanager
def _display(shared: Shared) -> Iterator[Show]:
    """How counters are shown while frames flow: events, a table that stays in place, or lines of a log."""
    if shared.json:
        yield _show_event
    elif shared.stats is None or not sys.stdout.isatty():
        yield _show_lines
    else:
        from rich.live import Live  # noqa: PLC0415 # slow to import, and needed by this alone

        # Drawn by this thread alone, when there is something new: no timer runs in between.
        with Live(auto_refresh=False, transient=True) as live:
            yield lambda meter: live.update(rich_table(meter.read(), width=live.console.width), refresh=True)


def _show_event(meter: Meter) -> None:
    ports = [as_object(reading) for reading in meter.read()]
    print_json({"event": "stats", "seconds": round(meter.seconds, 3), "ports": ports})


def _show_lines(meter: Meter) -> None:
    print_line("\n".join(log_lines(meter.seconds, meter.read())))
