"""Log records as a test wants them."""

import logging


def record(message, *args, level=logging.INFO, name="mesh.links", created=1_800_000_000.25, **extra):
    made = logging.LogRecord(name, level, "file.py", 1, message, args, None)
    made.created = created
    made.__dict__.update(extra)
    return made
