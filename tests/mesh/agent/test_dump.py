"""What SIGUSR1 prints of actors that are called after what others say."""

import contextlib
import os
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
