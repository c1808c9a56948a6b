"""What the subcommands of ``ctl`` share: where the service listens, and how its answers are shown."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vecwire.cli._output import print_json, print_line
from vecwire.client import Client

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class Session:
    """What the subcommands share.

    Attributes:
        path: where the service listens.
        json: whether to print objects.
    """

    path: str
    json: bool

    def client(self) -> Client:
        """Returns a client of the service, to be entered."""
        return Client(self.path)

    def show(self, states: Sequence[T], print_all: Callable[[Sequence[T]], None]) -> None:
        """Shows what the service has told: to people in a table, to programs as an object for each."""
        if self.json:
            for state in states:
                print_json(asdict(state))
        else:
            print_all(states)

    def done(self, action: str, text: str, **result: Any) -> None:
        """Says what was done: to people in a line, to programs as an object."""
        if self.json:
            print_json({"done": action, **result})
        else:
            print_line(text)
