"""The mesh of the demo: a web service, three agents, a client, and what the dashboard says about them."""

import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

KEY: Final = "my-api"
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 15.0
PAGE: Final = "Hello from behind hq: this page crossed the relay, sealed end to end.\n"


@dataclass(frozen=True)
class Ports:
    """Loopback ports that were free a moment ago."""

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
        ports = Ports(*_free_ports(4))
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
        except TimeoutError as error:
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


def _wait(ports: Ports) -> None:
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


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _make_mesh(folder: Path, ports: Ports) -> None:
    """Let ``mesh init`` make the keys, and write the three configurations that a user would."""
    command = [
        sys.executable,
        "-m",
        "mesh.agent.entry",
        "init",
        str(folder / "mesh"),
        "--agents",
        "branch,relay,hq",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    authority = (folder / "mesh" / "authority.pub").read_text().strip()
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
def _web_service(folder: Path, ports: Ports) -> Iterator[None]:
    site = folder / "site"
    site.mkdir()
    (site / "index.html").write_text(PAGE)
    command = [sys.executable, "-m", "http.server", str(ports.service), "--bind", "127.0.0.1"]
    with _process([*command, "--directory", str(site)], folder / "service.log"):
        yield


@contextlib.contextmanager
def _agent(folder: Path, name: str) -> Iterator[None]:
    config = folder / "mesh" / name / "config.yaml"
    with _process([sys.executable, "-m", "mesh.agent", str(config)], folder / f"{name}.log"):
        yield


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        # A session of its own: Ctrl-C is for the demo, which then stops its processes in order.
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise http.client.HTTPException(f"status {response.status}")
    return text


def _patiently(port: int, path: str, what: str, deadline: float) -> str:
    while True:
        try:
            return _get(port, path)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: {error}") from None
        time.sleep(0.1)


def _await_pairing(ports: Ports) -> list[dict[str, Any]]:
    """Wait until branch's dashboard shows the way from its listener to hq's endpoint."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        document = json.loads(_patiently(ports.dashboard, "/api/dashboard", "branch's dashboard", deadline))
        routes: list[dict[str, Any]] = document["forward_routes"]
        if routes:
            return routes
        if time.monotonic() > deadline:
            raise TimeoutError(f"no route for {KEY} within {START_TIMEOUT_S:g} s")
        time.sleep(0.1)


def _fetch(ports: Ports) -> str:
    """Fetch the page as a user would: with curl where there is one."""
    curl = shutil.which("curl")
    if curl is None:
        return _patiently(ports.listener, "/", "the fetch", time.monotonic() + START_TIMEOUT_S)
    command = [curl, "--silent", "--show-error", "--fail", "--max-time", "10"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{ports.listener}/"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise TimeoutError(f"curl: {done.stderr.strip()}")
    return done.stdout


def _show_logs(folder: Path) -> None:
    for log in sorted(folder.glob("*.log")):
        print(f"--- {log.name}\n{log.read_text()}", flush=True)
