"""Giving up privileges beside threads, and what another process's namespace takes."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from peers.net import Namespace, veth, wait_until


def child(body: str) -> Any:
    """What a process tells in JSON that runs the body."""
    command = [sys.executable, "-c", textwrap.dedent(body)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_threads_that_have_just_ended_are_waited_for() -> None:
    """Opening in a namespace uses a thread; right after it, again and again, privileges can be given up."""
    told = child("""
        import json
        from concurrent.futures import ThreadPoolExecutor
        from vecwire.service.privileges import keep

        for _ in range(50):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(int).result()
            left = keep({"CAP_NET_RAW"})
        print(json.dumps(sorted(left.effective)))
    """)
    assert told == ["CAP_NET_RAW"]


def test_a_thread_of_compiled_code_is_seen() -> None:
    """A thread that Python does not know of would keep everything: nothing is given up beside it."""
    told = child("""
        import ctypes, json, os
        from vecwire.confine.capabilities import Privileges
        from vecwire.service.privileges import keep

        libc = ctypes.CDLL(None)
        thread, sleep = ctypes.c_ulong(), ctypes.cast(libc.sleep, ctypes.c_void_p)
        assert libc.pthread_create(ctypes.byref(thread), None, sleep, ctypes.c_void_p(600)) == 0
        before = Privileges.read()
        try:
            keep(set())
        except RuntimeError as error:
            print(json.dumps([str(error), Privileges.read() == before]), flush=True)
        os._exit(0)
    """)
    assert "before threads are started" in told[0]
    assert told[1] is True


def test_threads_that_come_later_have_no_more() -> None:
    """A thread that is started afterwards has what was kept."""
    told = child("""
        import json
        from concurrent.futures import ThreadPoolExecutor
        from vecwire.confine.capabilities import Privileges
        from vecwire.service.privileges import keep

        left = keep({"CAP_NET_RAW"})
        with ThreadPoolExecutor(1) as pool:
            print(json.dumps(pool.submit(Privileges.read).result() == left))
    """)
    assert told is True


@pytest.mark.parametrize("given_up", ["", "CAP_SYS_PTRACE"])
def test_the_namespace_of_another_process_takes_one_more(given_up: str) -> None:
    """A namespace by its path below /proc, of a process with more rights, is entered with CAP_SYS_PTRACE."""
    with Namespace("privileges", ipv6=False) as lab:
        veth((lab, "left0"), (lab, "right0"))
        with lab.popen(["sleep", "600"]) as sleeper:
            inside = Path(f"/proc/{sleeper.process.pid}/ns/net")
            wait_until(lambda: inside.samefile(lab.path), timeout=10, what="the process is in the namespace")
            told = child(f"""
                import json
                import vecwire
                from vecwire.errors import UnsupportedError
                from vecwire.service.privileges import keep, needed

                spec = vecwire.parse("raw,ifname=left0,netns={inside}")
                keep(needed([spec]) - {{{given_up!r}}})
                try:
                    vecwire.open(str(spec)).close()
                    print(json.dumps(True))
                except UnsupportedError:
                    print(json.dumps(False))
            """)
    assert told is (not given_up)
