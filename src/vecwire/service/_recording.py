"""What a port of a service receives and sends, in files: numbered, none too long, the last of them kept."""

import time
from pathlib import Path

from vecwire.capture import Recorder, Rotation, form_of
from vecwire.capture.files import Interface, Statistics
from vecwire.confine import Seccomp, unprivileged
from vecwire.copies import Copies
from vecwire.path.batch import Batch
from vecwire.service.config import PortConfig


class Recording:
    """Writes copies of a port's frames, as ``capture`` of its table says.

    The first file is opened without capabilities where the thread that opens the others has none.

    Args:
        name: the port's name.
        wanted: its table.
        copies: what it takes the frames from.
        confine: what the threads that write give up.

    Raises:
        PortError: if the file cannot be made, or there is no thread to be had.
    """

    def __init__(self, name: str, wanted: PortConfig, copies: Copies, confine: Seccomp | None) -> None:
        path = Path(wanted.capture or "")
        self._copies = copies
        self._recorder = unprivileged(
            lambda: Recorder(
                path,
                form=form_of(path),
                rotation=Rotation(wanted.capture_size, keep=wanted.capture_keep),
                continued=True,
                interface=Interface(name, wanted.parsed.public),
                # A disk that does not answer holds up no reload for long.
                patient=lambda _: not copies.over,
                statistics=self._statistics,
                confine=confine,
            ),
            confine,
        )

    def _statistics(self, begun: int, records: int) -> Statistics:
        copied, missed = self._copies.counts
        return Statistics(begun, time.time_ns(), copied + missed, missed, records)

    def take(self, batch: Batch) -> None:
        """Writes frames.

        Raises:
            PortError: if a file cannot be written.
        """
        self._recorder.take(batch, time.time_ns())

    def rest(self) -> None:
        """Has what was written be seen by readers.

        Raises:
            PortError: if a file cannot be written.
        """
        self._recorder.flush()

    def end(self) -> None:
        """Ends the last file.

        Raises:
            PortError: if it cannot be written.
        """
        self._recorder.close()
