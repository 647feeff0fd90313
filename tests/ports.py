"""Free ports for servers that take theirs only later."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """Return a port nobody uses, over UDP or TCP, and that no connection is given as its own end.

    Servers and connections that leave the choice to the machine get theirs from above these: one
    of them could take a port from there before whoever it is meant for has started.
    """
    while True:
        port = random.randrange(12_000, 20_000)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            suppress(OSError),
        ):
            datagrams.bind(("127.0.0.1", port))
            stream.bind(("127.0.0.1", port))
            return port
