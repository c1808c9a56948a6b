"""Traffic that can be judged: ``Blast`` sends stamped frames, ``Sink`` tells what became of them."""

from vecwire.traffic.blast import Blast
from vecwire.traffic.plan import IMIX, Rate, Traffic, read_rate, read_sizes
from vecwire.traffic.sink import Sink

__all__ = ["IMIX", "Blast", "Rate", "Sink", "Traffic", "read_rate", "read_sizes"]
