"""JSON-RPC 2.0, bytes in and bytes out: what the control socket and its client share.

A message is one line of UTF-8: a request, or a batch of them, and the responses to it. No line holds more
than :data:`LONGEST_LINE` octets on its way to the service. What is no JSON-RPC becomes an error response,
whatever the octets are; see https://www.jsonrpc.org/specification.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from typing import Any, NoReturn

from vecwire.errors import ConfigError, Fault, PortError, SpecError, UnsupportedError, VecwireError

VERSION = "2.0"
#: Octets of a request's line.
LONGEST_LINE = 1 << 20
#: Requests of one batch.
LONGEST_BATCH = 256

Id = str | int | float | None


class Code(IntEnum):
    """What an error's code means. Those of the service itself are the exit codes of the command."""

    PARSE_ERROR = -32700  # the specification, section 5.1
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    NOT_SERVED = -32000  # the first of those that are the server's own: the connection is closed
    FAILED = 1
    WRONG = 2
    UNSUPPORTED = 77


class RpcError(Exception):
    """A request that was not done.

    Args:
        code: why, as a number.
        message: why, in one line.
        data: more about it, for the response.
    """

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Request:
    """A request, or a notification, which gets no response.

    Attributes:
        method: the method's name.
        params: the parameters, by name or in order.
        id: what the response repeats.
        notification: whether no response is wanted.
    """

    method: str
    params: dict[str, Any] | list[Any]
    id: Id = None
    notification: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """A part of a message that is no request.

    Attributes:
        failure: why it is none.
        id: its id, where it has one.
    """

    failure: RpcError
    id: Id = None


@dataclass(frozen=True, slots=True)
class Message:
    """What a line holds.

    Attributes:
        parts: the requests, in order.
        batch: whether they came as a batch, so that the responses go back as one.
    """

    parts: tuple[Request | Broken, ...]
    batch: bool = False


class Lines:
    """Cuts what a stream gives into lines, and keeps what has no end yet.

    Args:
        limit: octets of the longest line; None where the sender is trusted.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the lines that end in ``data``, without their ends; empty ones are left out.

        Raises:
            RpcError: if a line is too long.
        """
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._add(piece)
            line = bytes(self._rest).strip()
            self._rest.clear()
            if line:
                yield line
        self._add(rest)

    @property
    def unfinished(self) -> bool:
        """Whether a line has begun that has no end yet."""
        return bool(self._rest)

    def end(self) -> bytes:
        """Returns what came after the last end of a line, once no more comes."""
        return bytes(self._rest).strip()

    def _add(self, piece: bytes) -> None:
        if self._limit is not None and len(self._rest) + len(piece) > self._limit:
            raise RpcError(Code.INVALID_REQUEST, f"a line holds more than {self._limit} octets")
        self._rest += piece


def parse(line: bytes) -> Message:
    """Returns the requests of a line; what is none of them is told in its place."""
    try:
        # Decoded here: given octets, json would guess UTF-16 and UTF-32 too.
        value = json.loads(line.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return Message((Broken(RpcError(Code.PARSE_ERROR, f"the line is no JSON: {why}")),))
    if not isinstance(value, list):
        return Message((_request(value),))
    if not value:
        return Message((Broken(RpcError(Code.INVALID_REQUEST, "the batch is empty")),))
    if len(value) > LONGEST_BATCH:
        return Message(
            (Broken(RpcError(Code.INVALID_REQUEST, f"a batch has more than {LONGEST_BATCH} requests")),)
        )
    return Message(tuple(_request(each) for each in value), batch=True)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no value of JSON")


def _request(value: Any) -> Request | Broken:
    if not isinstance(value, dict):
        return Broken(RpcError(Code.INVALID_REQUEST, "a request is an object"))
    number = value.get("id")
    if not _is_id(number):
        return Broken(RpcError(Code.INVALID_REQUEST, "an id is a string, a number or null"))
    method, params = value.get("method"), value.get("params", {})
    if value.get("jsonrpc") != VERSION:
        return Broken(RpcError(Code.INVALID_REQUEST, f'a request has "jsonrpc": "{VERSION}"'), number)
    if not isinstance(method, str):
        return Broken(RpcError(Code.INVALID_REQUEST, 'a request has "method", a string'), number)
    if not isinstance(params, dict | list):
        return Broken(RpcError(Code.INVALID_REQUEST, '"params" is an object or an array'), number)
    return Request(method, params, number, notification="id" not in value)


def _is_id(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return (
        value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    )


def request(method: str, params: dict[str, Any], number: int) -> bytes:
    """Returns the line of a request."""
    value = {"jsonrpc": VERSION, "id": number, "method": method, "params": params}
    return json.dumps(value, default=plain).encode() + b"\n"


def result_text(number: Id, result: Any) -> str:
    """Returns a response with a result, which may be, or hold, dataclasses.

    Raises:
        ValueError: if the result holds what JSON has not, such as an infinite number.
    """
    return json.dumps({"jsonrpc": VERSION, "id": number, "result": result}, default=plain, allow_nan=False)


def error_text(number: Id, failure: RpcError) -> str:
    """Returns a response with an error."""
    error: dict[str, Any] = {"code": int(failure.code), "message": failure.message}
    if failure.data is not None:
        error["data"] = failure.data
    return json.dumps({"jsonrpc": VERSION, "id": number, "error": error})


def plain(value: Any) -> Any:
    """Returns what JSON has for a value that it does not know: a dataclass becomes an object."""
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, frozenset | set):
        return sorted(value)
    if hasattr(value, "items"):
        return dict(value.items())
    raise TypeError(f"{type(value).__name__} is no value of JSON")


_OF_A_SPEC = ("option", "given", "allowed", "suggestion", "text", "start", "end")
_OF_A_FAULT = tuple(each.name for each in fields(Fault))


def failure_of(error: VecwireError) -> RpcError:
    """Returns how an error of vecwire's is told in a response; :func:`error_of` reads it back."""
    if isinstance(error, ConfigError):
        faults = [plain(fault) for fault in error.faults]
        return RpcError(Code.WRONG, error.message, {"remedy": error.remedy, "errno": None, "faults": faults})
    if isinstance(error, SpecError):
        details = {name: getattr(error, name) for name in _OF_A_SPEC}
        remedy = f"did you mean {error.suggestion}?" if error.suggestion else ""
        return RpcError(Code.WRONG, error.message, {"remedy": remedy, "errno": None, **details})
    code = Code.UNSUPPORTED if isinstance(error, UnsupportedError) else Code.FAILED
    # The errno's text is in the message already.
    return RpcError(code, error.message, {"remedy": error.remedy, "errno": getattr(error, "errno", None)})


def error_of(failure: RpcError) -> VecwireError:
    """Returns the error of vecwire's that a response tells."""
    data = failure.data or {}
    remedy = str(data.get("remedy") or "")
    if failure.code == Code.WRONG:
        if faults := data.get("faults"):
            return ConfigError([Fault(**_known(_OF_A_FAULT, fault)) for fault in faults])
        return SpecError(failure.message, **_known(_OF_A_SPEC, data))
    number = data.get("errno")
    error: UnsupportedError | PortError
    if failure.code == Code.UNSUPPORTED:
        error = UnsupportedError(failure.message, remedy=remedy)
    else:
        error = PortError(failure.message, remedy=remedy)
    if isinstance(number, int):
        error.errno = number
        if isinstance(error, PortError):
            error.strerror = os.strerror(number)
    return error


def _known(names: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what this version knows of an object: a later service may tell more."""
    return {name: given[name] for name in names if name in given}
