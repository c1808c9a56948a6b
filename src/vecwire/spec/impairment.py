"""What is done on purpose to the frames that a port sends, as tc-netem(8) does it: options and value."""

from dataclasses import dataclass, field
from typing import Any

from vecwire.spec.kinds import Duration, Integer, Rate, Share
from vecwire.spec.options import Option, about, options_of
from vecwire.spec.rules import Needs, Rule

#: Frames that may wait unless told otherwise, as tc-netem(8) has it, and at the most.
USUAL_LIMIT = 1000
MOST_LIMIT = 65_000

#: The options as the specs have them too.
DELAY = about(Duration(), "How long each frame that is sent waits first.")
JITTER = about(
    Duration(),
    "By how much the delay varies to either side, evenly; frames may overtake each other.",
)
LOSS = about(Share(), "The share of sent frames that are dropped, at random.")
DUPLICATE = about(Share(), "The share of sent frames that are sent twice.")
REORDER = about(Share(), "The share of sent frames that are not delayed, and so overtake others.")
RATE = about(Rate(), "Bits a second at which frames leave, one after the other, before they are delayed.")
LIMIT = about(
    Integer(1, MOST_LIMIT), "How many frames may wait for delay and rate; others are dropped.", unit="frames"
)
SEED = about(
    Integer(0, 0xFFFF_FFFF_FFFF_FFFF), "What the random numbers follow from, so that they can be repeated."
)
#: What they must hold together.
RULES: tuple[Rule, ...] = (
    Needs("jitter", "delay", "delay=TIME"),
    Needs("reorder", "delay", "delay=TIME"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """What is done on purpose to the frames that a port sends; each argument may be left out.

    Attributes:
        delay: seconds that each frame waits.
        jitter: seconds that the delay varies by, evenly, to either side.
        loss: the share of frames that are dropped, 0 to 1.
        duplicate: the share of the others that are sent twice.
        reorder: the share of frames that wait for nothing.
        rate: bits a second at which frames leave; 0 for no bound.
        limit: how many frames may wait, 1 to 65,000; others are dropped.
        seed: what the random numbers follow from; None for something else each time.

    Raises:
        SpecError: if a value is out of range, or jitter or reordering is asked for without a delay.
    """

    delay: float = field(default=0.0, metadata=DELAY)
    jitter: float = field(default=0.0, metadata=JITTER)
    loss: float = field(default=0.0, metadata=LOSS)
    duplicate: float = field(default=0.0, metadata=DUPLICATE)
    reorder: float = field(default=0.0, metadata=REORDER)
    rate: int = field(default=0, metadata=RATE)
    limit: int = field(default=USUAL_LIMIT, metadata=LIMIT)
    seed: int | None = field(default=None, metadata=SEED)

    def __post_init__(self) -> None:
        for option in self.options():
            object.__setattr__(self, option.name, option.check(getattr(self, option.name)))
        for rule in RULES:
            rule.check(self)

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Returns its options, as a spec has them."""
        own: Any = cls
        return options_of(own)

    def __bool__(self) -> bool:
        """Whether anything is done at all."""
        return any((self.delay, self.jitter, self.loss, self.duplicate, self.reorder, self.rate))

    def __str__(self) -> str:
        """The options as in a spec: ``delay=50ms,loss=1%``; nothing where nothing is done."""
        return ",".join(
            f"{option.name}={option.show(value)}"
            for option in self.options()
            if (value := getattr(self, option.name)) != option.default
        )

    def numbers(self) -> dict[str, Any]:
        """The same for the path: times in nanoseconds; without a seed, there is none."""
        told: dict[str, Any] = {
            "delay": round(self.delay * 1e9),
            "jitter": round(self.jitter * 1e9),
            "loss": self.loss,
            "duplicate": self.duplicate,
            "reorder": self.reorder,
            "rate": self.rate,
            "limit": self.limit,
        }
        return told if self.seed is None else {**told, "seed": self.seed}


#: The names of the options.
IMPAIRMENTS = tuple(option.name for option in Impairment.options())
