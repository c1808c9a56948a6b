"""``vecwire cable``: joins two ports until it is interrupted."""

from vecwire.cli._common import (
    DropOption,
    DurationOption,
    JsonOption,
    PollOption,
    SeccompOption,
    SpecArgument,
    StatsOption,
    UserOption,
    VerboseOption,
)
from vecwire.cli._running import Shared, run
from vecwire.confine import Seccomp
from vecwire.switch import Cable

HELP = """
Join two ports with a cable.

Every frame that one receives leaves through the other. It prints "ready" once frames flow, and the counters
of both ports when it ends: after --duration, on Ctrl-C or on SIGTERM. A peer or an interface that goes away
is waited for. Frames are adapted on the way: super-frames are cut and checksums completed where the other
port cannot take them.

What the host refuses and a port can do without is told on standard error, with the remedy. Frames that
were dropped are counted by reason.

Once ports are open it keeps only the capabilities that opening them again takes, and none with --drop. The
thread that moves frames has none, and only the system calls of its loop. "vecwire open" lets a cable run that
never had any.

With --json it prints one event a line: "warning", "ready", "stats" (every --stats seconds) and "end".

Examples:

    vecwire cable tap,ifname=tap0 raw,ifname=eth1
    vecwire cable --stats 1 tap,ifname=tap0 \\
        l2tpv3,udp=1,src=192.0.2.1,dst=192.0.2.2,srcport=1701,dstport=1701,rx_session=1,tx_session=2
    vecwire cable --json --duration 10 tap,ifname=tap0,netns=h1 bess,listen=/run/vecwire.sock
"""


def command(
    first: SpecArgument,
    second: SpecArgument,
    duration: DurationOption = None,
    stats: StatsOption = None,
    poll: PollOption = 0,
    user: UserOption = None,
    drop: DropOption = False,
    seccomp: SeccompOption = Seccomp.ON,
    json: JsonOption = False,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Joins two ports until the end is asked for."""
    run(
        [first, second],
        lambda ports: Cable(ports[0], ports[1], poll=poll, confine=seccomp),
        Shared(json=json, duration=duration, stats=stats, user=user, drop=drop),
    )
