"""What every transport's spec has: the common options, the canonical text, the sums of headers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from vecwire.spec import impairment as impair
from vecwire.spec.impairment import IMPAIRMENTS, Impairment
from vecwire.spec.kinds import Boolean, Expression, FilePath, Integer, Mac, Namespace
from vecwire.spec.options import Option, about, options_of
from vecwire.spec.passed import InPlaceOf, Passed
from vecwire.spec.rules import Excludes, Rule
from vecwire.spec.text import public, quote

_ON = Boolean()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec(ABC):
    """What every transport's spec has: the common options.

    Attributes:
        transport: The transport's name.
        common_rules: What the common options must hold together.
        rules: What the transport's options must hold together.
    """

    transport: ClassVar[str]
    common_rules: ClassVar[tuple[Rule, ...]] = (
        InPlaceOf(),
        Excludes("bpffile", "filter", "one filter decides which frames come in"),
        *impair.RULES,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    depth: int = field(
        default=64, metadata=about(Integer(1, 1024), "How many frames one system call moves.", unit="frames")
    )
    vec: bool = field(
        default=True, metadata=about(_ON, "Move many frames with one system call; 0 moves one with each.")
    )
    gro: bool = field(
        default=True,
        metadata=about(_ON, "Take and give super-frames of up to 64 KB where the transport can carry them."),
    )
    mtu: int = field(
        default=1500,
        metadata=about(
            Integer(576, 65535), "The longest layer-3 packet that one frame carries.", unit="octets"
        ),
    )
    headroom: int = field(
        default=32,
        metadata=about(
            Integer(0, 1024),
            "How much room stays free in front of a frame for another encapsulation.",
            unit="octets",
        ),
    )
    mac: str | None = field(
        default=None,
        metadata=about(Mac(), "The port's own address: frames that come back from it are filtered out."),
    )
    filter: str | None = field(
        default=None, metadata=about(Expression(), "Which frames come in, as an expression.")
    )
    bpffile: str | None = field(
        default=None,
        metadata=about(
            FilePath(),
            "A file that says so as a program: struct sock_filter instructions, or what tcpdump -ddd prints.",
        ),
    )
    bpfflash: bool = field(
        default=False, metadata=about(_ON, "Let a filter be loaded into the port while it is running.")
    )
    timestamps: bool = field(
        default=False, metadata=about(_ON, "Keep the time at which each frame was received, in nanoseconds.")
    )
    netns: str | None = field(
        default=None,
        metadata=about(Namespace(), "The network namespace in which to open the transport.", place=True),
    )
    fd: int | str | None = field(
        default=None,
        metadata=about(
            Passed(),
            "A descriptor that is open already, in place of opening one; the port takes a duplicate.",
        ),
    )
    delay: float = field(default=0.0, metadata=impair.DELAY)
    jitter: float = field(default=0.0, metadata=impair.JITTER)
    loss: float = field(default=0.0, metadata=impair.LOSS)
    duplicate: float = field(default=0.0, metadata=impair.DUPLICATE)
    reorder: float = field(default=0.0, metadata=impair.REORDER)
    rate: int = field(default=0, metadata=impair.RATE)
    limit: int = field(default=impair.USUAL_LIMIT, metadata=impair.LIMIT)
    seed: int | None = field(default=None, metadata=impair.SEED)

    def __post_init__(self) -> None:
        for option in self.options():
            # The class is frozen for everyone else; here its value is still being made.
            object.__setattr__(self, option.name, option.check(getattr(self, option.name)))
        for rule in (*self.common_rules, *self.rules):
            rule.check(self)

    def __str__(self) -> str:
        """Returns the canonical text: the transport, then what differs from the defaults."""
        given = [
            f"{option.name}={quote(option.show(value))}"
            for option in self.options()
            if (value := getattr(self, option.name)) != option.default
        ]
        return ",".join([f"transport={self.transport}", *given])

    @property
    def public(self) -> str:
        """The canonical text without its cookies, for logs and errors."""
        return public(str(self))

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Returns the transport's options: its own, then the common ones."""
        common = {option.name for option in options_of(Spec)}
        return tuple(sorted(options_of(cls), key=lambda option: option.name in common))

    @property
    def impairment(self) -> Impairment:
        """What is done on purpose to the frames that the port sends."""
        return Impairment(**{name: getattr(self, name) for name in IMPAIRMENTS})

    def impaired(self, impairment: Impairment) -> Self:
        """Returns the same spec with another impairment."""
        return replace(self, **{name: getattr(impairment, name) for name in IMPAIRMENTS})

    @property
    def encapsulation_octets(self) -> int:
        """How many octets stand between the outer transport's header and the frame."""
        return 0

    @property
    def headers(self) -> tuple[tuple[str, int], ...]:
        """The headers in front of the inner layer-3 packet on an outer network, as names and octets."""
        return ()

    @property
    def overhead(self) -> int:
        """How many octets stand in front of the inner layer-3 packet on an outer network; 0 without one."""
        return sum(octets for _, octets in self.headers)

    @property
    @abstractmethod
    def requirements(self) -> tuple[str, ...]:
        """What the host must allow, beyond what any process may, as short sentences."""

    def inner_mtu(self, outer_mtu: int = 1500) -> int:
        """Returns the longest layer-3 packet, in octets, that fits whole into the outer network's packets.

        Args:
            outer_mtu: The MTU of the path between the tunnel's ends, in octets.

        Raises:
            ValueError: Not even an empty frame fits.
        """
        if outer_mtu <= self.overhead:
            raise ValueError(
                f"an outer MTU of {outer_mtu} leaves nothing behind {self.overhead} octets of headers"
            )
        return outer_mtu - self.overhead

    def handed(self, fd: int, tx_fd: int | None = None) -> Self:
        """Returns the spec of the same port over descriptors that are open already.

        Args:
            fd: the descriptor, or the one that receives where there are two.
            tx_fd: the one that sends, where that is another.
        """
        changes: dict[str, Any] = {option.name: option.default for option in self.options() if option.place}
        if tx_fd is not None:
            changes["tx_fd"] = tx_fd
        return replace(self, fd=fd, **changes)

    def with_common(self, *own: str) -> tuple[str, ...]:
        """Returns a transport's requirements with those of the common options."""
        if self.fd is not None:
            return ()
        if self.netns is None:
            return own
        return (*own, f"CAP_SYS_ADMIN over the network namespace {self.netns}, to enter it.")
