"""How ``vecwire demo`` is shown: drawn live on a terminal, told in lines to a file, or as JSON events."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from vecwire.cli._counters import as_object, rich_table, table_lines
from vecwire.cli._output import print_json, print_line
from vecwire.demo.plan import Plan
from vecwire.demo.show import Counters, Event, Ping, Planned, Step, StepName, Tcp

BY_HAND = "The same by hand:"
_BAR_WIDTH = 30
_DIAGRAM = """
╭─ {h1} ─────────────────────────╮           ╭─ {h2} ─────────────────────────╮
│  {tap}   {inner1:<21}│           │{inner2:>21}   {tap}  │
│   ╰─ vecwire cable ─╮        │           │        ╭─ vecwire cable ─╯   │
│                   l2tpv3 ════╪═══════════╪════ l2tpv3                   │
│                   wire0 ─────┼── veth ───┼───── wire0                   │
│                   {outer1:<11}│           │{outer2:>11}                   │
╰──────────────────────────────╯           ╰──────────────────────────────╯
""".strip("\n")


def diagram(plan: Plan) -> str:
    """The hosts and what is between them."""
    first, second = plan.hosts
    return _DIAGRAM.format(
        h1=first.name,
        h2=second.name,
        tap=plan.link,
        inner1=first.inner,
        inner2=second.inner,
        outer1=first.outer,
        outer2=second.outer,
    )


class LiveView:
    """Draws on a terminal, in place, when there is something new.

    Args:
        seconds: How long TCP moves in each direction.
        console: The terminal.
    """

    def __init__(self, seconds: float, console: Console) -> None:
        self._seconds = seconds
        self._console = console
        self._plan = Plan()
        self._steps: dict[StepName, Step] = {}
        self._began = 0.0
        self._counters: Counters | None = None
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="visible")

    def context(self) -> AbstractContextManager[object]:
        """What to enter while events come."""
        return self._live

    def tell(self, event: Event) -> None:
        """Shows an event."""
        if isinstance(event, Planned):
            self._plan = event.plan
        elif isinstance(event, Step):
            self._steps[event.name] = event
            self._began = time.monotonic()
        elif isinstance(event, Counters):
            self._counters = event
        self._live.update(self._draw(), refresh=True)

    def finish(self) -> None:
        """Says how to do the same by hand."""
        self._console.print(Text(BY_HAND, style="bold"))
        self._console.print()
        for line in self._plan.commands():
            style = "dim" if line.startswith("#") else ""
            # Never broken into lines: they are there to be copied.
            self._console.print(Text(line, style=style), soft_wrap=True)

    def _draw(self) -> RenderableType:
        parts: list[RenderableType] = [
            Padding(Text(diagram(self._plan), style="cyan", no_wrap=True), (1, 0, 1, 1))
        ]
        for step in self._steps.values():
            mark = ("✓ ", "green") if step.done else ("▸ ", "yellow")
            first, *rest = step.note.split("; ")
            if rest:
                first, rest = "", [first, *rest]  # several results stand below each other
            result = (f"  {first}", "dim")
            parts.append(Text.assemble(" ", mark, (step.text, "" if step.done else "bold"), result))
            parts += [Padding(Text(line, style="dim"), (0, 0, 0, 3)) for line in rest]
            if not step.done and step.name in {StepName.TCP, StepName.TCP_BACK}:
                passed = min(time.monotonic() - self._began, self._seconds)
                bar = ProgressBar(total=self._seconds, completed=passed, width=_BAR_WIDTH)
                parts.append(Padding(bar, (0, 0, 0, 3)))
        if self._counters is not None:
            table = rich_table(
                self._counters.readings, width=self._console.width - 1, average=self._counters.final
            )
            parts.append(Padding(table, (1, 0, 0, 1)))
        return Group(*parts)


class LineView:
    """Tells in lines of text, for a file or a pipe."""

    def __init__(self) -> None:
        self._plan = Plan()

    def context(self) -> AbstractContextManager[object]:
        """What to enter while events come."""
        return nullcontext()

    def tell(self, event: Event) -> None:
        """Shows an event."""
        if isinstance(event, Planned):
            self._plan = event.plan
            print_line(diagram(event.plan))
        elif isinstance(event, Step) and event.done:
            print_line(f"{event.text}: {event.note}" if event.note else event.text)
        elif isinstance(event, Counters) and event.final:
            print_line("\n".join(table_lines(event.readings, average=True)))

    def finish(self) -> None:
        """Says how to do the same by hand."""
        print_line("\n".join([BY_HAND, "", *self._plan.commands()]))


class JsonView:
    """Prints every event as an object on a line."""

    def context(self) -> AbstractContextManager[object]:
        """What to enter while events come."""
        return nullcontext()

    def tell(self, event: Event) -> None:
        """Shows an event."""
        print_json(_OBJECTS[type(event)](event))

    def finish(self) -> None:
        """Says nothing: the commands came with the plan."""


def _plan_object(event: Planned) -> dict[str, Any]:
    plan = event.plan
    return {
        "event": "plan",
        "taps": plan.taps,
        "user_namespace": plan.users,
        "mtu": plan.mtu,
        "hosts": [
            {
                "name": host.name,
                "inner": host.inner,
                "outer": host.outer,
                "cable": [str(plan.access(host)), str(plan.tunnel(host))],
            }
            for host in plan.hosts
        ],
        "commands": plan.commands(),
    }


def _step_object(event: Step) -> dict[str, Any]:
    return {
        "event": "step",
        "step": event.name,
        "done": event.done,
        "text": event.text,
        "note": event.note,
    }


def _ping_object(event: Ping) -> dict[str, Any]:
    times = event.pinged.times
    return {
        "event": "ping",
        "from": event.source,
        "to": event.destination,
        "octets": event.pinged.size,
        "sent": event.pinged.sent,
        "received": len(times),
        "rtt_ms": {
            "min": _rounded(min(times, default=None)),
            "avg": _rounded(sum(times) / len(times) if times else None),
            "max": _rounded(max(times, default=None)),
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _tcp_object(event: Tcp) -> dict[str, Any]:
    return {
        "event": "tcp",
        "from": event.source,
        "to": event.destination,
        "seconds": round(event.seconds, 3),
        "octets": event.octets,
        "gbit_per_second": round(event.bits_per_second / 1e9, 3),
        "retransmissions": event.retransmissions,
    }


def _counters_object(event: Counters) -> dict[str, Any]:
    return {
        "event": "end" if event.final else "stats",
        "seconds": round(event.seconds, 3),
        "ports": [as_object(reading) for reading in event.readings],
    }


_OBJECTS: dict[type[Event], Callable[[Any], dict[str, Any]]] = {
    Planned: _plan_object,
    Step: _step_object,
    Ping: _ping_object,
    Tcp: _tcp_object,
    Counters: _counters_object,
}
