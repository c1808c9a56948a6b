"""What both clients share: what they ask, and how an answer is read. No socket is seen here."""

import contextlib
import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Generic, NoReturn, TypeVar

from vecwire.errors import PortError
from vecwire.service.jsonrpc import Code, Lines, RpcError, error_of, request
from vecwire.service.state import CableState, CaptureState, PortState, ServiceState, StationState, SwitchState

DEFAULT_PATH = "/run/vecwire/control.sock"
#: The environment variable that names another path.
ENVIRONMENT = "VECWIRE_SOCKET"

T = TypeVar("T")


def default_path() -> str:
    """Returns where the service listens, as the environment says or by default."""
    return os.environ.get(ENVIRONMENT) or DEFAULT_PATH


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What is asked, and how the result is read.

    Attributes:
        method: the method's name.
        read: makes the value that the caller gets from the result.
        params: the parameters; those that are None are not sent.
    """

    method: str
    read: Callable[[Any], T]
    params: Mapping[str, Any] = field(default_factory=dict)


def status() -> Call[ServiceState]:
    """Asks about the service as a whole."""
    return Call("status", lambda result: _made(ServiceState, result))


def ports(name: str | None) -> Call[list[PortState]]:
    """Asks about the ports."""
    return Call("ports", lambda result: _all_made(PortState, result), {"name": name})


def switches() -> Call[list[SwitchState]]:
    """Asks about the switches."""
    return Call("switches", lambda result: _all_made(SwitchState, result))


def cables() -> Call[list[CableState]]:
    """Asks about the cables."""
    return Call("cables", lambda result: _all_made(CableState, result))


def stations(switch: str, port: str | None) -> Call[list[StationState]]:
    """Asks for the FDB of a switch."""
    return Call("stations", lambda result: _all_made(StationState, result), {"switch": switch, "port": port})


def flush(switch: str, port: str | None) -> Call[int]:
    """Has a switch forget what it has learned."""
    return Call("flush", int, {"switch": switch, "port": port})


def reset(name: str | None) -> Call[None]:
    """Has counters start from zero again."""
    return Call("reset", _nothing, {"name": name})


def reload() -> Call[dict[str, list[str]]]:
    """Has the file applied anew."""
    return Call("reload", lambda result: {key: list(names) for key, names in result.items()})


def add_port(name: str, options: Mapping[str, Any]) -> Call[None]:
    """Has a port opened and joined."""
    return Call("add_port", _nothing, {"name": name, "options": options})


def remove_port(name: str) -> Call[None]:
    """Has a port removed."""
    return Call("remove_port", _nothing, {"name": name})


def set_port(name: str, options: Mapping[str, Any]) -> Call[None]:
    """Has a port take part in its switch in another way."""
    return Call("set_port", _nothing, {"name": name, "options": options})


def capture(port: str) -> Call[int]:
    """Asks for a copy of a port's frames; the descriptor comes along."""
    return Call("capture", lambda result: int(result["descriptors"]), {"port": port})


def captured(port: str) -> Call[CaptureState]:
    """Asks what the capture of a port has had."""
    return Call("captured", lambda result: _made(CaptureState, result), {"port": port})


def capture_drops(port: str | None, reasons: Sequence[str]) -> Call[int]:
    """Asks for a copy of what is dropped; the descriptor comes along."""
    given = {"port": port, "reasons": list(reasons) or None}
    return Call("capture_drops", lambda result: int(result["descriptors"]), given)


def stop() -> Call[None]:
    """Asks the service to end."""
    return Call("stop", _nothing)


def methods() -> Call[list[dict[str, Any]]]:
    """Asks which methods there are."""
    return Call("methods", list)


def _nothing(_result: Any) -> None:
    return None


def _made(kind: type[T], given: Mapping[str, Any]) -> T:
    """Returns the dataclass of an object; what a later service tells besides is left out."""
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # all kinds are dataclasses
    for name, each in known.items():
        if name not in given and each.default is MISSING and each.default_factory is MISSING:
            raise KeyError(name)
    return kind(**{name: given[name] for name in known if name in given})


def _all_made(kind: type[T], given: Sequence[Mapping[str, Any]]) -> list[T]:
    return [_made(kind, each) for each in given]


class Conversation:
    """One connection's requests and responses, and the descriptors that came along.

    Responses come in the order of the requests, and a connection that was left in the middle of one is
    closed: so the next response is always the one that is waited for.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._lines = Lines()
        self._waiting: deque[bytes] = deque()
        self._descriptors: deque[int] = deque()

    def ask(self, call: Call[Any]) -> bytes:
        """Returns the octets to send."""
        given = {name: value for name, value in call.params.items() if value is not None}
        return request(call.method, given, next(self._numbers))

    def received(self, data: bytes, descriptors: Sequence[int] = ()) -> bool:
        """Takes what came; returns whether the answer is complete."""
        self._descriptors += descriptors
        self._waiting += self._lines.feed(data)
        return bool(self._waiting)

    def complete(self, call: Call[T]) -> T:
        """Returns the result of the call, once ``received`` said that the answer is complete.

        Raises:
            PortError: if the service refused, or the answer is none.
            ConfigError: if the service found an option or its file wrong.
            SpecError: if it found a spec wrong.
            UnsupportedError: if the service may not, or its host cannot.
        """
        line = self._waiting.popleft()
        try:
            response = json.loads(line)
            error = response.get("error")
            if error is None:
                return call.read(response["result"])
            failure = RpcError(error["code"], error["message"], error.get("data"))
            if failure.code == Code.METHOD_NOT_FOUND:
                failure.data = {"remedy": "the service is of an earlier version: restart it"}
            told = error_of(failure)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as wrong:
            raise PortError(
                f"the answer to {call.method} is not understood ({type(wrong).__name__}: {wrong})",
                remedy="use the client of the service's own version",
            ) from wrong
        raise told

    def descriptor(self) -> int:
        """Returns the descriptor that came along with the answer; it is the caller's.

        Raises:
            PortError: if none came.
        """
        if not self._descriptors:
            raise PortError(
                "the service sent no descriptor along", remedy="raise the limit of open files (ulimit -n)"
            )
        return self._descriptors.popleft()

    def close(self) -> None:
        """Closes what came along and was not taken."""
        while self._descriptors:
            with contextlib.suppress(OSError):
                os.close(self._descriptors.popleft())


def not_there(path: str, error: OSError) -> PortError:
    """Returns why no connection could be made."""
    if isinstance(error, PermissionError):
        return PortError(
            f"the service at {path} may not be asked by this user",
            errno=error.errno,
            remedy="run this as root, or as the user of the service",
        )
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return PortError(f"no service listens at {path}", remedy="start it with: vecwire run FILE")
    message = f"the service at {path} cannot be reached"
    if error.errno is None:  # Python's own: the path is too long
        message += f": {error}"
    return PortError(message, errno=error.errno)


def gone(path: str) -> NoReturn:
    """Says that the service hung up instead of answering.

    Raises:
        PortError: always.
    """
    raise PortError(
        f"the service at {path} hung up before it answered", remedy="see its log for why it ended"
    )


def late(path: str, seconds: float | None) -> PortError:
    """Returns why an answer is not waited for any longer."""
    return PortError(
        f"the service at {path} has not answered within {seconds:g} s", remedy="wait longer, or see its log"
    )
