"""Asks and controls a running service: :class:`Client`, and for asyncio :class:`AsyncClient`.

Both have a method for each of the control socket's, return the dataclasses of :mod:`vecwire.service.state`,
and raise vecwire's own errors. They need nothing of the service but those dataclasses.
"""

from vecwire.client._asyncio import AsyncClient
from vecwire.client._blocking import Client
from vecwire.client._protocol import DEFAULT_PATH, ENVIRONMENT

__all__ = ["DEFAULT_PATH", "ENVIRONMENT", "AsyncClient", "Client"]
