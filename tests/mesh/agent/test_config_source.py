"""A configuration that is read again, of an agent that cannot wait."""

import os
import stat

import pytest

from mesh.agent import config_source
from mesh.agent.config_source import ConfigSource
from mesh.config import ConfigError


def test_a_file_is_read_again(tmp_path):
    path = tmp_path / "config.yaml"
    source = ConfigSource(path, {})
    for level in ("debug", "error"):
        path.write_text(f"logging: {{level: {level}}}\n")
        assert source.read_again().config.logging.level == level
    path.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        source.read_again()


@pytest.mark.timeout(20)
def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ConfigError, match="expected a file that the agent can read again"):
            ConfigSource(path, {}).read_again()


@pytest.mark.timeout(20)
def test_a_pipe_that_is_put_there_meanwhile_is_refused_at_once(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text("")
    opened = os.open

    def swapped(what, *args):
        if what == path and not stat.S_ISFIFO(path.stat().st_mode):
            path.unlink()
            os.mkfifo(path)
        return opened(what, *args)

    monkeypatch.setattr(config_source.os, "open", swapped)
    with pytest.raises(ConfigError, match="expected a file that the agent can read again"):
        ConfigSource(path, {}).read_again()


@pytest.mark.timeout(20)
def test_a_file_that_has_nothing_for_now_is_refused_at_once(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text("")

    def nothing_yet(descriptor, count):
        assert not os.get_blocking(descriptor)
        raise BlockingIOError(11, "Resource temporarily unavailable")  # as /proc/kmsg

    monkeypatch.setattr(config_source.os, "read", nothing_yet)
    with pytest.raises(ConfigError, match="temporarily unavailable"):
        ConfigSource(path, {}).read_again()
