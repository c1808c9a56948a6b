"""Opening transports, one file for each: descriptors and socket options. Nothing here moves a frame."""

from vecwire.transports._hand import hand_over
from vecwire.transports._port import TransportPort, open_port
from vecwire.transports._table import OPENERS

__all__ = ["OPENERS", "TransportPort", "hand_over", "open_port"]
