"""The bench's own C program: it offers frames at a rate, and it is the loop that vecwire is held against.

``send`` puts frames on an interface as fast as is asked; it is the load for every contender alike.
``forward`` is what a C programmer would write in an afternoon: two packet sockets, poll(2), recvmmsg(2) and
sendmmsg(2).
"""

import shutil
import subprocess
from pathlib import Path

from vecwire.errors import PortError

#: What programs begin with that move frames by packet sockets.
PREAMBLE = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#define LONGEST 2048
#define MOST 1024

static int fail(const char *what)
{
    perror(what);
    exit(1);
}

/* A packet socket on one interface, protocol 0 for one that only sends. */
static int packet_socket(const char *name, int receives)
{
    int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1, size = 4 << 20;
    struct sockaddr_ll address = {.sll_family = AF_PACKET};

    if (fd < 0)
        fail("socket");
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    address.sll_ifindex = (int)if_nametoindex(name);
    address.sll_protocol = receives ? htons(ETH_P_ALL) : 0;
    if (!address.sll_ifindex || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail(name);
    return fd;
}

static void send_all(int fd, struct mmsghdr *messages, int count)
{
    int done = 0;

    while (done < count) {
        int sent = sendmmsg(fd, messages + done, (unsigned)(count - done), MSG_DONTWAIT);

        done += sent > 0 ? sent : 1; /* what is refused is lost */
    }
}

"""

SOURCE = (
    PREAMBLE
    + r"""
static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* forward IF IF DEPTH: moves frames both ways until it is killed. */
static int forward(char **names, unsigned depth)
{
    static struct mmsghdr messages[MOST];
    static struct iovec vectors[MOST];
    struct pollfd ready[2];
    char *memory = malloc((size_t)depth * LONGEST);

    if (!memory)
        fail("malloc");
    for (int i = 0; i < 2; i++)
        ready[i] = (struct pollfd){.fd = packet_socket(names[i], 1), .events = POLLIN};
    for (unsigned i = 0; i < depth; i++) {
        vectors[i].iov_base = memory + (size_t)i * LONGEST;
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (poll(ready, 2, -1) < 0 && errno != EINTR)
            fail("poll");
        for (int from = 0; from < 2; from++) {
            int got;

            if (!(ready[from].revents & POLLIN))
                continue;
            for (unsigned i = 0; i < depth; i++)
                vectors[i].iov_len = LONGEST;
            got = recvmmsg(ready[from].fd, messages, depth, MSG_DONTWAIT, NULL);
            for (int i = 0; i < got; i++)
                vectors[i].iov_len = messages[i].msg_len;
            send_all(ready[!from].fd, messages, got);
        }
    }
}

/* send IF RATE BURST SECONDS < FRAMES: a length of two octets before each; BURST of each in turn. */
static int send_frames(const char *name, double rate, unsigned burst, double seconds)
{
    static struct mmsghdr messages[MOST];
    static struct iovec vectors[MOST];
    static char *frames[MOST];
    static unsigned lengths[MOST];
    unsigned char head[2];
    unsigned count = 0, turn = 0;
    unsigned long sent = 0, refused = 0;
    int fd = packet_socket(name, 0);
    double start, moment, due;

    while (count < MOST && fread(head, 1, 2, stdin) == 2) {
        lengths[count] = (unsigned)head[0] << 8 | head[1];
        frames[count] = malloc(lengths[count]);
        if (!frames[count] || fread(frames[count], 1, lengths[count], stdin) != lengths[count])
            fail("frames");
        count++;
    }
    if (!count || burst < 1 || burst > MOST)
        fail("nothing to send");
    for (unsigned i = 0; i < burst; i++) {
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    puts("ready");
    fflush(stdout);
    start = due = now();
    while ((moment = now()) - start < seconds) {
        unsigned done = 0;

        if (rate > 0) {
            if (moment < due)
                continue; /* it has a processor of its own: sleeping would be less exact */
            due += burst / rate;
            if (due < moment - 0.01)
                due = moment; /* what a pause has cost is not made up for */
        }
        for (unsigned i = 0; i < burst; i++)
            vectors[i] = (struct iovec){frames[turn], lengths[turn]};
        turn = (turn + 1) % count;
        while (done < burst) {
            int taken = sendmmsg(fd, messages + done, burst - done, MSG_DONTWAIT);

            if (taken > 0)
                sent += (unsigned)taken;
            else
                refused++;
            done += taken > 0 ? (unsigned)taken : 1;
        }
    }
    printf("{\"sent\": %lu, \"refused\": %lu, \"seconds\": %f}\n", sent, refused, now() - start);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "forward"))
        return forward(argv + 2, (unsigned)atoi(argv[4]) % (MOST + 1));
    if (argc == 6 && !strcmp(argv[1], "send"))
        return send_frames(argv[2], atof(argv[3]), (unsigned)atoi(argv[4]), atof(argv[5]));
    fprintf(stderr, "usage: forward IF IF DEPTH | send IF RATE BURST SECONDS < FRAMES\n");
    return 2;
}
"""
)


def compiler() -> str | None:
    """The system's C compiler, or None."""
    return next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


def compile_helper(folder: Path) -> Path:
    """Compiles the program into a folder and returns its path.

    Raises:
        PortError: There is no compiler, or it failed.
    """
    return compile_source(SOURCE, folder / "helper")


def compile_source(text: str, program: Path) -> Path:
    """Compiles C into a program and returns its path; the text is kept beside it.

    Raises:
        PortError: There is no compiler, or it failed.
    """
    found = compiler()
    if found is None:
        raise PortError("there is no C compiler", remedy="as root: apt-get install gcc libc6-dev")
    source = program.with_suffix(".c")
    source.write_text(text, encoding="ascii")
    done = subprocess.run(  # noqa: S603 # the system's compiler, and our own text
        [found, "-O2", "-Wall", "-o", str(program), str(source)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PortError(f"the bench's C program does not compile: {done.stderr.strip()}")
    return program
