"""How much work a mesh may do: the figures of the present, and how far above them is too far.

The figures do not depend on the machine. To see those of the code as it is, in a form to be pasted here:

    python -m pytest tests/work -rP

When the code gets better, lower the figures. When a test fails, find out what does more than before; raise a
figure only for something that is worth it, with the reason in the commit.
"""

from typing import Final

from tests.work.counting import Counts

SLACK: Final = 1.15
"""A figure may be so many times what stands here."""

MARGIN: Final = 0.05
"""And this much more, so that a figure that is next to nothing has room too."""

WHAT: Final = {
    "turns": "An actor's mailbox was run, or a socket told its actor. Fewer: tell less, have fewer actors.",
    "messages": "Envelopes that actors took. Fewer: send one message for what happens together.",
    "socket calls": "On simulated sockets: reads, sends, accepts, connects, closes, also idle ones.",
    "watch changes": "Readiness switched on or off (epoll_ctl). Fewer: leave it on, or do without.",
    "timers": "Timers scheduled. Fewer: one for several purposes, or none where nothing can time out.",
    "bytes sent": "On all its sockets. Above what is carried: headers, control frames, handshakes.",
    "system calls": "On real sockets and their epoll; not epoll_wait. The test lists each call by name.",
    "seals and openings": "Of AEAD, by links and sessions. Fewer: fewer frames, or those of a turn as one.",
    "bytes sealed and opened": "2 for each byte carried means sealed once, opened once; more is overhead.",
    "X25519 operations": "Of handshakes. Each costs some 40 us.",
    "held bytes": "Allocated by the product's code and kept while a connection is open, at all agents.",
    "held blocks": "The same, counted in allocations.",
}
"""Each kind of figure: how it is measured, and what lowers it."""

PRESENT: Final[dict[str, Counts]] = {
    # One after another in a simulated world: opened, 64 bytes each way, ended in order by both sides.
    "a connection": {
        # OPEN and ACCEPT are of one size whatever they say, early data included, and sealed on each link. The
        # client speaks a hop after it came, so it is listened for: two timers and two watch changes.
        ("all", "X25519 operations"): 0.00,
        ("all", "bytes sealed and opened"): 11499.68,
        ("all", "seals and openings"): 29.64,
        ("branch", "messages"): 12.06,
        ("branch", "bytes sent"): 1536.60,
        ("branch", "socket calls"): 12.08,
        ("branch", "timers"): 4.04,
        ("branch", "turns"): 18.10,
        ("branch", "watch changes"): 4.00,
        ("hq", "messages"): 8.06,
        ("hq", "bytes sent"): 1557.60,
        ("hq", "socket calls"): 11.08,
        ("hq", "timers"): 2.06,
        ("hq", "turns"): 13.10,
        ("hq", "watch changes"): 1.00,
        ("relay", "messages"): 4.12,
        ("relay", "bytes sent"): 2945.20,
        ("relay", "socket calls"): 8.16,
        ("relay", "timers"): 0.04,
        ("relay", "turns"): 8.20,
        ("relay", "watch changes"): 0.00,
    },
    # One connection carries 16 MiB from its client. Bytes of ciphers and sockets: for each byte carried.
    "a MiB up": {
        ("all", "X25519 operations"): 0.50,
        ("all", "bytes sealed and opened"): 2.01,
        ("all", "seals and openings"): 122.12,
        ("branch", "messages"): 24.06,
        ("branch", "bytes sent"): 1.00,
        ("branch", "socket calls"): 36.12,
        ("branch", "timers"): 0.19,
        ("branch", "turns"): 43.88,
        ("branch", "watch changes"): 1.25,
        ("hq", "messages"): 36.88,
        ("hq", "bytes sent"): 1.00,
        ("hq", "socket calls"): 52.69,
        ("hq", "timers"): 0.12,
        ("hq", "turns"): 69.25,
        ("hq", "watch changes"): 0.06,
        ("relay", "messages"): 20.31,
        ("relay", "bytes sent"): 1.00,
        ("relay", "socket calls"): 56.12,
        ("relay", "timers"): 0.00,
        ("relay", "turns"): 56.12,
        ("relay", "watch changes"): 0.00,
    },
    # The same towards its client.
    "a MiB down": {
        ("all", "X25519 operations"): 0.50,
        ("all", "bytes sealed and opened"): 2.01,
        ("all", "seals and openings"): 122.12,
        ("branch", "messages"): 36.75,
        ("branch", "bytes sent"): 1.00,
        ("branch", "socket calls"): 52.75,
        ("branch", "timers"): 0.19,
        ("branch", "turns"): 69.06,
        ("branch", "watch changes"): 0.25,
        ("hq", "messages"): 24.00,
        ("hq", "bytes sent"): 1.00,
        ("hq", "socket calls"): 39.75,
        ("hq", "timers"): 0.12,
        ("hq", "turns"): 43.69,
        ("hq", "watch changes"): 1.19,
        ("relay", "messages"): 20.25,
        ("relay", "bytes sent"): 1.00,
        ("relay", "socket calls"): 56.00,
        ("relay", "timers"): 0.00,
        ("relay", "turns"): 56.00,
        ("relay", "watch changes"): 0.00,
    },
    # Nobody is connected; branch and hq have one peer each, relay has two.
    "an idle second": {
        ("all", "X25519 operations"): 0.00,
        ("all", "bytes sealed and opened"): 1184.00,
        ("all", "seals and openings"): 32.00,
        ("branch", "messages"): 3.15,
        ("branch", "bytes sent"): 180.00,
        ("branch", "socket calls"): 4.00,
        ("branch", "timers"): 1.00,
        ("branch", "turns"): 5.15,
        ("branch", "watch changes"): 0.00,
        ("hq", "messages"): 3.15,
        ("hq", "bytes sent"): 180.00,
        ("hq", "socket calls"): 4.00,
        ("hq", "timers"): 1.00,
        ("hq", "turns"): 5.15,
        ("hq", "watch changes"): 0.00,
        ("relay", "messages"): 6.10,
        ("relay", "bytes sent"): 360.00,
        ("relay", "socket calls"): 8.00,
        ("relay", "timers"): 2.00,
        ("relay", "turns"): 10.10,
        ("relay", "watch changes"): 0.00,
    },
    # It has carried 64 bytes each way and is left alone; bytes and blocks by tracemalloc.
    "an open connection": {
        ("all", "held blocks"): 146.50,
        ("all", "held bytes"): 11788.74,
    },
    # As the open one, but ended in order, ten seconds later. A table that grows meanwhile takes many bytes
    # but one block: it is blocks that would show what every connection leaves behind. Of the 160 blocks that
    # 200 connections leave, 140 are there after 100 as well: the connection that stands by for the next
    # client, and what the journals say of the last one.
    "an ended connection": {
        ("all", "held blocks"): 0.80,
        ("all", "held bytes"): 1000.00,
    },
    # As the first, but three agents on real sockets of one process.
    "a connection's calls": {
        ("branch", "system calls"): 14.20,
        (
            "hq",
            "system calls",
        ): 23.02,  # eight options of the target's socket; a client's come from its listener
        ("relay", "system calls"): 8.04,
    },
}
"""By what is looked at: the comments say how it is made, ``WHAT`` how each kind of figure is counted."""


def complaints(section: str, found: Counts) -> list[str]:
    """What is above its bound, a line each; also what has no bound, or was not found."""
    bounds = PRESENT.get(section, {})
    lines = [f"{key}: has no figure in tests/work/bounds.py" for key in found.keys() - bounds.keys()]
    lines += [f"{key}: was not counted" for key in bounds.keys() - found.keys()]
    for key in bounds.keys() & found.keys():
        most = bounds[key] * SLACK + MARGIN
        if found[key] > most:
            lines.append(f"{key}: {found[key]:.2f}, at most {most:.2f}. {WHAT[key[1]]}")
    return sorted(lines)


def table(section: str, found: Counts) -> str:
    """The figures as they are written here."""
    lines = [f'    ("{agent}", "{what}"): {count:.2f},' for (agent, what), count in sorted(found.items())]
    return "\n".join([f'"{section}": {{', *lines, "},"])
