"""What API requests cost the data path: how windows are judged, and the client that asks."""

import contextlib
import http.server
import threading
from collections.abc import Iterator

import pytest

from scripts.benchmark import api_load
from scripts.benchmark.api_load import Window, cost_of, line
from scripts.benchmark.load_requests import Asking
from scripts.benchmark.processes import Asker
from scripts.lab.ports import Ports


def test_a_window_is_compared_with_those_beside_it() -> None:
    without = [Window(100.0, 0.50), Window(120.0, 0.52), Window(100.0, 0.50)]
    within = [
        Window(99.0, 0.56, answered=100.0, failed=1, client_cpu=0.02),
        Window(110.0, 0.61, answered=50.0, failed=2, client_cpu=0.04),
    ]
    cost = cost_of(without, within)
    assert cost.ratios == pytest.approx((0.9, 1.0))
    assert cost.chance == pytest.approx((1.2,))
    assert cost.request_ms == pytest.approx((0.5 + 2.0) / 2)
    assert (cost.answered_per_s, cost.failed, cost.client_cpu) == pytest.approx((75.0, 3, 0.03))
    assert line("one connection", cost).split() == [
        "one", "connection", "0.950", "(0.925-0.975)", "1.200", "1.250", "75.0", "3", "3.0%",
    ]  # fmt: skip


def test_windows_without_an_answer_are_no_division_by_nothing() -> None:
    cost = cost_of([Window(100.0, 0.5)] * 2, [Window(50.0, 0.5, failed=9)])
    assert (cost.request_ms, cost.failed) == (0.0, 9)
    assert "0.500" in line("", cost)


class _Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ports: "list[int]"

    def do_GET(self) -> None:
        self.ports.append(self.client_address[1])
        self.send_response(200 if self.path == "/good" else 503)
        body = b"x" * 100_000
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[tuple[int, "list[int]"]]:
    ports: list[int] = []
    handler = type("Handler", (_Service,), {"ports": ports})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port, ports
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("keeps_alive", "connections"), [(True, 1), (False, 4)])
def test_the_paths_are_asked_for_in_turn(
    service: tuple[int, "list[int]"], keeps_alive: bool, connections: int
) -> None:
    port, ports = service
    asking = Asking(port, ["/good", "/bad"], keeps_alive=keeps_alive)
    assert [asking.ask() for _ in range(4)] == [True, False, True, False]
    assert len(set(ports)) == connections
    asking.close()


def test_a_client_asks_at_its_pace_when_it_is_told_to(service: tuple[int, "list[int]"]) -> None:
    port, ports = service
    asker = Asker("--port", str(port), "--paths", "/good", "--rate", "1000", "--keep-alive")
    try:
        for _ in range(2):
            before = len(ports)
            asker.begin()
            said = asker.end()
            assert said["failed"] == 0
            assert said["answered"] == len(ports) - before
            assert said["answered"] <= 1 + 1000 * said["seconds"]
    finally:
        asker.stop()


def test_a_client_that_cannot_ask_says_how_often() -> None:
    with contextlib.closing(Ports()) as ports:
        port = ports.reserve()
    asker = Asker("--port", str(port), "--rate", "100")
    try:
        asker.begin()
        assert asker.end()["answered"] == 0
    finally:
        asker.stop()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tree", "/nowhere"], "/nowhere: expected a checkout of this project"),
        (["--seconds", "1"], "--seconds: expected at least 2, found 1"),
        (["--rate", "0"], "--rate: expected at least 1, found 0"),
        (["--role", "bystander"], "invalid choice: 'bystander'"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        api_load.main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
