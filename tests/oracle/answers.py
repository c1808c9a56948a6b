"""What holds of any line that is sent to the control socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vecwire.service.jsonrpc import Broken, Message, Request, parse

if TYPE_CHECKING:
    from vecwire.service.jsonrpc import Id


def hold_message(line: bytes) -> Message:
    """Asserts that a line is requests, or told to be none, and at least one of either."""
    message = parse(line)
    assert isinstance(message, Message)
    assert message.parts
    assert all(isinstance(part, Request | Broken) for part in message.parts)
    return message


def hold_answer(line: bytes, text: bytes) -> None:
    """Asserts that what goes back for a line is one of JSON: a response to each request that has an id."""
    message = hold_message(line)
    wanted: list[Id] = [
        part.id for part in message.parts if isinstance(part, Broken) or not part.notification
    ]
    if not wanted:
        assert text == b""
        return
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1
    found = json.loads(text, parse_constant=_refuse)
    assert isinstance(found, list) == message.batch
    responses: list[dict[str, Any]] = found if message.batch else [found]
    for number, response in zip(wanted, responses, strict=True):
        assert response["jsonrpc"] == "2.0"
        assert response["id"] == number
        assert ("result" in response) != ("error" in response)
        if "error" in response:
            assert isinstance(response["error"]["code"], int)
            assert isinstance(response["error"]["message"], str)
            assert response["error"]["code"] != -32603, response


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no value of JSON")
