"""Strangers from many addresses of loopback that begin handshakes and hang; runs as a process of its own.

python crowd.py PORT CONNECTIONS_PER_S ADDRESSES SECONDS OPENING_IN_HEX

With 0 addresses they come from where everybody on this machine does.
"""

import contextlib
import socket
import sys
import time
from collections import deque

MOST_OPEN = 3000
IP_BIND_ADDRESS_NO_PORT = 24
TICK_S = 0.01
STALL_S = 0.1


def main(port, rate, addresses, seconds, opening):
    began = time.monotonic()
    held, fresh, made = deque(), [], 0
    while (elapsed := time.monotonic() - began) < seconds:
        made = max(
            made, int((elapsed - STALL_S) * rate)
        )  # a machine that stalled is not asked for all at once
        while made < elapsed * rate:
            made += 1
            stranger = socket.socket()
            stranger.setblocking(False)
            stranger.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            try:
                if addresses:
                    number = made % addresses
                    stranger.bind((f"127.0.{1 + number // 250}.{2 + number % 250}", 0))
                stranger.connect_ex(("127.0.0.1", port))
            except OSError:
                stranger.close()
                continue
            held.append(stranger)
            fresh.append(stranger)
        for stranger in fresh:
            with contextlib.suppress(OSError):
                stranger.send(opening)
        fresh.clear()
        while len(held) > MOST_OPEN:
            held.popleft().close()
        time.sleep(TICK_S)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), bytes.fromhex(sys.argv[5]))
