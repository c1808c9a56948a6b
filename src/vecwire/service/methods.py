"""The methods of the control socket: one table, which checks parameters and tells what there is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vecwire.service.jsonrpc import Code, RpcError
from vecwire.service.keys import COPIES, MEMBERSHIP, PORT
from vecwire.spec.impairment import IMPAIRMENTS
from vecwire.spec.text import nearest

_KINDS: dict[type, str] = {str: "string", dict: "object", list: "array"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a method.

    Attributes:
        name: its name, and that of the argument of the service's method.
        meaning: what it says, in one line.
        kind: ``str``, ``dict`` for an object, or ``list`` for an array.
        required: whether it must be given; null is the same as not given.
    """

    name: str
    meaning: str
    kind: type = str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Method:
    """A method.

    Attributes:
        name: its name.
        description: what it does, in one line.
        result: what it returns, in a few words.
        calls: the method of :class:`~vecwire.service.state.Controlled` that does it; None where the table
            itself is asked.
        parameters: what it takes, in order.
        thread: whether it may take a while: it then runs in a thread of its own.
        changes: whether no other that changes something may run at the same time.
        descriptor: whether it returns a descriptor, which goes along with the response.
    """

    name: str
    description: str
    result: str
    calls: str | None
    parameters: tuple[Parameter, ...] = ()
    thread: bool = False
    changes: bool = False
    descriptor: bool = False

    def arguments(self, params: dict[str, Any] | list[Any]) -> dict[str, Any]:
        """Returns the arguments by name, checked.

        Args:
            params: as they came, by name or in order.

        Raises:
            RpcError: if one is missing, unknown, too many, or of the wrong kind.
        """
        if isinstance(params, list):
            if len(params) > len(self.parameters):
                raise self._wrong(f"takes at most {len(self.parameters)} parameters, not {len(params)}")
            params = {
                parameter.name: value for parameter, value in zip(self.parameters, params, strict=False)
            }
        known = {parameter.name for parameter in self.parameters}
        if unknown := [name for name in params if name not in known]:
            raise self._wrong(
                f"has no parameter {unknown[0]!r}", _meant(unknown[0], known, "its parameters are")
            )
        given = {name: value for name, value in params.items() if value is not None}
        for parameter in self.parameters:
            value = given.get(parameter.name)
            if value is None and parameter.required:
                raise self._wrong(f"needs the parameter {parameter.name!r}", parameter.meaning)
            if value is not None and not isinstance(value, parameter.kind):
                raise self._wrong(f"takes {parameter.name!r} as {_KINDS[parameter.kind]}", parameter.meaning)
        return given

    def _wrong(self, what: str, remedy: str = "") -> RpcError:
        return RpcError(Code.INVALID_PARAMS, f"{self.name} {what}", {"remedy": remedy})

    def described(self) -> dict[str, Any]:
        """Returns what the method ``methods`` tells of it."""
        return {
            "name": self.name,
            "description": self.description,
            "params": [
                {
                    "name": each.name,
                    "type": _KINDS[each.kind],
                    "required": each.required,
                    "meaning": each.meaning,
                }
                for each in self.parameters
            ],
            "result": self.result,
        }


_ONE_OR_ALL = Parameter("name", "The name of a port; without it, all of them.", required=False)
_PORT = Parameter("name", "The name of a port.")
_SWITCH = Parameter("switch", "The name of a switch.")
_LEARNED_FROM = Parameter("port", "The name of one of its ports; without it, all of them.", required=False)
_AS_IN_THE_FILE = f"{', '.join(PORT)}, as in the file; and switch."
_CHANGES = (
    f"Any of {', '.join((*MEMBERSHIP, *COPIES))}, and what impairs it: {', '.join(IMPAIRMENTS)}; the others"
    " stay as they are."
)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("status", "Tells about the service as a whole.", "a service", "status"),
        Method("ports", "Tells about the ports.", "an array of ports", "port_states", (_ONE_OR_ALL,)),
        Method("switches", "Tells about the switches.", "an array of switches", "switch_states"),
        Method("cables", "Tells about the cables.", "an array of cables", "cable_states"),
        Method(
            "stations",
            "Tells the FDB of a switch: which address was seen behind which port.",
            "an array of stations",
            "stations",
            (_SWITCH, _LEARNED_FROM),
            thread=True,
        ),
        Method(
            "flush",
            "Has a switch forget what it has learned.",
            "the number of addresses forgotten",
            "flush",
            (_SWITCH, _LEARNED_FROM),
            thread=True,
            changes=True,
        ),
        Method(
            "reset",
            "Has the counters start from zero again.",
            "null",
            "reset",
            (_ONE_OR_ALL,),
            thread=True,
            changes=True,
        ),
        Method(
            "reload",
            "Applies the difference between the file and what runs.",
            "an object: the names under added, removed, changed, kept",
            "reload",
            thread=True,
            changes=True,
        ),
        Method(
            "add_port",
            "Opens a port and joins it to a switch.",
            "null",
            "add_port",
            (
                Parameter("name", "A name that no port has yet."),
                Parameter("options", _AS_IN_THE_FILE, kind=dict),
            ),
            thread=True,
            changes=True,
        ),
        Method(
            "remove_port",
            "Takes a port out of its switch and closes it.",
            "null",
            "remove_port",
            (_PORT,),
            thread=True,
            changes=True,
        ),
        Method(
            "set_port",
            "Changes how a port takes part in its switch.",
            "null",
            "set_port",
            (_PORT, Parameter("options", _CHANGES, kind=dict)),
            thread=True,
            changes=True,
        ),
        Method(
            "capture",
            "Copies a port's frames, both ways, to a descriptor that goes along with the response.",
            "an object: port, descriptors",
            "capture",
            (Parameter("port", "The name of a port."),),
            thread=True,
            changes=True,
            descriptor=True,
        ),
        Method(
            "captured",
            "Tells how many frames the capture of a port has had, and how many came too fast for its reader.",
            "an object: port, frames, missed",
            "captured",
            (Parameter("port", "The name of a port that is captured."),),
        ),
        Method(
            "capture_drops",
            "Copies frames that are dropped, with the reason, to a descriptor that goes along with the"
            " response.",
            "an object: port, reasons, descriptors",
            "capture_drops",
            (
                Parameter("port", "The name of the port that drops them; without it, all.", required=False),
                Parameter(
                    "reasons",
                    "Names of counters, or rx, switch, tx; without them, all.",
                    kind=list,
                    required=False,
                ),
            ),
            thread=True,
            changes=True,
            descriptor=True,
        ),
        Method("stop", "Asks the service to end.", "null", "stop"),
        Method("methods", "Tells which methods there are.", "an array of methods", None),
    )
}


def method_of(name: str) -> Method:
    """Returns a method by name.

    Raises:
        RpcError: if there is none of that name.
    """
    if name not in METHODS:
        remedy = _meant(name, METHODS, "there are")
        raise RpcError(Code.METHOD_NOT_FOUND, f"there is no method {name!r}", {"remedy": remedy})
    return METHODS[name]


def _meant(word: str, names: Iterable[str], otherwise: str) -> str:
    """Returns the remedy for an unknown name: the nearest one, or all of them."""
    names = sorted(names)
    if meant := nearest(word, names):
        return f"did you mean {meant}?"
    return f"{otherwise} {', '.join(names)}" if names else "it has none"
