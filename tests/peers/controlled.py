"""A service that moves nothing, for the control socket and those who ask through it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from vecwire.errors import ConfigError, Fault, PortError
from vecwire.service.control import Control
from vecwire.service.state import CableState, CaptureState, PortState, ServiceState, StationState, SwitchState
from vecwire.spec.text import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

PORTS = (
    PortState(
        name="uplink",
        spec="transport=raw,ifname=eth1",
        transport="raw",
        up=True,
        since=3600.0,
        joined="switch lan",
        worker=0,
        offloads=["tcp super-frames", "qdisc bypass"],
        tagged=[10, 20],
        counters={"rx_frames": 1200, "rx_octets": 96000, "tx_frames": 800, "tx_octets": 64000},
    ),
    PortState(
        name="guest1",
        spec="transport=bess,listen=/run/vecwire/guest1",
        transport="bess",
        up=False,
        since=12.5,
        why="no client is connected",
        joined="switch lan",
        worker=0,
        vlan=10,
        counters={"rx_frames": 0, "rx_octets": 0, "tx_frames": 0, "tx_octets": 0, "tx_down": 7},
    ),
    PortState(
        name="a",
        spec="transport=tap,ifname=tap0",
        transport="tap",
        up=True,
        since=3600.0,
        joined="cable backhaul",
        worker=1,
        counters={"rx_frames": 5, "rx_octets": 300, "tx_frames": 6, "tx_octets": 360},
    ),
    PortState(
        name="b",
        spec="transport=tap,ifname=tap1",
        transport="tap",
        up=True,
        since=3600.0,
        joined="cable backhaul",
        worker=1,
        counters={"rx_frames": 6, "rx_octets": 360, "tx_frames": 5, "tx_octets": 300},
    ),
)


class Fake:
    """Satisfies ``Controlled``: what it tells is made up, what it is told is kept in ``told``."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.ports = {port.name: port for port in PORTS}
        self.status_error: Exception | None = None
        #: What ``reload`` does before it returns.
        self.reloading: Callable[[], None] = lambda: None
        #: The service's ends of captures.
        self.captures: list[socket.socket] = []
        #: What is told of them: frames for the reader, and frames that came too fast.
        self.counted = (0, 0)
        self.stopped = threading.Event()

    def status(self) -> ServiceState:
        """The service as a whole."""
        if self.status_error is not None:
            raise self.status_error
        up = sum(port.up for port in self.ports.values())
        return ServiceState("0.1.0", 4711, "/etc/vecwire.toml", 3600.0, 2, len(self.ports), up, 3)

    def port_states(self, name: str | None = None) -> list[PortState]:
        """The ports."""
        return list(self.ports.values()) if name is None else [self._port(name)]

    def switch_states(self) -> list[SwitchState]:
        """The switches."""
        joined = [port.name for port in self.ports.values() if port.joined == "switch lan"]
        return [SwitchState("lan", joined, 300.0, 65536, 2, 0)]

    def cable_states(self) -> list[CableState]:
        """The cables."""
        return [CableState("backhaul", ["a", "b"], 1)]

    def stations(self, switch: str, port: str | None = None) -> list[StationState]:
        """Two addresses."""
        self._switch(switch)
        found = [
            StationState("02:00:00:00:00:01", 10, "guest1", 3.0),
            StationState("02:00:00:00:00:02", 20, "uplink", 61.5),
        ]
        return [each for each in found if port in {None, each.port}]

    def flush(self, switch: str, port: str | None = None) -> int:
        """Forgets two addresses, or one of a port."""
        self._switch(switch)
        self.told.append(("flush", switch, port))
        return 2 if port is None else 1

    def reset(self, name: str | None = None) -> None:
        """Has counters start from zero."""
        for each in self.ports if name is None else [self._port(name).name]:
            port = self.ports[each]
            self.ports[each] = replace(port, counters=dict.fromkeys(port.counters, 0))
        self.told.append(("reset", name))

    def reload(self) -> dict[str, list[str]]:
        """Applies a file that is not there."""
        self.reloading()
        self.told.append(("reload",))
        return {"added": ["guest2"], "removed": [], "changed": [], "kept": list(self.ports)}

    def add_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Adds a port, unless its VLAN is none."""
        if name in self.ports:
            raise ConfigError([Fault(message=f"there is a port {name} already", file="<control>")])
        if not 1 <= options.get("vlan", 1) <= 4094:
            fault = Fault(
                message=f"{options['vlan']} is no VLAN",
                file="<control>",
                key=f"ports.{name}.vlan",
                given=str(options["vlan"]),
                allowed="1 to 4094",
                remedy="give a number from 1 to 4094",
            )
            raise ConfigError([fault, Fault(message="and more", file="<control>", line=2)])
        self.told.append(("add_port", name, dict(options)))
        switch = options.get("switch")
        self.ports[name] = PortState(
            name=name,
            spec=options["spec"],
            transport=options["spec"].split(",")[0],
            up=True,
            since=0.0,
            joined=switch and f"switch {switch}",
            vlan=options.get("vlan"),
        )

    def remove_port(self, name: str) -> None:
        """Removes a port."""
        del self.ports[self._port(name).name]
        self.told.append(("remove_port", name))

    def set_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Changes a port."""
        self._port(name)
        self.told.append(("set_port", name, dict(options)))

    def capture(self, port: str) -> int:
        """Gives one end of a pair, and keeps the other."""
        self._port(port)
        return self._pair()

    def captured(self, port: str) -> CaptureState:
        """What ``counted`` says."""
        self._port(port)
        return CaptureState(port, *self.counted)

    def _pair(self) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.captures.append(ours)
        return theirs.detach()

    def capture_drops(self, port: str | None = None, reasons: Sequence[str] = ()) -> int:
        """Does the same for drops, of a port that is there."""
        self.told.append(("capture_drops", port, list(reasons)))
        self._port(port or "a")
        return self._pair()

    def stop(self) -> None:
        """Takes note."""
        self.stopped.set()

    def close(self) -> None:
        """Ends the captures."""
        for each in self.captures:
            each.close()

    def count(self, name: str, **counters: int) -> None:
        """Sets counters of a port."""
        port = self.ports[name]
        self.ports[name] = replace(port, counters={**port.counters, **counters})

    def _port(self, name: str) -> PortState:
        if name not in self.ports:
            meant = nearest(name, self.ports)
            raise PortError(
                f"there is no port named {name}",
                remedy=f"did you mean {meant}?" if meant else "list them: vecwire ctl ports",
            )
        return self.ports[name]

    @staticmethod
    def _switch(name: str) -> None:
        if name != "lan":
            raise PortError(f"there is no switch named {name}", remedy="did you mean lan?")


class Server:
    """A control socket, served by an event loop in a thread of its own."""

    def __init__(self, service: Any, path: Path, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.control = Control(service, path, **options)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        try:
            self.do(self.control.start())
        except BaseException:
            self._end()
            raise

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def do(self, work: Any) -> Any:
        """Runs a coroutine in the loop, and returns what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        """Ends it."""
        self.do(self.control.stop())
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.do(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Peer:
    """A client that sends what it likes."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes | Any) -> None:
        """Sends octets, or a line of JSON."""
        self.socket.sendall(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")

    def read(self) -> Any:
        """Returns the next response; None at the end."""
        line = self.file.readline()
        return json.loads(line) if line else None

    def ask(self, method: str, params: Any = None, number: Any = 1) -> Any:
        """Sends a request and returns the response."""
        request = {"jsonrpc": "2.0", "id": number, "method": method}
        self.send(request if params is None else {**request, "params": params})
        return self.read()

    def close(self) -> None:
        """Hangs up."""
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def serving(service: Any, path: Path, **options: Any) -> Iterator[Server]:
    """Serves a control socket from here to the end of the context."""
    server = Server(service, path, **options)
    try:
        yield server
    finally:
        server.close()
