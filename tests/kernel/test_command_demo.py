"""`vecwire demo` in real runs: it works, and leaves the machine as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from peers.background import Background
from peers.command import ordinary, users_may_have_namespaces, vecwire_command
from peers.net import Namespace, wait_until
from vecwire.demo.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEMO = vecwire_command("demo", "--json", "--duration", "0.2")
#: Who runs it: the command around it, and whether there are taps and a user namespace then.
USERS: dict[str, tuple[Callable[[list[str]], list[str]], bool, bool]] = {
    "root": (lambda argv: argv, True, False),
    "user": (lambda argv: ordinary(argv, tun=True), True, True),
    "user-without-tun": (ordinary, False, True),
}


@dataclass(frozen=True)
class Place:
    """Where a demo runs: a namespace, an empty folder, and a mark in the environment of its processes."""

    host: Namespace
    folder: Path
    mark: str

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a demo."""
        return {
            **os.environ,
            "VECWIRE_TEST_MARK": self.mark,
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
        }

    def run(self, argv: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """A command that has ended."""
        return subprocess.run(
            self.host.command(argv),
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
            cwd=self.folder,
            env={**self.environment, **environment},
        )

    def left(self) -> dict[str, list[str]]:
        """What is there of links, files and marked processes."""
        links = json.loads(self.host.run(["ip", "-json", "link"]).stdout)
        return {
            "links": [link["ifname"] for link in links],
            "files": os.listdir(self.folder),  # noqa: PTH208 names, not paths
            "processes": [
                str(each.parent)
                for each in Path("/proc").glob("[0-9]*/environ")
                if f"VECWIRE_TEST_MARK={self.mark}".encode() in _contents(each)
            ],
        }


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended meanwhile


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A namespace to run demos in."""
    with Namespace("host") as host:
        yield host


@pytest.fixture
def place(host: Namespace, tmp_path: Path) -> Iterator[Place]:
    """A place that is after the test as it was before."""
    place = Place(host, tmp_path, uuid.uuid4().hex)
    before = place.left()
    yield place
    wait_until(lambda: place.left() == before, timeout=5, what="nothing is left")


def skip_unless_possible(users: bool) -> None:
    """Skips what needs user namespaces where there are none."""
    if users and not users_may_have_namespaces():
        pytest.skip("ordinary users may not make user namespaces on this host")


@pytest.mark.parametrize("who", USERS)
def test_it_pings_and_moves_tcp(place: Place, who: str) -> None:
    """Every ping is answered, the longest packets' too; TCP moves both ways; no frame is dropped as bad."""
    wrap, taps, users = USERS[who]
    skip_unless_possible(users)
    done = place.run(wrap(DEMO))
    assert (done.returncode, done.stderr) == (0, "")
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    (plan,) = (event for event in events if event["event"] == "plan")
    assert (plan["taps"], plan["user_namespace"], plan["mtu"]) == (taps, users, 1450)
    pings = [event for event in events if event["event"] == "ping"]
    assert [(ping["octets"], ping["received"]) for ping in pings] == [(84, 10), (1450, 10)]
    tcp = [event for event in events if event["event"] == "tcp"]
    assert [(each["from"], each["to"]) for each in tcp] == [("h1", "h2"), ("h2", "h1")]
    assert all(each["octets"] > 0 for each in tcp)
    assert events[-1]["event"] == "end"
    for port in events[-1]["ports"]:
        assert port["counters"]["rx_frames"] > 20
        assert not any(value for name, value in port["counters"].items() if name.startswith("rx_bad"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["hosts", "access", "cables", "ping", "tcp"])
def test_it_can_be_stopped_at_any_moment(place: Place, moment: str, number: signal.Signals) -> None:
    """Interrupted in any step, or killed, it leaves nothing behind."""
    argv = place.host.command(vecwire_command("demo", "--json", "--duration", "30"))
    with Background(argv, name="demo", env=place.environment) as demo:
        demo.wait_for(
            lambda out, _err: f'"step": "{moment}"' in out or None, timeout=10, what=f"the step {moment}"
        )
        demo.process.send_signal(number)
        status = demo.wait()
    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 1)


def test_no_namespace_gets_a_name_and_no_file_is_written(place: Place) -> None:
    """In a /run of its own, and in the folders for temporary files and of the user, it leaves nothing."""
    script = 'mount -t tmpfs tmpfs /run && "$@" && find /run -mindepth 1'
    done = place.run(["unshare", "--mount", "sh", "-c", script, "sh", *DEMO])
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith('{"event": "end"')


def test_where_nothing_is_allowed_it_says_what_to_do(place: Place) -> None:
    """Without privileges and without user namespaces the exit code is 77, with the remedy."""
    unprivileged = "setpriv --bounding-set=-all --inh-caps=-all"
    script = f'echo 0 > /proc/sys/user/max_user_namespaces; exec {unprivileged} "$@"'
    # The setting counts for the user namespace that it is written in, and is gone with it.
    done = place.run(["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", *DEMO])
    assert done.returncode == 77
    assert "remedy: as root: sysctl -w user.max_user_namespaces" in done.stderr


def test_in_a_pipe_it_is_text_that_ends_with_the_commands(place: Place) -> None:
    """Each step is a line with its result; the commands to paste come last, whole."""
    done = place.run(vecwire_command("demo", "--duration", "0.2"))
    assert (done.returncode, done.stderr) == (0, "")
    text, _, commands = done.stdout.partition("The same by hand:\n\n")
    assert "ping from h1 to h2: 84 octets: 10 of 10 answered" in text
    assert "TCP from h2 to h1: " in text
    assert commands.splitlines() == Plan().commands()


def test_on_a_terminal_it_is_drawn_in_place(place: Place) -> None:
    """On a terminal steps, results and counters are drawn live, and the cursor comes back."""
    script = f"import pty, sys; sys.exit(pty.spawn({vecwire_command('demo', '--duration', '0.3')!r}) >> 8)"
    done = place.run([sys.executable, "-c", script], TERM="xterm-256color", COLUMNS="100", LINES="50")
    assert done.returncode == 0
    assert done.stdout.count("\x1b[?25l") == done.stdout.count("\x1b[?25h") == 1
    assert done.stdout.count("h1 l2tpv3") > 2
    assert "The same by hand:" in done.stdout


@pytest.mark.parametrize("who", USERS)
def test_the_commands_do_the_same_by_hand(who: str, tmp_path: Path) -> None:
    """Pasted into a shell, the commands that are printed build the same, ping through it, and undo it."""
    wrap, taps, users = USERS[who]
    skip_unless_possible(users)
    folder = _tools(tmp_path)
    script = "\n".join([*Plan(taps=taps, users=users).commands(), "exit", ""])
    # Names of namespaces are seen by everyone who shares /run: this shell's is its own.
    shell = f"PATH={folder}:$PATH SHELL={folder}/shell exec bash --noprofile --norc -e"
    private = f"mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns; {shell}"
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    inner = ["sh", "-c", shell if users else private]
    done = subprocess.run(
        [*argv, *wrap(inner)], input=script, capture_output=True, check=False, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ready\n") == 2, done.stderr
    assert ", 3 received," in done.stdout
    assert done.stderr == ""


def _tools(folder: Path) -> Path:
    """A folder that everyone can look into, with `vecwire` and a shell that reads no profile."""
    for path in (folder, *folder.parents[:-1]):
        if path.owner() == "root" and path.is_relative_to(folder.parents[-3]):
            path.chmod(0o755)
    for name, line in {
        "vecwire": f'exec {sys.executable} -m vecwire "$@"',
        "shell": "exec bash --noprofile --norc -e",
    }.items():
        tool = folder / name
        tool.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        tool.chmod(0o755)
    return folder
