"""Whether there is a C compiler: it is asked to compile, not looked for."""

import sysconfig

import pytest

from scripts import c_compiler


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Have ``CC`` name a script that notes its arguments; ``compiler(what)`` says what it then does."""

    def make(does):
        script = tmp_path / "cc"
        script.write_text(
            f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nwhile [ "$1" != -o ]; do shift; done\n{does}\n'
        )
        script.chmod(0o755)
        monkeypatch.setenv("CC", f"{script} -pthread")
        return tmp_path / "arguments"

    return make


def test_one_that_compiles_with_the_headers_of_python_is_one(compiler):
    arguments = compiler('echo > "$2"')
    assert c_compiler.has_compiler()
    said = arguments.read_text()
    assert said.startswith("-pthread ")
    assert f"-I{sysconfig.get_path('include')} " in said


@pytest.mark.parametrize("does", ["exit 1", "exit 0"])
def test_one_that_makes_nothing_is_none(compiler, does):
    compiler(does)
    assert not c_compiler.has_compiler()


def test_one_that_is_not_there_is_none(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    assert not c_compiler.has_compiler()
