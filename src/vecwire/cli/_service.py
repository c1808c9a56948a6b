"""What the commands that ask a running service share: where it listens, and completion of its names."""

from typing import Annotated

import typer

from vecwire.client import DEFAULT_PATH, ENVIRONMENT, Client
from vecwire.errors import VecwireError
from vecwire.wire.counters import MEANINGS, OWN_DROPS

SocketOption = Annotated[
    str,
    typer.Option(
        metavar="PATH", envvar=ENVIRONMENT, show_envvar=False, help=f"The control socket; or {ENVIRONMENT}."
    ),
]
DEFAULT = DEFAULT_PATH
#: Seconds that completion waits for the service: a shell must not hang.
_PATIENCE = 1.0


def complete_port(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Returns the ports of the running service whose names begin so, with what each is part of."""
    try:
        with _client(ctx) as client:
            found = [(port.name, port.joined or port.transport) for port in client.ports()]
    except VecwireError:
        return []
    return [each for each in found if each[0].startswith(incomplete)]


def complete_switch(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Returns the switches of the running service whose names begin so, with their ports."""
    try:
        with _client(ctx) as client:
            found = [(switch.name, ", ".join(switch.ports)) for switch in client.switches()]
    except VecwireError:
        return []
    return [each for each in found if each[0].startswith(incomplete)]


def complete_reason(incomplete: str) -> list[tuple[str, str]]:
    """Returns the reasons of drops that begin so, with what each means."""
    return [
        (name, MEANINGS[name].removeprefix("dropped: ")) for name in OWN_DROPS if name.startswith(incomplete)
    ]


def _client(ctx: typer.Context) -> Client:
    parent = ctx.parent or ctx
    return Client(parent.params.get("socket"), timeout=_PATIENCE)
