"""The process around a service: signals, the control socket, metrics, systemd, and privileges.

Theory of operation: everything is opened by one thread with all privileges: ports, the control socket, the
address of the metrics. Then what is no longer needed is given up, and only then do threads begin. The main
thread runs an event loop that waits for signals and clients; what takes longer runs in threads of its own.
SIGHUP applies the file anew, SIGINT and SIGTERM end the service.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vecwire.confine import Seccomp
from vecwire.errors import VecwireError
from vecwire.service import logs, privileges
from vecwire.service._threads import in_thread
from vecwire.service.address import Address
from vecwire.service.config import Examined, examine_file
from vecwire.service.control import Control
from vecwire.service.exporter import Exporter
from vecwire.service.service import Service
from vecwire.service.systemd import Notifier

logger = logging.getLogger("vecwire.service")

ENDING = (signal.SIGINT, signal.SIGTERM)
SIGNALS = (*ENDING, signal.SIGHUP)
#: Seconds that a worker may take to answer before the watchdog is not fed any more.
LATE = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says.

    Attributes:
        options: what goes before the file, by the keys of [service].
        duration: seconds after which to end; None is never.
        level: the least level of what is logged.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    duration: float | None = None
    level: int = logging.INFO


def serve(
    path: Path,
    settings: Settings,
    *,
    ready: Callable[[Service], None],
    ended: Callable[[Service], None],
) -> None:
    """Runs a service until a signal, the control socket or the duration ends it.

    Args:
        path: the file.
        settings: what the command line says.
        ready: called once frames flow.
        ended: called when they have stopped, before the ports are closed.

    Raises:
        ConfigError: if the file is wrong, or an option.
        UnsupportedError: if this user may not, or this host cannot, do something that the file asks for.
        PortError: if the control socket or the address of the metrics is not to be had, or there is no such
            user.
    """
    examined = examine_file(path, settings.options)
    handler = logs.set_up(settings.level, as_json=examined.service.log == "json")
    try:
        examined.log()
        asyncio.run(_Process(path, examined, settings.duration, ready, ended).run())
    finally:
        handler.report()


class _Process:
    """One run of the service."""

    def __init__(
        self,
        path: Path,
        examined: Examined,
        duration: float | None,
        ready: Callable[[Service], None],
        ended: Callable[[Service], None],
    ) -> None:
        self._path = path
        self._config = examined.config
        self._told = examined.service
        self._duration = duration
        self._ready = ready
        self._ended = ended
        self._notifier = Notifier()
        self._end = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Runs it from the first port to the last."""
        loop = self._loop = asyncio.get_running_loop()
        told = self._told
        owner = None if told.user is None else privileges.account_of(told.user).pw_uid
        service = Service(
            self._path,
            workers=told.workers,
            pin=told.pin,
            poll=told.poll,
            confine=Seccomp(told.seccomp),
            stop=self._ask_to_end,
        )
        async with contextlib.AsyncExitStack() as stack:
            for each in ENDING:
                loop.add_signal_handler(each, self._end.set)
            loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self._reload(service)))
            stack.callback(service.close)
            service.apply(self._config)
            if told.control is not None:
                listening = Control(service, told.control, owner=owner)
                stack.push_async_callback(listening.stop)
                if not await self._unless_ended(listening.start()):
                    return
            exporter = None
            if told.metrics is not None:
                exporter = Exporter(service, Address.parse(told.metrics), confine=service.confine)
                stack.callback(exporter.stop)
            self._drop_privileges()
            # Signals are this thread's: those that begin from here on do not take them.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            service.start()
            if exporter is not None:
                exporter.start()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            if self._notifier.watchdog_interval is not None:
                self._begin(self._feed(service, self._notifier.watchdog_interval))
            self._notifier.ready(_status(service))
            self._ready(service)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), self._duration)
            self._notifier.stopping()
            for task in self._tasks:
                task.cancel()
            self._ended(service)

    def _ask_to_end(self) -> None:
        """Ends the process soon; from any thread."""
        self._loop.call_soon_threadsafe(self._end.set)

    async def _unless_ended(self, work: Coroutine[object, object, None]) -> bool:
        """Does work to its end, or until a signal ends the service; whether it was done."""
        task, ending = asyncio.create_task(work), asyncio.create_task(self._end.wait())
        await asyncio.wait((task, ending), return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        ending.cancel()
        await asyncio.wait((task, ending))
        if task.cancelled():
            return False
        task.result()
        return True

    def _drop_privileges(self) -> None:
        """Gives up what opening the ports again does not take."""
        specs = [port.parsed for port in self._config.ports.values()]
        privileges.keep_needed(specs, self._told.user)

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self, service: Service) -> None:
        """Applies the file anew; a wrong one changes nothing."""
        self._notifier.reloading()
        try:
            await in_thread(service.reload)
        except VecwireError as error:
            logger.error("not reloaded: %s", error)  # noqa: TRY400 # the error explains itself
        except Exception:
            # Such as no memory: systemd is to be told the end of it all the same.
            logger.exception("not reloaded")
        self._notifier.ready(_status(service))

    async def _feed(self, service: Service, interval: float) -> None:
        """Tells systemd that the service is alive, as long as every worker answers."""
        while True:
            try:
                await asyncio.wait_for(in_thread(service.answer), LATE)
                self._notifier.watchdog()
            except TimeoutError:
                logger.error("a worker does not answer")  # noqa: TRY400 # nothing is known but that
            except VecwireError as error:
                logger.error("not fed: %s", error)  # noqa: TRY400 # the error explains itself
            await asyncio.sleep(interval)


def _status(service: Service) -> str:
    state = service.status()
    return f"{state.up} of {state.ports} ports up"
