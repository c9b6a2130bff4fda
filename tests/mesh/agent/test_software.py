from pathlib import Path

from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.software import Build, software_build, software_version
from mesh.link import frame_sealing


def test_the_build_is_that_of_all_compiled_modules():
    """One of them tells for all."""
    is_compiled = Path(frame_sealing.__file__).suffix == ".so"
    assert software_build() is (Build.COMPILED if is_compiled else Build.INTERPRETED)


def test_the_version_is_told_with_the_build():
    told = CliRunner().invoke(main, ["--version"]).output
    assert told == f"mesh, version {software_version()}, {software_build()}\n"
