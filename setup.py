"""Compiles the core and busy actors ahead of time where ``MESH_COMPILED=1`` asks for it; else does nothing.

``scripts/build_backend.py`` asks for it by itself where ``pip install .`` finds a C compiler.

mypyc makes C of the modules' own types, so there is one source for both builds. Compiled are all modules of
``mesh/`` but for ``mesh/agent/`` and ``mesh/config/``, of which a connection or a frame needs nothing, those
in ``INTERPRETED``, and those that define msgspec Structs: their metaclass makes classes that are as fast as C
already, and takes arguments that mypyc does not know. Of ``actors/`` it is ``HOT_ACTORS``. What else a module
may not do: tests/test_compiling.py.

Either all of them are compiled or none: ``mesh --version`` says which. Without a C compiler it is none.
"""

import ast
import os
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, ExecError, PlatformError

ROOT = Path(__file__).resolve().parent

VARIABLE = "MESH_COMPILED"
"""Of the environment: 1 compiles; 0, nothing or no such variable does not."""

LEVEL = "MESH_OPTIMIZATION"
"""Of the environment: how far the C compiler optimizes, 0 to 3; else 2."""

LIBRARY = "mesh_core"
"""All compiled modules are in one library, so that they call each other directly."""

LEFT_OUT = ("mesh/agent", "mesh/config")

INTERPRETED = {
    "mesh/deadlines.py": "its class is a list, which no native one can be",
    "mesh/errors.py": "interpreted errors derive from its own",
    "mesh/routing/record_reader.py": "simulations have a reader that derives from its own",
    "mesh/routing/shared_paths.py": "one of its classes is an abstract Mapping, which no native one can be",
}
"""Modules that mypyc cannot compile, and why."""

HOT_ACTORS = (
    "actors/accepting.py",
    "actors/connections/answering.py",
    "actors/connections/candidate_desk.py",
    "actors/connections/connection_end.py",
    "actors/connections/connection_table.py",
    "actors/connections/due.py",
    "actors/connections/endpoint.py",
    "actors/connections/exit_connection.py",
    "actors/connections/farewell_keeper.py",
    "actors/connections/first_words.py",
    "actors/connections/ingress_connection.py",
    "actors/connections/introducing.py",
    "actors/connections/listener.py",
    "actors/connections/local_socket.py",
    "actors/connections/opening_keys.py",
    "actors/connections/pair_keeper.py",
    "actors/connections/remote_certificates.py",
    "actors/connections/socks_listener.py",
    "actors/connections/tabled_connection.py",
    "actors/connections/told_connection.py",
    "actors/key_meters.py",
    "actors/links/acceptor.py",
    "actors/links/forwarding.py",
    "actors/links/output.py",
    "actors/links/peer_link.py",
    "actors/links/reports.py",
    "actors/meters.py",
    "actors/peer_meters.py",
    "actors/reaching.py",
    "actors/runtime/actor.py",
    "actors/runtime/alarm.py",
    "actors/runtime/descriptors.py",
    "actors/runtime/gather.py",
    "actors/runtime/mailbox.py",
    "actors/runtime/owned_timer.py",
    "actors/runtime/real/connecting.py",
    "actors/runtime/real/event_loop.py",
    "actors/runtime/real/listening.py",
    "actors/runtime/real/look_up.py",
    "actors/runtime/real/native_address.py",
    "actors/runtime/real/poller.py",
    "actors/runtime/real/readiness.py",
    "actors/runtime/real/socket_options.py",
    "actors/runtime/real/streams.py",
    "actors/runtime/real/timers.py",
    "actors/runtime/real/turns.py",
    "actors/runtime/real/unix_listening.py",
    "actors/runtime/real/waker.py",
    "actors/runtime/reference.py",
    "actors/runtime/registry.py",
    "actors/runtime/stop_flag.py",
)
"""Actors that each frame or each connection passes through, and what they hold and run on."""


def compiled_modules() -> list[str]:
    """Paths from the root, sorted."""
    core = (path for path in _core() if path not in INTERPRETED and not _has_structs(ROOT / path))
    return sorted((*core, *HOT_ACTORS))


def _core() -> Iterator[str]:
    for path in (ROOT / "mesh").rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if path.name != "__init__.py" and not name.startswith(LEFT_OUT):
            yield name


def _has_structs(path: Path) -> bool:
    classes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))
    return any(ast.unparse(base).rpartition(".")[2] == "Struct" for each in classes for base in each.bases)


def is_wanted() -> bool:
    """Whether the environment asks for it.

    Raises:
        SystemExit: it says something else than yes or no.
    """
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "0", "1"):
        sys.exit(f"{VARIABLE}={value}: expected 1 to compile the core, or 0")
    return value == "1"


def optimization_level() -> str:
    """How far the C compiler is to optimize, as the environment says.

    Raises:
        SystemExit: it says something else than a level.
    """
    level = os.environ.get(LEVEL) or "2"
    if level not in ("0", "1", "2", "3"):
        sys.exit(f"{LEVEL}={level}: expected 0, 1, 2 or 3")
    return level


def compiler_requirements() -> list[str]:
    """What compiling needs: mypyc, and the packages whose types the core uses."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["optional-dependencies"]["compile"], *project["dependencies"]]


class CompiledDistribution(Distribution):
    """Has extension modules before it is known which: that takes mypyc, which only the build itself needs."""

    def has_ext_modules(self) -> bool:
        """So that the wheel is for this kind of machine, and ``build_ext`` runs."""
        return True


def translate(folder: str) -> list[Extension]:
    """The library of all modules, as C in ``folder``; exits with what mypyc does not take."""
    from mypyc.build import mypycify  # noqa: PLC0415 -- installed for this build only

    options = ["--config-file", str(ROOT / "pyproject.toml"), *compiled_modules()]
    # A file for each module: as one, it takes the compiler twice as long, and one processor.
    return mypycify(
        options,
        group_name=LIBRARY,
        target_dir=folder,
        opt_level=optimization_level(),
        debug_level="0",
        multi_file=True,
    )


class CompileCore(build_ext):
    """Setuptools' own, with a C compiler on each processor."""

    def build_extensions(self) -> None:
        """Compile the files of one library beside each other, as well as libraries."""
        compile_files = self.compiler.compile
        self.parallel = len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(self.parallel) as compilers:

            def compile_beside(sources: list[str], **options: Any) -> list[str]:
                done = compilers.map(lambda source: compile_files([source], **options), sources)
                return [file for files in done for file in files]

            self.compiler.compile = compile_beside
            super().build_extensions()


class BuildCore(build_ext):
    """Turns the modules into C, and that into a library."""

    def run(self) -> None:
        """Compile all or nothing: without a C compiler, or where types do not fit."""
        folder = Path(self.build_lib)
        _remove_libraries(folder)  # an earlier build's may be of other modules
        try:
            self.distribution.ext_modules = translate(self.build_temp)
        except SystemExit as error:  # another version of what the core uses may have other types
            self.warn(f"the core stays interpreted, for it could not be translated: {error}")
            return
        command = CompileCore(self.distribution)  # this one has been finalized without any extensions
        for option in ("build_lib", "build_temp", "inplace", "editable_mode"):
            setattr(command, option, getattr(self, option))
        try:
            command.ensure_finalized()
            command.run()
        except (CCompilerError, ExecError, PlatformError) as error:
            _remove_libraries(folder)
            self.warn(f"the core stays interpreted, for it could not be compiled: {error}")


def _remove_libraries(folder: Path) -> None:
    patterns = (f"{LIBRARY}*.so", "mesh/**/*.so", "actors/**/*.so")
    for path in (path for pattern in patterns for path in folder.glob(pattern)):
        path.unlink()


def main() -> None:
    """Set up as ``pyproject.toml`` says, with the compiled core if it is wanted."""
    if not is_wanted():
        setup()
        return
    optimization_level()  # what is wrong with that is no reason to stay interpreted without a word
    setup(
        distclass=CompiledDistribution,
        cmdclass={"build_ext": BuildCore},
        ext_modules=[],
        setup_requires=compiler_requirements(),
    )


if __name__ == "__main__":
    main()
