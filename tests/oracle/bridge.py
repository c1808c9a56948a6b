"""A learning bridge in plain Python, as IEEE 802.1Q describes it: what the compiled one must do."""

from __future__ import annotations

from dataclasses import dataclass, field

CUSTOMER = b"\x81\x00"
RESERVED = bytes.fromhex("0180c20000")


@dataclass(frozen=True)
class Place:
    """How a port takes part; see ``vecwire.Membership``.

    Attributes:
        vlan: the VLAN that it is in without a tag, 0 for none.
        tagged: those that it is in with a tag.
        horizon: its group, 0 for none.
        addresses: how many are learned from it, 0 for any number.
    """

    vlan: int = 0
    tagged: frozenset[int] = frozenset()
    horizon: int = 0
    addresses: int = 0

    @property
    def transparent(self) -> bool:
        """Whether it takes all frames as they are."""
        return not self.vlan and not self.tagged

    def takes(self, vlan: int) -> str | None:
        """How it takes frames of a VLAN; None where it does not."""
        if self.transparent:
            return "as it is" if vlan == 0 else "with"
        if vlan == 0:
            return None
        if vlan == self.vlan:
            return "without"
        return "with" if vlan in self.tagged else None


@dataclass
class Bridge:
    """The model.

    Attributes:
        ports: how each port takes part, by number.
        table: the port of each address and VLAN.
    """

    ports: dict[int, Place]
    table: dict[tuple[bytes, int], int] = field(default_factory=dict)

    def forget(self, port: int) -> None:
        """Forgets what is behind a port."""
        self.table = {key: value for key, value in self.table.items() if value != port}

    def change(self, port: int, place: Place) -> None:
        """Has a port take part in another way."""
        before = self.ports[port]
        if (before.vlan, before.tagged, before.horizon) != (place.vlan, place.tagged, place.horizon):
            self.forget(port)
        self.ports[port] = place

    def remove(self, port: int) -> None:
        """Takes a port out."""
        self.forget(port)
        del self.ports[port]

    def _learn(self, source: bytes, vlan: int, port: int) -> None:
        if self.table.get((source, vlan)) == port:
            return
        bound = self.ports[port].addresses
        if not bound or sum(1 for other in self.table.values() if other == port) < bound:
            self.table[source, vlan] = port

    def forward(self, port: int, frame: bytes) -> tuple[tuple[bytes, int], dict[int, bytes]]:
        """Takes a frame in; the flow that it is of, and what leaves through which port."""
        place = self.ports[port]
        carries = len(frame) >= 18 and frame[12:14] == CUSTOMER
        vlan = int.from_bytes(frame[14:16]) & 0xFFF if carries else place.vlan
        if carries and vlan == 0 and place.vlan:
            vlan = place.vlan
            frame = frame[:14] + (int.from_bytes(frame[14:16]) | vlan).to_bytes(2) + frame[16:]
        flow = (frame[:12], vlan)
        if vlan == 0xFFF or place.takes(vlan) is None:
            return flow, {}
        if frame[6] & 1 or not any(frame[6:12]):
            return flow, {}
        self._learn(frame[6:12], vlan, port)
        target = None if frame[0] & 1 else self.table.get((frame[:6], vlan))
        if frame[:5] == RESERVED and frame[5] < 16:
            return flow, {}
        leaving: dict[int, bytes] = {}
        for number, other in self.ports.items():
            how = other.takes(vlan)
            apart = place.horizon and place.horizon == other.horizon
            if number == port or apart or how is None or target not in {None, number}:
                continue
            if how == "with" and not carries:
                leaving[number] = frame[:12] + CUSTOMER + vlan.to_bytes(2) + frame[12:]
            elif how == "without" and carries:
                leaving[number] = frame[:12] + frame[16:]
            else:
                leaving[number] = frame
        return flow, leaving
