"""The mesh of the demo: a web service, three agents, a client, and what the dashboard says about them."""

import contextlib
import http
import json
import shutil
import signal
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.lab.agent_processes import PROGRAM, dashboard, get
from scripts.lab.keys import init_mesh
from scripts.lab.ports import LOOPBACK, Ports
from scripts.lab.processes import Process, python
from scripts.lab.waiting import wait_until

KEY: Final = "my-api"
START_TIMEOUT_S: Final = 30.0
PAGE: Final = "Hello from behind hq: this page crossed the relay, sealed end to end.\n"


@dataclass(frozen=True)
class Places:
    """Loopback ports of the demo."""

    relay: int
    service: int
    listener: int
    dashboard: int


def run_demo(*, once: bool) -> int:
    """Start everything, show a fetch and the dashboard, wait for Ctrl-C (not with ``once``); exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it, too, stops what was started
    try:
        return _run(once=once)
    except KeyboardInterrupt:
        return 130


def _run(*, once: bool) -> int:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-demo-")))
        reserved = Ports()
        stack.callback(reserved.close)
        ports = Places(*(reserved.reserve() for _ in range(4)))
        _say(f"Making keys, certificates and configurations in {folder}")
        _make_mesh(folder, ports)
        _say(f"Starting a web service on 127.0.0.1:{ports.service}, which only hq knows")
        stack.enter_context(_web_service(folder, ports))
        for name in ("hq", "relay", "branch"):
            _say(f"Starting agent {name}: python -m mesh.agent {name}/config.yaml")
            stack.enter_context(_agent(folder, name))
        try:
            routes = _await_pairing(ports)
            page = _fetch(ports)
        except AssertionError as error:
            _say(f"It did not work: {error}")
            _show_logs(folder)
            return 1
        _say(f"A client on branch's side fetches http://127.0.0.1:{ports.listener}/ and gets:")
        print(textwrap.indent(page, "    "), flush=True)
        _say(f"forward_routes of http://127.0.0.1:{ports.dashboard}/api/dashboard:")
        print(textwrap.indent(json.dumps(routes, indent=2), "    "), flush=True)
        if page != PAGE:
            _say("That is not the page that was served.")
            return 1
        if not once:
            _wait(ports)
    _say("Everything is stopped.")
    return 0


def _wait(ports: Places) -> None:
    _say("The agents keep running. Try, in another terminal:")
    print(f"    curl http://127.0.0.1:{ports.listener}/")
    print(f"    curl -s http://127.0.0.1:{ports.dashboard}/api/dashboard | python3 -m json.tool")
    print(f"    and in a browser: http://127.0.0.1:{ports.dashboard}/", flush=True)
    _say("Ctrl-C ends it.")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    print()


def _say(text: str) -> None:
    print(f"==> {text}", flush=True)


def _make_mesh(folder: Path, ports: Places) -> None:
    """Let ``mesh init`` make the keys, and write the three configurations that a user would."""
    authority = init_mesh(folder / "mesh", (f"branch:use={KEY}", "relay:relay", f"hq:register={KEY}"))
    sections = {
        "relay": f"""
            accept:
              - address: "127.0.0.1:{ports.relay}"
            """,
        "hq": f"""
            peers:
              - address: "127.0.0.1:{ports.relay}"
            forward:
              endpoints:
                - key: "{KEY}"
                  target: "localhost:{ports.service}"
            """,
        "branch": f"""
            peers:
              - address: "127.0.0.1:{ports.relay}"
            forward:
              listeners:
                - key: "{KEY}"
                  address: "127.0.0.1:{ports.listener}"
            http:
              address: "127.0.0.1:{ports.dashboard}"
            """,
    }
    for name, section in sections.items():
        head = f"""
            agent:
              name: "{name}"
              data_dir: "."
            trust:
              authorities: ["{authority}"]
              certificate: "agent.cert"
            """
        text = textwrap.dedent(head).lstrip() + textwrap.dedent(section).lstrip()
        (folder / "mesh" / name / "config.yaml").write_text(text)


@contextlib.contextmanager
def _web_service(folder: Path, ports: Places) -> Iterator[None]:
    site = folder / "site"
    site.mkdir()
    (site / "index.html").write_text(PAGE)
    command = python("-m", "http.server", ports.service, "--bind", LOOPBACK)
    with _process([*command, "--directory", site], folder / "service.log"):
        yield


@contextlib.contextmanager
def _agent(folder: Path, name: str) -> Iterator[None]:
    config = folder / "mesh" / name / "config.yaml"
    with _process(python(*PROGRAM, config), folder / f"{name}.log"):
        yield


@contextlib.contextmanager
def _process(command: Sequence[object], log: Path) -> Iterator[None]:
    process = Process(command, log)
    try:
        yield
    finally:
        with contextlib.suppress(AssertionError):  # it was killed
            process.stop()


def _get(port: int) -> str:
    status, body = get(port, "/")
    if status != http.HTTPStatus.OK:
        raise ConnectionError(f"status {status}")
    return body.decode()


def _await_pairing(ports: Places) -> list[dict[str, Any]]:
    """Wait until branch's dashboard shows the way from its listener to hq's endpoint."""

    def routes() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = dashboard(ports.dashboard)["forward_routes"]
        return found

    return wait_until(routes, f"branch has a route for {KEY}", START_TIMEOUT_S)


def _fetch(ports: Places) -> str:
    """Fetch the page as a user would: with curl if there is one."""
    curl = shutil.which("curl")
    if curl is None:
        return wait_until(lambda: _get(ports.listener), "the page comes", START_TIMEOUT_S)
    command = [curl, "--silent", "--show-error", "--fail", "--max-time", "10"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{ports.listener}/"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise AssertionError(f"curl: {done.stderr.strip()}")
    return done.stdout


def _show_logs(folder: Path) -> None:
    for log in sorted(folder.glob("*.log")):
        print(f"--- {log.name}\n{log.read_text()}", flush=True)
