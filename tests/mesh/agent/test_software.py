import tomllib
from pathlib import Path

from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.software import VERSION, Build, software_build
from mesh.link import frame_sealing


def test_the_build_is_that_of_all_compiled_modules():
    """One of them tells for all."""
    is_compiled = Path(frame_sealing.__file__).suffix == ".so"
    assert software_build() is (Build.COMPILED if is_compiled else Build.INTERPRETED)


def test_the_version_is_told_with_the_build():
    told = CliRunner().invoke(main, ["--version"]).output
    assert told == f"mesh, version {VERSION}, {software_build()}\n"


def test_the_package_takes_the_version_from_here():
    with (Path(__file__).resolve().parents[3] / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"] == {"version": {"attr": "mesh.agent.software.VERSION"}}
