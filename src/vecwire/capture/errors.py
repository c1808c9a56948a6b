"""What is wrong with a capture file, and where."""

from vecwire.errors import PortError


class CaptureError(PortError):
    """A capture file cannot be read further.

    Attributes:
        offset: the octet of the file at which what is wrong begins.
    """

    def __init__(self, message: str, *, offset: int, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.offset = offset
