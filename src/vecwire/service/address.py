"""Where metrics are served: an address of this host and a TCP port, as the file and the options write it."""

import re
from dataclasses import dataclass
from typing import Self

from vecwire.spec.kinds import address_of

LOOPBACK = "127.0.0.1"
ALLOWED = 'text like "127.0.0.1:9477", "[::1]:9477" or, on loopback, "9477"; port 0 is any free one'
_PORT = re.compile(r"[0-9]{1,5}")
_LAST_PORT = 0xFFFF


@dataclass(frozen=True, slots=True)
class Address:
    """Where metrics are served.

    Attributes:
        host: an IPv4 or IPv6 address of this host.
        port: a TCP port; 0 lets the kernel choose.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """Returns the text that means it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns what ``ADDRESS:PORT`` means; the address is loopback if left out.

        >>> Address.parse("9477"), Address.parse("[::1]:9477")
        (Address(host='127.0.0.1', port=9477), Address(host='::1', port=9477))

        Raises:
            ValueError: it is no such text; the error says why, if there is more to say.
        """
        host, _, port = text.rpartition(":")
        if not _PORT.fullmatch(port) or int(port) > _LAST_PORT:
            raise ValueError
        bare = host.removeprefix("[").removesuffix("]")
        if host != (f"[{bare}]" if ":" in bare else bare):
            raise ValueError("an IPv6 address, and nothing else, stands in brackets")
        address = address_of(bare or LOOPBACK)
        if address is None:
            raise ValueError("no name is looked up for it: write an address")
        if address.is_multicast or str(address) == "255.255.255.255":
            raise ValueError("it is a group address")
        return cls(str(address), int(port))
