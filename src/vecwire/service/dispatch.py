"""Answers the lines of the control socket by asking the service; no socket is seen here."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vecwire.errors import VecwireError
from vecwire.service._threads import in_thread
from vecwire.service.jsonrpc import (
    Broken,
    Code,
    Request,
    RpcError,
    error_text,
    failure_of,
    parse,
    result_text,
)
from vecwire.service.methods import METHODS, Method, method_of
from vecwire.service.state import Controlled
from vecwire.spec.text import UNREADABLE, public

logger = logging.getLogger("vecwire.control")


@dataclass(slots=True)
class Answer:
    """What goes back for a line.

    Attributes:
        line: the response with its end; empty where none is wanted.
        descriptors: what goes along with it, in the order of the responses. They are the holder's to close.
    """

    line: bytes = b""
    descriptors: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Closes the descriptors: whoever was sent them has their own."""
        for number in self.descriptors:
            with contextlib.suppress(OSError):
                os.close(number)
        self.descriptors.clear()


def _public(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments as logs show them: without the cookies of a spec."""
    options = given.get("options")
    if not isinstance(options, dict) or "spec" not in options:
        return given
    spec = options["spec"]
    shown = public(spec) if isinstance(spec, str) else UNREADABLE
    return {**given, "options": {**options, "spec": shown}}


class Dispatcher:
    """Runs the methods of a service.

    What only asks is done at once. What may take a while runs in a thread of its own, and what changes
    something waits for its turn: there is one of those at a time.

    Args:
        service: whom to ask.
    """

    def __init__(self, service: Controlled) -> None:
        self._service = service
        self._turn = asyncio.Lock()

    async def answer(self, line: bytes) -> Answer:
        """Returns the answer to a line, whatever its octets are."""
        message = parse(line)
        answer = Answer()
        try:
            responses = [await self._respond(part, answer.descriptors) for part in message.parts]
        except BaseException:
            answer.close()
            raise
        if texts := [text for text in responses if text]:
            text = f"[{', '.join(texts)}]" if message.batch else texts[0]
            answer.line = text.encode() + b"\n"
        return answer

    async def _respond(self, part: Request | Broken, descriptors: list[int]) -> str:
        if isinstance(part, Broken):
            return error_text(part.id, part.failure)
        try:
            text = await self._do(part, descriptors)
        except RpcError as failure:
            text = error_text(part.id, failure)
        return "" if part.notification else text

    async def _do(self, request: Request, descriptors: list[int]) -> str:
        method = method_of(request.method)
        given = method.arguments(request.params)
        if method.descriptor and request.notification:
            return ""  # nobody would get it
        mine: list[int] = []

        def do() -> str:
            return result_text(request.id, self._call(method, given, mine))

        try:
            return await self._run(method, do)
        except RpcError:
            raise
        except VecwireError as error:
            raise failure_of(error) from error
        except Exception as error:
            logger.exception("%s failed", method.name)
            remedy = "see the log of the service; this is an error in vecwire"
            message = f"{method.name} failed: {type(error).__name__}"
            raise RpcError(Code.INTERNAL_ERROR, message, {"remedy": remedy}) from error
        finally:
            descriptors += mine

    async def _run(self, method: Method, do: Callable[[], str]) -> str:
        async with self._turn if method.changes else contextlib.nullcontext():
            return await in_thread(do) if method.thread else do()

    def _call(self, method: Method, given: dict[str, Any], descriptors: list[int]) -> Any:
        if method.calls is None:
            return [each.described() for each in METHODS.values()]
        result = getattr(self._service, method.calls)(**given)
        if method.changes:
            logger.info("%s %s", method.name, _public(given))
        if method.descriptor:
            descriptors.append(result)
            return {**given, "descriptors": 1}
        return result
