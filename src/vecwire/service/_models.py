"""What a service's file may hold: frozen classes, from which the errors and the editors' schema are made too.

Every value says what is allowed in words (:class:`Allowed`), for the errors, and what it means, for the
schema. What keys must hold together is told by :mod:`vecwire.service._contradictions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from vecwire.service import address
from vecwire.service._contradictions import ContradictionError, contradictions
from vecwire.spec import Spec, parse
from vecwire.spec.kinds import UnixAddress

MOST_ADDRESSES = 4_194_304  # 2^22: what a MAC table of a switch may hold
MOST_WORKERS = 64


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a value may be, as a phrase that follows "must be"."""

    phrase: str


def _control(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("an abstract name has no mode" if value.startswith("@") else "")
    return UnixAddress().check(value)


def _capture(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or not path.name or "\0" in value:
        raise ValueError("" if "\0" not in value else "there is a NUL in it")
    return value


def _metrics(value: str) -> str:
    return str(address.Address.parse(value))


def _spec(value: str) -> str:
    parse(value)
    return value


def _table(value: object) -> object:
    return {"spec": value} if isinstance(value, str) else value


def _different(value: object) -> object:
    if isinstance(value, list | tuple):
        for place, item in enumerate(value):
            if any(item == other and type(item) is type(other) for other in value[:place]):
                raise ValueError(f"{item!r} is in it twice")
    return value


Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"),
    Allowed("1 to 64 letters, digits, _, . and -, the first no . or -"),
]
Vlan = Annotated[int, Strict(), Field(ge=1, le=4094)]  # IEEE 802.1Q table 9-2: 0 and 4095 are reserved
Addresses = Annotated[
    int, Strict(), Field(ge=1, le=MOST_ADDRESSES), Allowed(f"an integer from 1 to {MOST_ADDRESSES}")
]
Rate = Annotated[
    int,
    Strict(),
    Field(ge=0, le=0xFFFF_FFFF),
    Allowed("an integer from 0 to 4294967295, in frames a second; 0 is no limit"),
]


class Part(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ServiceConfig(Part):
    """How the process runs."""

    control: Annotated[
        str | None,
        AfterValidator(lambda value: None if value is None else _control(value)),
        Allowed("an absolute path of at most 107 octets"),
        Field(description="The Unix socket on which the service is asked and changed; without it none is."),
    ] = None
    metrics: Annotated[
        str | None,
        AfterValidator(lambda value: None if value is None else _metrics(value)),
        Allowed(address.ALLOWED),
        Field(description="ADDR:PORT at which Prometheus reads the metrics; without it it cannot."),
    ] = None
    workers: Annotated[
        int,
        Field(ge=1, le=MOST_WORKERS, description="How many threads move frames."),
        Allowed(f"an integer from 1 to {MOST_WORKERS}"),
    ] = 1
    pin: Annotated[
        bool, Field(description="Bind each worker to a processor of its own."), Allowed("true or false")
    ] = False
    poll: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Microseconds for which a worker looks for frames again before it sleeps.",
        ),
        Allowed("an integer from 0 to 1000000, in microseconds"),
    ] = 0
    user: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,255}$",
            description="The user as whom to run, by name or number, once the ports are open; without it, "
            "who started it.",
        ),
        Allowed("the name or the number of a user, as text"),
    ] = None
    seccomp: Annotated[
        Literal["on", "off", "require"],
        Field(
            description="Hold threads that read what strangers wrote to the system calls of their work; with "
            "require the service does not "
            "start where that cannot be."
        ),
        Allowed('"on", "off" or "require"'),
    ] = "on"
    log: Annotated[
        Literal["text", "json"],
        Field(description="How log records are written: lines of text, or an object on each line."),
        Allowed('"text" or "json"'),
    ] = "text"


class PortConfig(Part):
    """A port: what it opens, and how it takes part in its switch."""

    spec: Annotated[
        str,
        AfterValidator(_spec),
        Allowed('text, like "tap,ifname=tap0"'),
        Field(description='The transport and its options, as for vecwire cable: "tap,ifname=tap0".'),
    ]
    vlan: Annotated[
        Vlan | None,
        Field(description="The VLAN of its untagged frames, 1 to 4094."),
        Allowed("an integer from 1 to 4094"),
    ] = None
    tagged: Annotated[
        frozenset[Vlan],
        Strict(strict=False),
        BeforeValidator(_different),
        Field(description="The VLANs that it carries tagged, each 1 to 4094."),
        Allowed("a list of integers from 1 to 4094, each once"),
    ] = frozenset()
    horizon: Annotated[
        Name | None,
        Field(description="A group, by any name: ports of one group never exchange frames."),
        Allowed("1 to 64 letters, digits, _, . and -, the first no . or -"),
    ] = None
    flood_rate: Annotated[
        Rate | None,
        Field(description="Frames a second that it may flood; 0 is no limit. Default: the switch's."),
        Allowed("an integer from 0 to 4294967295, in frames a second; 0 is no limit"),
    ] = None
    addresses: Annotated[
        Addresses | None,
        Field(description="How many addresses are learned from it at most. Default: the switch's."),
        Allowed(f"an integer from 1 to {MOST_ADDRESSES}"),
    ] = None

    mirror: Annotated[
        Name | None,
        Field(description="The port through which a copy of all its frames, of both ways, is sent."),
        Allowed("the name of a port that is in no cable and no switch"),
    ] = None
    trace: Annotated[
        bool,
        Field(description="Write a line for each of its frames to the log, at level debug."),
        Allowed("true or false"),
    ] = False
    capture: Annotated[
        str | None,
        AfterValidator(lambda value: None if value is None else _capture(value)),
        Allowed('an absolute path that ends in a file\'s name, like "/var/log/vecwire/guest.pcapng"'),
        Field(
            description="Write all its frames, of both ways, to files: pcapng, unless the suffix says pcap; "
            "guest.pcapng stands for guest-00001.pcapng and those that follow."
        ),
    ] = None
    capture_size: Annotated[
        int,
        Field(ge=4096, le=2**40, description="Octets that a file of its capture may have."),
        Allowed(f"an integer from 4096 to {2**40}, in octets"),
    ] = 100_000_000
    capture_keep: Annotated[
        int,
        Field(ge=1, le=10_000, description="How many files of its capture are kept; the oldest go."),
        Allowed("an integer from 1 to 10000"),
    ] = 10

    @property
    def parsed(self) -> Spec:
        """The spec's value."""
        return parse(self.spec)

    @property
    def canonical(self) -> str:
        """The spec's canonical text: two that differ in spelling alone have the same."""
        return str(self.parsed)


class SwitchConfig(Part):
    """A learning switch."""

    ports: Annotated[
        tuple[str, ...],
        Strict(strict=False),
        Allowed('a list of names of ports, like ["uplink", "guest1"]'),
        Field(description="The names of its ports."),
    ] = ()
    age: Annotated[
        float,
        Field(ge=1, le=1_000_000, description="Seconds after which an idle address is forgotten."),
        Allowed("a number from 1 to 1000000, in seconds"),
    ] = 300.0  # IEEE 802.1Q table 8-6: the recommended value; its range ends at the same number
    addresses: Annotated[Addresses, Field(description="How many addresses it learns at most.")] = 65536
    addresses_per_port: Annotated[
        Addresses | None,
        Field(description="How many of them from one port at most, unless the port says otherwise."),
        Allowed(f"an integer from 1 to {MOST_ADDRESSES}"),
    ] = None
    flood_rate: Annotated[
        Rate,
        Field(
            description="Frames a second that one port may flood, unless it says otherwise; 0 is no limit."
        ),
    ] = 0


Port = Annotated[PortConfig, BeforeValidator(_table, json_schema_input_type=str | PortConfig)]
Cable = Annotated[
    tuple[str, str],
    Strict(strict=False),
    Allowed('a list of two names of ports, like ["a", "b"]'),
    Field(description="The names of the two ports that it joins."),
]


class Config(Part):
    """A whole file."""

    service: Annotated[
        ServiceConfig, Field(description="How the process runs."), Allowed("a table: [service]")
    ] = ServiceConfig()
    ports: Annotated[
        dict[Name, Port],
        Field(description="Ports by their names, each a spec or a table."),
        Allowed("a table of ports by their names: [ports]"),
    ] = {}
    cables: Annotated[
        dict[Name, Cable],
        Field(description="Cables by their names, each a list of two names of ports."),
        Allowed("a table of cables by their names: [cables]"),
    ] = {}
    switches: Annotated[
        dict[Name, SwitchConfig],
        Field(description="Switches by their names, each a table."),
        Allowed("tables of switches by their names: [switches.NAME]"),
    ] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if found := contradictions(self):
            raise ContradictionError(found)
        return self

    def port(self, name: str) -> PortConfig:
        """Returns the port of that name.

        Raises:
            KeyError: There is none.
        """
        return self.ports[name]

    def joined(self, port: str) -> str | None:
        """Returns what a port is in, as "switch lan" or "cable backhaul"; None where it is in nothing."""
        for name, switch in self.switches.items():
            if port in switch.ports:
                return f"switch {name}"
        return next((f"cable {name}" for name, ends in self.cables.items() if port in ends), None)


#: The tables whose keys are known, by the key of the file that holds them.
TABLES: dict[str, type[Part]] = {
    "service": ServiceConfig,
    "ports": PortConfig,
    "switches": SwitchConfig,
}


def allowed(part: type[Part], key: str) -> str:
    """Returns what the value of a key may be, as a phrase; nothing for a key that there is not."""
    field = part.model_fields.get(key)
    return phrase(field.metadata) if field else ""


def phrase(metadata: Sequence[Any]) -> str:
    """Returns the last phrase among the metadata of a type; nothing without one."""
    return next((each.phrase for each in reversed(metadata) if isinstance(each, Allowed)), "")
