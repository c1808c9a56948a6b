"""``vecwire switch``: joins ports by a learning switch until it is interrupted."""

from typing import Annotated

import typer

from vecwire.cli._common import (
    DropOption,
    DurationOption,
    JsonOption,
    PollOption,
    SeccompOption,
    StatsOption,
    UserOption,
    VerboseOption,
)
from vecwire.cli._completion import complete_spec
from vecwire.cli._running import Shared, run
from vecwire.confine import Seccomp
from vecwire.switch import ADDRESSES, AGE, Switch
from vecwire.transports import TransportPort

HELP = """
Join ports with a learning switch.

A frame leaves through the port that its destination was heard of on, or through all others where it was not
heard of yet, and for broadcast and multicast. It prints "ready" once frames flow, and the counters of all
ports when it ends: after --duration, on Ctrl-C or on SIGTERM. A peer or an interface that goes away is
waited for, and the others go on. Frames are adapted to each port on the way, as a cable does it.

VLANs, horizon groups, limits and ports that come and go need a file: see "vecwire run".

Once ports are open it keeps only the capabilities that opening them again takes, and none with --drop.

With --json it prints one event a line: "warning", "ready", "stats" (every --stats seconds) and "end".

Examples:

    vecwire switch tap,ifname=tap0 raw,ifname=eth1 bess,listen=/run/vecwire.sock
    vecwire switch --stats 1 --age 60 tap,ifname=tap0 tap,ifname=tap1 tap,ifname=tap2
"""


def command(
    specs: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC SPEC...", help="Transports and their options.", autocompletion=complete_spec
        ),
    ],
    age: Annotated[
        float,
        typer.Option(min=1.0, metavar="SECONDS", help="Forget an address that was silent for so long."),
    ] = AGE,
    addresses: Annotated[
        int,
        typer.Option(min=1, max=4_194_304, metavar="NUMBER", help="Know so many addresses at the most."),
    ] = ADDRESSES,
    duration: DurationOption = None,
    stats: StatsOption = None,
    poll: PollOption = 0,
    user: UserOption = None,
    drop: DropOption = False,
    seccomp: SeccompOption = Seccomp.ON,
    json: JsonOption = False,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Joins ports until the end is asked for."""

    def join(ports: list[TransportPort]) -> Switch:
        switch = Switch(age=age, addresses=addresses, poll=poll, confine=seccomp)
        for port in ports:
            switch.add(port)
        return switch

    if len(specs) < 2:
        raise typer.BadParameter("a switch has two ports at the least: name one more transport")
    run(specs, join, Shared(json=json, duration=duration, stats=stats, user=user, drop=drop))
