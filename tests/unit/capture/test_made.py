"""Capture files as they are made: whose eyes they are for, and what at their name is written to."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peers.command import NOBODY
from vecwire.capture import Recorder, Rotation
from vecwire.capture._made import open_named, open_new
from vecwire.errors import PortError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def write(number: int, octets: bytes = b"new") -> None:
    """Writes to a descriptor and closes it."""
    with os.fdopen(number, "wb") as file:
        file.write(octets)


@pytest.fixture(autouse=True)
def lax() -> Iterator[None]:
    """No mask that would take rights from a file."""
    before = os.umask(0)
    yield
    os.umask(before)


def give_away(link: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a link somebody else's; where this user may not, makes this user somebody else."""
    if os.geteuid():
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    else:
        os.chown(link, NOBODY, NOBODY, follow_symlinks=False)


@pytest.mark.parametrize("rotation", [Rotation(), Rotation(size=100_000)], ids=["named", "numbered"])
def test_a_capture_is_for_its_user_alone(tmp_path: Path, rotation: Rotation) -> None:
    """A file that is made has mode 0600, whatever the mask."""
    Recorder(tmp_path / "x.pcapng", rotation=rotation).close()
    (made,) = tmp_path.iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_a_file_that_the_user_names_is_emptied_and_keeps_its_mode(tmp_path: Path) -> None:
    """Whoever has made a file for a group beforehand has the capture in it."""
    path = tmp_path / "x"
    path.write_bytes(b"older and longer")
    path.chmod(0o640)
    write(open_named(path))
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["/proc/self/fd/{}", "/dev/fd/{}"])
def test_descriptors_are_written_to(name: str) -> None:
    """/dev/stdout and its like lead, by a link, to what is open already, such as a pipe."""
    reader, writer = os.pipe()
    write(open_named(Path(name.format(writer))))
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"new"


def test_pipes_and_devices_are_written_to(tmp_path: Path) -> None:
    """What the user has named and is no file is opened as it is."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write(open_named(path))
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    write(open_named(Path("/dev/null")))


@pytest.mark.parametrize("linked", [False, True], ids=["named", "linked"])
def test_a_pipe_is_waited_for_with_patience(tmp_path: Path, linked: bool) -> None:
    """While nobody reads it, it is asked again whether to wait; who reads it then gets what is written."""
    pipe, asked, readers = tmp_path / "pipe", [False, True, True], list[int]()
    os.mkfifo(pipe)
    path = tmp_path / "link" if linked else pipe
    if linked:
        path.symlink_to(pipe)

    def patient() -> bool:
        if len(asked) == 1:
            readers.append(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
            return True
        return asked.pop()

    number = open_named(path, patient)
    assert os.get_blocking(number)
    write(number)
    with os.fdopen(readers[0], "rb") as file:
        assert file.read() == b"new"
    with pytest.raises(PortError, match=f"^nobody reads {path}") as raised:
        open_named(path, asked.pop)
    assert raised.value.remedy
    assert not asked


@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
def test_a_link_of_ones_own_is_followed(tmp_path: Path, there: bool) -> None:
    """The file that it leads to is written, and made where there is none."""
    path, target = tmp_path / "x", tmp_path / "target"
    path.symlink_to("target")
    if there:
        target.write_bytes(b"older and longer")
    write(open_named(path))
    assert path.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_link_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leads to stays as it is, and the error says what to do."""
    path, target = tmp_path / "x", tmp_path / "target"
    target.write_bytes(b"precious")
    path.symlink_to(target)
    give_away(path, monkeypatch)
    with pytest.raises(PortError, match=f"{path} is a link of user") as raised:
        open_named(path)
    assert raised.value.remedy
    assert target.read_bytes() == b"precious"


def test_a_link_that_is_exchanged_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it leads elsewhere for the moment of the opening, what it leads to then stays as it is."""
    path, target = tmp_path / "x", tmp_path / "target"
    path.symlink_to("mine")
    (tmp_path / "mine").touch()
    target.write_bytes(b"precious")
    opened = os.open

    def exchanged(name: Path, flags: int, mode: int) -> int:
        path.unlink()
        path.symlink_to(target)
        number = opened(name, flags, mode)
        path.unlink()
        path.symlink_to("mine")
        return number

    monkeypatch.setattr(os, "open", exchanged)
    with pytest.raises(PortError, match="exchanged"):
        open_named(path)
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("link", [True, False], ids=["link", "file"])
def test_what_has_the_name_of_a_numbered_file_gives_way(tmp_path: Path, link: bool) -> None:
    """A name that can be foretold is made anew: no link is followed, who has the old file reads nothing."""
    target, first = tmp_path / "target", tmp_path / "x-00001.pcap"
    target.write_bytes(b"precious")
    if link:
        first.symlink_to(target)
    else:
        first.hardlink_to(target)
    Recorder(tmp_path / "x.pcap", rotation=Rotation(size=100_000)).close()
    assert target.read_bytes() == b"precious"
    assert stat.S_IFMT(first.lstat().st_mode) == stat.S_IFREG
    assert stat.S_IMODE(first.lstat().st_mode) == 0o600


@pytest.mark.parametrize("make", [open_new, open_named])
def test_what_cannot_be_written_is_named(tmp_path: Path, make: Callable[[Path], int]) -> None:
    """A folder in the place of a file, or none to put it in, is an error with the path."""
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "nothing" / "x"):
        with pytest.raises(PortError, match=f"cannot be written to {path}"):
            make(path)


@pytest.mark.parametrize(("name", "remedy"), [("absent/x", "make the folder"), ("", "a file in that folder")])
def test_what_to_do_is_told(tmp_path: Path, name: str, remedy: str) -> None:
    """A name that cannot be written to is an error that says what to do."""
    with pytest.raises(PortError, match="cannot be written to") as caught:
        open_named(tmp_path / name)
    assert remedy in str(caught.value.remedy)
