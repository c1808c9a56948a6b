"""Capture files, pcapng and pcap: written from batches, read whatever they hold, told in lines.

``Recorder`` writes what a port receives, on a thread of its own; ``CaptureWriter`` writes frame by frame;
``CaptureReader`` gives frames and their times back. Frames are Ethernet frames, times nanoseconds since 1970.
"""

from vecwire.capture.errors import CaptureError
from vecwire.capture.files import SNAPLEN, CaptureWriter, Form, form_of
from vecwire.capture.reader import CaptureReader, Record
from vecwire.capture.recorder import Recorder, Rotation

__all__ = [
    "SNAPLEN",
    "CaptureError",
    "CaptureReader",
    "CaptureWriter",
    "Form",
    "Record",
    "Recorder",
    "Rotation",
    "form_of",
]
