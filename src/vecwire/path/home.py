"""Keeps a busy thread on one processor, for a while at a time.

Theory of operation: a thread that sleeps and is woken thousands of times a second is put now here, now there
by the scheduler. What it sends then waits in the queues of two processors, and arrives out of order; and what
it has in its cache stays behind. So a thread through which much flows stays where it is for a while
(sched_setaffinity(2)). Then it is free for some receptions, so that the scheduler may choose another place
for it, and stays there.

Much flows where frames come several at a time, in quick succession: single round trips are served soonest
where the scheduler puts them. A thread that has nothing to do is free. So is one that may run on one
processor only. Whoever changes its processors while it stays (taskset(1)) has the last word.
"""

import cython
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.vecwire.path.clock import now
from cython.cimports.vecwire.path.home import Home
from cython.cimports.vecwire.path.linux import (
    CPU_COUNT,
    CPU_ISSET,
    CPU_SET,
    CPU_ZERO,
    cpu_set_t,
    sched_getaffinity,
    sched_getcpu,
    sched_setaffinity,
)

# Nanoseconds that it stays; and those that it is watched for at the most, until so many receptions are over
# or so many frames have come.
STAY = cython.declare(uint64_t, 20_000_000)
SHORT = cython.declare(uint64_t, 4_000_000)
RECEPTIONS = cython.declare(uint32_t, 32)
FRAMES = cython.declare(uint32_t, 512)
# Frames in as many receptions above which they come several at a time.
SEVERAL = cython.declare(uint32_t, 40)


def leave(home: cython.pointer[Home]) -> cython.void:
    """Lets the scheduler choose again."""
    found: cpu_set_t
    if home.cpu < 0:
        return
    # Whoever has changed it meanwhile has the last word.
    if (
        sched_getaffinity(0, cython.sizeof(cpu_set_t), cython.address(found)) == 0
        and CPU_COUNT(cython.address(found)) == 1
        and CPU_ISSET(home.cpu, cython.address(found))
    ):
        sched_setaffinity(0, cython.sizeof(cpu_set_t), cython.address(home.free))
    home.cpu = -1


def settle(home: cython.pointer[Home], frames: uint32_t) -> cython.void:
    """Takes note of a reception: has a busy thread stay, and frees it when it has stayed for long enough."""
    chosen: cpu_set_t
    home.count += 1
    home.frames += frames
    if home.count < RECEPTIONS and home.frames < FRAMES:
        return
    moment: uint64_t = now()
    much: cython.bint = home.frames >= SEVERAL and moment - home.since < SHORT
    home.count = 0
    home.frames = 0
    if home.cpu >= 0:
        if moment - home.since > STAY:
            leave(home)
            home.since = moment
        return
    cpu: cython.int = sched_getcpu()
    if (
        much
        and cpu >= 0
        and sched_getaffinity(0, cython.sizeof(cpu_set_t), cython.address(home.free)) == 0
        and CPU_COUNT(cython.address(home.free)) > 1
    ):
        CPU_ZERO(cython.address(chosen))
        CPU_SET(cpu, cython.address(chosen))
        if sched_setaffinity(0, cython.sizeof(cpu_set_t), cython.address(chosen)) == 0:
            home.cpu = cpu
    home.since = moment
