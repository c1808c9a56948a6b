"""``vecwire ctl``: asks and changes a running service, through its control socket."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vecwire.cli._common import JsonOption
from vecwire.cli._completion import complete_spec
from vecwire.cli._service import DEFAULT, SocketOption, complete_port, complete_reason, complete_switch
from vecwire.cli.ctl import _tables
from vecwire.cli.ctl._capture import capture_drops, capture_port
from vecwire.cli.ctl._membership import SETTINGS, complete_setting, setting
from vecwire.cli.ctl._session import Session

HELP = """
Ask and change a running service.

The service is "vecwire run FILE" with "control" in its file, or with --control. Only root and the user of the
service may ask. What add, remove and set change holds until the next reload, which brings back what the file
says.

--socket and --json may also stand behind the name of the subcommand. With --json every answer is one object a
line, and an action says {"done": ACTION} with what came of it.

Exit codes:

    0   done
    1   no service listens, it has nothing of that name, or it failed
    2   an option, a spec or the service's file is wrong
    77  the service's host or user cannot do that

Examples:

    vecwire ctl status
    vecwire ctl ports
    vecwire ctl add guest3 tap,ifname=tap3 --switch lan --vlan 10
    vecwire ctl set guest3 vlan=20 flood_rate=1000
    vecwire ctl fdb lan --port guest3
    vecwire ctl capture guest3 -w guest3.pcap -c 100
    vecwire ctl --json ports | jq 'select(.up == false)'
"""


class Group(TyperGroup):
    """The subcommands; what they share may stand in front of their names and behind them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Moves the shared options to the front, where they are looked for."""
        shared: list[str] = []
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                rest += [word, *words]
            elif word == "--socket":
                path = next(words, None)
                if path is None and not ctx.resilient_parsing:
                    ctx.fail("which socket? Give its path: --socket PATH")
                shared += [word] if path is None else [word, path]
            elif word == "--json" or word.startswith("--socket="):
                shared.append(word)
            else:
                rest.append(word)
        return super().parse_args(ctx, shared + rest)


def command(ctx: typer.Context, socket: SocketOption = DEFAULT, json: JsonOption = False) -> None:
    """Keeps the options that all subcommands share."""
    ctx.obj = Session(socket, json)


PortArgument = Annotated[str, typer.Argument(metavar="PORT", help="The port.", autocompletion=complete_port)]
AnyPortArgument = Annotated[
    str | None,
    typer.Argument(metavar="PORT", help="One port.", autocompletion=complete_port, show_default=False),
]
SwitchArgument = Annotated[
    str, typer.Argument(metavar="SWITCH", help="The switch.", autocompletion=complete_switch)
]
OfPortOption = Annotated[
    str | None,
    typer.Option(
        metavar="PORT",
        help="Only what was learned from this port.",
        autocompletion=complete_port,
        show_default=False,
    ),
]


def _status(ctx: typer.Context) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        session.show([client.status()], _tables.print_service)


def _ports(ctx: typer.Context, port: AnyPortArgument = None) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        session.show(client.ports(port), _tables.print_ports if port is None else _tables.print_port)


def _switches(ctx: typer.Context) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        session.show(client.switches(), _tables.print_switches)


def _cables(ctx: typer.Context) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        session.show(client.cables(), _tables.print_cables)


def _fdb(ctx: typer.Context, switch: SwitchArgument, port: OfPortOption = None) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        session.show(client.stations(switch, port), _tables.print_stations)


def _flush(ctx: typer.Context, switch: SwitchArgument, port: OfPortOption = None) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        addresses = client.flush(switch, port)
    where = switch if port is None else f"{switch} from {port}"
    session.done("flush", f"{addresses} addresses forgotten: {where}", addresses=addresses)


def _reset(ctx: typer.Context, port: AnyPortArgument = None) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        client.reset(port)
    session.done("reset", f"counters start from zero again: {port or 'all ports'}")


def _reload(ctx: typer.Context) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        summary = client.reload()
    changed = [f"{what}: {', '.join(names)}" for what, names in summary.items() if names and what != "kept"]
    session.done("reload", "\n".join(changed) or "nothing has changed", **summary)


def _add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that no port has yet.")],
    spec: Annotated[
        str,
        typer.Argument(metavar="SPEC", help="A transport and its options.", autocompletion=complete_spec),
    ],
    switch: Annotated[
        str | None,
        typer.Option(
            metavar="SWITCH", help="The switch to join.", autocompletion=complete_switch, show_default=False
        ),
    ] = None,
    vlan: Annotated[
        int | None, typer.Option(metavar="VLAN", help="The VLAN of its untagged frames.", show_default=False)
    ] = None,
    tagged: Annotated[
        str | None,
        typer.Option(metavar="VLAN,...", help="The VLANs that it carries tagged.", show_default=False),
    ] = None,
    horizon: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Ports of one group never exchange frames.", show_default=False),
    ] = None,
    flood_rate: Annotated[
        int | None,
        typer.Option(metavar="RATE", help="Frames a second that it may flood.", show_default=False),
    ] = None,
    addresses: Annotated[
        int | None,
        typer.Option(metavar="N", help="Addresses learned from it at most.", show_default=False),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="PORT",
            help="The port that gets a copy of its frames.",
            autocompletion=complete_port,
            show_default=False,
        ),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="A line of the log for each of its frames.")] = False,
    capture: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The files that its frames are written to.", show_default=False),
    ] = None,
    capture_size: Annotated[
        int | None, typer.Option(metavar="OCTETS", help="Of a file of its capture.", show_default=False)
    ] = None,
    capture_keep: Annotated[
        int | None, typer.Option(metavar="N", help="Files of its capture that are kept.", show_default=False)
    ] = None,
) -> None:
    session: Session = ctx.obj
    given = {
        "spec": spec,
        "switch": switch,
        "vlan": vlan,
        "tagged": None if tagged is None else setting("tagged", tagged),
        "horizon": horizon,
        "flood_rate": flood_rate,
        "addresses": addresses,
        "mirror": mirror,
        "trace": trace or None,
        "capture": capture,
        "capture_size": capture_size,
        "capture_keep": capture_keep,
    }
    with session.client() as client:
        client.add_port(name, {key: value for key, value in given.items() if value is not None})
    where = f" to switch {switch}" if switch else ", and joined to nothing"
    session.done("add", f"added {name}{where}", port=name)


def _remove(ctx: typer.Context, port: PortArgument) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        client.remove_port(port)
    session.done("remove", f"removed {port}", port=port)


def _set(
    ctx: typer.Context,
    port: PortArgument,
    settings: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE...", help="What to change.", autocompletion=complete_setting),
    ],
) -> None:
    session: Session = ctx.obj
    options: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            ctx.fail(f"{text!r} is no KEY=VALUE; an empty value takes the key away: {text}=")
        options[key] = setting(key, value)
    with session.client() as client:
        client.set_port(port, options)
    session.done("set", f"changed {port}: {', '.join(options)}", port=port, options=options)


def _capture(
    ctx: typer.Context,
    port: AnyPortArgument = None,
    drops: Annotated[
        bool, typer.Option("--drops", help="Copy what is dropped instead; without PORT, by any port.")
    ] = False,
    reasons: Annotated[
        list[str] | None,
        typer.Option(
            "--reason",
            metavar="REASON",
            help="Copy what is dropped for this reason: a counter, or rx, switch, tx. May be repeated.",
            autocompletion=complete_reason,
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            "-w",
            metavar="FILE",
            help="Write pcapng or pcap; - is standard output.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", "-c", min=1, metavar="N", help="End after N frames.", show_default=False),
    ] = None,
) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        if drops or reasons:
            capture_drops(client, port, reasons or (), write=write, count=count, json=session.json)
            return
        if port is None:
            ctx.fail("name the PORT whose frames are meant, or say --drops")
        capture_port(client, port, write=write, count=count, json=session.json)


def _stop(ctx: typer.Context) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        client.stop()
    session.done("stop", "the service was asked to end")


SUBCOMMANDS = {
    "status": ("Show the service as a whole.", _status),
    "ports": ("Show all ports; or one port with its counters and what each counts.", _ports),
    "switches": ("Show the switches.", _switches),
    "cables": ("Show the cables.", _cables),
    "fdb": ("Show the addresses that a switch has learned, and behind which port each is.", _fdb),
    "flush": ("Have a switch forget the addresses that it has learned.", _flush),
    "reset": ("Have the counters of one port, or of all, start from zero again.", _reset),
    "reload": (
        """
Apply the service's file anew: only what differs is touched.

Ports that were added or changed by hand become what the file says.
""",
        _reload,
    ),
    "add": (
        """
Open a port, and join it to a switch; until the next reload.

Example:

    vecwire ctl add guest3 tap,ifname=tap3 --switch lan --vlan 10
""",
        _add,
    ),
    "remove": ("Take a port out of its switch or cable and close it; until the next reload.", _remove),
    "set": (
        """
Change an open port; until the next reload.

What is not named stays as it is; an empty value takes a key away.

Keys:

"""
        + "\n".join(f"    {key:<13} {meaning}" for key, meaning in SETTINGS.items())
        + """

Examples:

    vecwire ctl set guest3 vlan=20
    vecwire ctl set guest3 vlan= tagged=10,20
    vecwire ctl set guest3 delay=5ms loss=1%
""",
        _set,
    ),
    "capture": (
        """
Copy the frames of a port, both ways, or with --drops what is dropped.

With -w they are written as pcapng, or pcap if the suffix says so, with nanoseconds; without it each is told
in a line, with --json in an object. It ends after -c frames, or on Ctrl-C. What is read too slowly is left
out of the copy; the port itself is never slowed down. A time is when the frame was read here.

With --drops, frames are copied that ports and switches drop, each with the reason: the name of the counter
that counts it. In pcapng that is the packet's comment, and each port an interface. --reason leaves out all
others. A time is when it was dropped. What the kernel drops nobody sees.

Examples:

    vecwire ctl capture guest3
    vecwire ctl capture --drops
    vecwire ctl capture guest3 --reason tx_full --reason switch -w drops.pcapng
    vecwire ctl capture --drops -w - | tshark -r - -T fields -e frame.comment
    vecwire ctl capture guest3 -w guest3.pcap -c 100
    vecwire ctl capture guest3 -w - | tcpdump -n -r -
""",
        _capture,
    ),
    "stop": ("Ask the service to end.", _stop),
}
