"""What SIGUSR1 prints of actors that are called after what others say."""

import contextlib
import fcntl
import os
import threading
from pathlib import Path
from typing import TextIO

import pykka
import pytest

from mesh.agent.dump import dump

HOSTILE = "\x1b]0;owned\x07\n2026-01-01 critical agent: forged\u202e"


class Named(pykka.ThreadingActor):
    def __str__(self) -> str:
        return f"ExitConnection({HOSTILE})"


def test_what_others_say_forges_no_line_and_drives_no_terminal(tmp_path: Path):
    ref = Named.start()
    try:
        with (tmp_path / "dump").open("w+", encoding="utf-8") as stream:
            dump(stream)
            stream.seek(0)
            lines = stream.read().splitlines()
    finally:
        ref.stop()
    [line] = [line for line in lines if "owned" in line]
    assert ref.actor_urn in line
    assert "forged" in line
    assert all(line.replace("\t", " ").isprintable() for line in lines)


def test_a_dump_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Named, "__str__", lambda _: "x" * 1_000_000)
    ref = Named.start()
    try:
        with (tmp_path / "dump").open("w+", encoding="utf-8") as stream:
            dump(stream)
            assert stream.tell() < 100_000
    finally:
        ref.stop()


def full_disk() -> TextIO:
    return Path("/dev/full").open("w", encoding="utf-8")


def pipe_without_a_reader() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


@pytest.mark.parametrize("make", [full_disk, pipe_without_a_reader])
def test_a_stream_that_takes_nothing_fails_no_dump(make):
    stream = make()
    try:
        with pytest.raises(OSError, match=r"space|pipe"):
            print("a line", file=stream, flush=True)
        dump(stream)
    finally:
        with contextlib.suppress(OSError):  # of what it still holds
            stream.close()


def test_without_a_standard_error_nothing_is_dumped():
    dump(None)


def test_a_reader_that_has_stopped_reading_holds_up_nobody():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        os.write(writer, b"x" * 4096)
        dump(stream)  # and no join with the test's end: it would wait for ever
        [stuck] = [thread for thread in threading.enumerate() if thread.name == "dump"]
        assert stuck.daemon
        os.close(reader)
        stuck.join(10.0)
        assert not stuck.is_alive()


def test_each_thread_is_named_with_its_stack(tmp_path: Path):
    with (tmp_path / "dump").open("w+", encoding="utf-8") as stream:
        dump(stream)
        stream.seek(0)
        text = stream.read()
    assert "Thread MainThread (innermost call last):" in text
    assert f'File "{__file__}"' in text
    assert text.endswith("=== end of the dump\n")
