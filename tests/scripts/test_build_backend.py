"""What is compiled when the package is built, and what is said of it."""

import importlib
import os
import sys

import pytest
from setuptools import build_meta

from scripts.lab.processes import ROOT


@pytest.fixture
def backend(monkeypatch):
    """As ``pip`` calls it, where there is a C compiler; what Setuptools is asked for is not done."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    found = importlib.import_module("build_backend")
    monkeypatch.delenv(found.VARIABLE, raising=False)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(found, "TESTED_ON", sys.version_info[:2])
    monkeypatch.setattr(found.c_compiler, "has_compiler", lambda: True)
    monkeypatch.setattr(build_meta, "build_wheel", lambda *_: os.environ[found.VARIABLE])
    monkeypatch.setattr(build_meta, "get_requires_for_build_wheel", lambda *_: [os.environ[found.VARIABLE]])
    return found


def test_a_package_is_compiled_where_that_can_be(backend):
    assert backend.get_requires_for_build_wheel() == ["1"]
    assert backend.build_wheel("there") == "1"


@pytest.mark.parametrize("value", ["0", "1"])
def test_who_has_said_what_is_wanted_gets_it(backend, monkeypatch, value):
    monkeypatch.setenv(backend.VARIABLE, value)
    monkeypatch.setattr(backend.c_compiler, "has_compiler", lambda: value == "0")
    assert backend.get_requires_for_build_wheel() == [value]
    assert backend.build_wheel("there") == value


def test_without_a_compiler_the_core_stays_interpreted_and_one_line_says_so(backend, monkeypatch, capsys):
    monkeypatch.setattr(backend.c_compiler, "has_compiler", lambda: False)
    assert backend.build_wheel("there") == "0"
    why = "there is no C compiler here, or no Python.h (Debian: gcc, python3-dev)"
    assert capsys.readouterr().err == f"the core stays interpreted: {why}\n"


def test_the_line_names_a_compiler_that_was_chosen_and_is_none(backend, monkeypatch, capsys):
    monkeypatch.setattr(backend.c_compiler, "has_compiler", lambda: False)
    monkeypatch.setenv("CC", "/bin/false")
    assert backend.get_requires_for_build_wheel() == ["0"]
    assert "CC=/bin/false" in capsys.readouterr().err


def test_on_a_python_that_compiled_agents_are_not_tested_on_it_stays_interpreted(
    backend, monkeypatch, capsys
):
    monkeypatch.setattr(backend, "TESTED_ON", (3, 9))
    assert backend.get_requires_for_build_wheel() == ["0"]
    assert "compiled agents are tested on Python 3.9 only" in capsys.readouterr().err


def test_without_mypyc_it_stays_interpreted(backend, monkeypatch, capsys):
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda _: None)
    assert backend.build_wheel("there") == "0"
    assert "mypyc is not here" in capsys.readouterr().err


def test_an_installation_in_place_is_setuptools_own(backend):
    assert backend.build_editable is build_meta.build_editable
    assert backend.get_requires_for_build_editable is build_meta.get_requires_for_build_editable
    assert not hasattr(backend, "no_such_hook")
