"""Many cables in one process, to see what one more costs. Run as ``python -m vecwire.bench.many``.

Arguments are specs, two for each cable. For each line on its input it prints, as JSON, how many frames have
been sent so far on all of them.
"""

import contextlib
import json
import sys

from vecwire.switch import Cable
from vecwire.transports import open_port


def main(specs: list[str]) -> None:
    """Joins the specs two by two, and answers until its input ends."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(open_port(spec)) for spec in specs]
        for first, second in zip(ports[::2], ports[1::2], strict=True):
            stack.enter_context(Cable(first, second))
        _say("ready")
        for _ in sys.stdin:
            stats = [port.stats for port in ports]
            _say(
                json.dumps(
                    {
                        "tx_frames": sum(each.tx_frames for each in stats),
                        "dropped": sum(each.rx_dropped + each.tx_dropped for each in stats),
                    }
                )
            )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
