"""Wrappers of a port: ports of the same contract that trace, capture, mirror or impair what passes.

They go around any port, one of the user's own too, and around each other; what they do is done in Python, by
the calls of the port. A port that is in a cable or a switch has the same from its engine, without the
interpreter: ``vecwire.Trace``, ``vecwire.Mirror``, ``Engine.capture`` and the options of its spec.

>>> from vecwire.spec import Impairment
>>> from vecwire.testing import pair
>>> left, right = pair()
>>> with Impaired(left, Impairment(loss=1.0)) as lossy, right:
...     batch = lossy.batch()
...     batch.append(bytes(60))
...     lossy.send(batch), lossy.stats.tx_lost, right.recv(right.batch())
(1, 1, 0)
"""

from vecwire.wrappers.base import Wrapper
from vecwire.wrappers.impaired import Impaired
from vecwire.wrappers.passing import Captured, Mirrored, Traced

__all__ = ["Captured", "Impaired", "Mirrored", "Traced", "Wrapper"]
