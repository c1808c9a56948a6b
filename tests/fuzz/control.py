"""Whatever is sent to the control socket, each line is answered by one of JSON-RPC, and no method fails."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from fuzzing.feed import Feed
from fuzzing.lasting import lasting
from oracle.answers import hold_answer
from peers.controlled import Fake
from vecwire.service import edit
from vecwire.service.config import Config, loads
from vecwire.service.dispatch import Dispatcher
from vecwire.service.jsonrpc import Lines, RpcError
from vecwire.service.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 2048
(LOOP,) = lasting(asyncio.new_event_loop())
IN_FORCE = """
[ports]
uplink = "raw,ifname=eth1"
guest1 = { spec = "bess,listen=/run/vecwire/guest1", vlan = 10 }
a = "tap,ifname=tap0"
b = "tap,ifname=tap1"
[switches.lan]
ports = ["uplink", "guest1"]
[cables]
backhaul = ["a", "b"]
"""


class Service(Fake):
    """Judges what is to change as a service does, and changes nothing."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._config = config

    def add_port(self, name: str, options: str | Mapping[str, Any]) -> None:
        """Takes a port, if it is right."""
        edit.with_port(self._config, name, options)

    def remove_port(self, name: str) -> None:
        """Lets a port go, if there is one."""
        edit.without_port(self._config, name)

    def set_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Takes options of a port, if they are right."""
        edit.with_options(self._config, name, options)


CONFIG = loads(IN_FORCE)


def lines(feed: Feed) -> list[bytes]:
    """The lines of a stream that comes in pieces of any length, up to one that is too long."""
    size = 1 + feed.number(1)
    rest = feed.rest()
    cutter = Lines(LONGEST)
    found: list[bytes] = []
    try:
        for at in range(0, len(rest), size):
            found += cutter.feed(rest[at : at + size])
    except RpcError:
        assert any(len(line) > LONGEST for line in rest.split(b"\n"))
        return found
    found += filter(None, [cutter.end()])
    assert found == [line for line in map(bytes.strip, rest.split(b"\n")) if line]
    return found


def target(octets: bytes) -> None:
    """Sends the input, cut into pieces, and looks at what goes back for each line."""
    service = Service(CONFIG)
    dispatcher = Dispatcher(service)
    for line in lines(Feed(octets)):
        answer = LOOP.run_until_complete(dispatcher.answer(line))
        answer.close()
        hold_answer(line, answer.line)
    service.close()


def seeds() -> list[bytes]:
    """A request of every method, without parameters, with some, and as a batch."""
    options = {"spec": "tap,ifname=tap2", "switch": "lan", "vlan": 7}
    known = {"name": "guest1", "switch": "lan", "port": "uplink", "options": options}
    made: list[Any] = []
    for number, method in enumerate(METHODS.values()):
        params = {each.name: known.get(each.name, "a") for each in method.parameters}
        request = {"jsonrpc": "2.0", "id": number, "method": method.name, "params": params}
        made += [request, {**request, "params": list(params.values())}, {**request, "params": {}}]
    added = {"jsonrpc": "2.0", "id": "a", "method": "add_port", "params": {"name": "new", "options": options}}
    changed = {
        "jsonrpc": "2.0",
        "id": 1.5,
        "method": "set_port",
        "params": {"name": "guest1", "options": {"vlan": 9, "delay": "1ms", "tagged": [1, 2]}},
    }
    made += [added, changed]
    texts = [json.dumps(each).encode() for each in [*made, made[:3], []]]
    return [b"\xff" + text for text in texts] + [b"\3" + b"\n".join(texts[:2])]
