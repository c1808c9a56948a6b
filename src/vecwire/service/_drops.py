"""The capture of drops in a running service: which are wanted, and from all of its engines to one reader."""

from collections.abc import Callable, Iterable, Sequence

from vecwire._engine_captures import record_sockets
from vecwire.engine import Engine
from vecwire.errors import ConfigError, Fault
from vecwire.service.edit import CONTROL
from vecwire.spec.text import nearest
from vecwire.transports import TransportPort
from vecwire.wire.counters import KERNEL_DROPS, OWN_DROPS

#: Beginnings of the names of counters, which stand for all of them.
GROUPS = ("rx", "switch", "tx")


def wanted(reasons: Iterable[object]) -> frozenset[str]:
    """Returns the names of the counters that reasons stand for; all of them where none is given.

    Raises:
        ConfigError: if one is neither the name of a drop's counter nor of a group of them, or of drops that
            only the kernel sees.
    """
    chosen: set[str] = set()
    for reason in reasons:
        if reason in KERNEL_DROPS:
            message = f"{reason} counts what the kernel drops, which shows the frames to nobody"
            raise _wrong(reason, message, f"read the counter {reason}: vecwire ctl ports NAME")
        found = {
            name
            for name in OWN_DROPS
            if name == reason or (reason in GROUPS and name.startswith(f"{reason}_"))
        }
        if not found:
            remedy = f"reasons are {', '.join(GROUPS)}, {', '.join(OWN_DROPS)}"
            raise _wrong(reason, f"nothing is dropped by the reason {reason}", remedy)
        chosen |= found
    return frozenset(chosen or OWN_DROPS)


def _wrong(reason: object, message: str, remedy: str) -> ConfigError:
    meant = nearest(str(reason), [*OWN_DROPS, *GROUPS]) if reason not in KERNEL_DROPS else None
    fault = Fault(
        message=message, file=CONTROL, key="reasons", given=str(reason), suggestion=meant, remedy=remedy
    )
    return ConfigError([fault])


def begin(
    engines: Sequence[Engine], reasons: frozenset[str], name: Callable[[TransportPort], str | None]
) -> int:
    """Has the drops of several engines written to one socket; the reader's descriptor.

    Raises:
        PortError: if drops are captured already.
    """
    writer, reader = record_sockets()
    begun: list[Engine] = []
    try:
        for engine in engines:
            engine.report_drops(writer.fileno(), reasons, name=name)
            begun.append(engine)
        return reader.release()
    except BaseException:
        for engine in begun:
            engine.end_drops()
        raise
    finally:
        writer.close()
        reader.close()
