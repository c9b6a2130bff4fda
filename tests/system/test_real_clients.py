"""Programs that people use, through three agents: curl, psql, pgbench, ssh, scp, iperf3."""

import getpass
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.lab.ports import LOOPBACK, is_listening
from scripts.lab.postgresql import PROGRAM_TIMEOUT_S, PostgreSql, find, missing, run
from scripts.lab.processes import Process, python
from scripts.lab.waiting import wait_until

MIB = 1024 * 1024
FILE_BYTES = 20 * MIB
COPY_BYTES = 5 * MIB


def program(name):
    """The path of a program; the test is skipped where there is none."""
    found = find(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def random_file(path, byte_count):
    path.write_bytes(os.urandom(byte_count))
    return path


@pytest.fixture
def serve(chain, tmp_path):
    """Runs a server at the chain's target until the test ends."""
    servers = []

    def start(*command, **options):
        server = Process(command, tmp_path / "server.log", **options)
        servers.append(server)

        def listens():
            assert server.is_running, server.output
            return is_listening(chain.target_port)

        wait_until(listens, f"{command[0]} listens")
        return server

    yield start
    for server in servers:
        server.kill()


# -- HTTP ----------------------------------------------------------------------------------------------------


@pytest.fixture
def web(chain, serve, tmp_path):
    """A folder that is served as a web site, and the site's address through the mesh."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ("-m", "http.server", chain.target_port, "--bind", LOOPBACK, "--directory", folder)
    serve(*python(*server))
    return folder, f"http://{LOOPBACK}:{chain.port}"


def test_curl_fetches_a_large_file(web, tmp_path):
    curl = program("curl")
    folder, site = web
    source = random_file(folder / "large", FILE_BYTES)
    fetched = tmp_path / "fetched"
    run(curl, "-sS", "--fail", "-o", fetched, f"{site}/large")
    assert digest(fetched) == digest(source)


def test_curl_asks_for_headers_only(web):
    curl = program("curl")
    folder, site = web
    random_file(folder / "large", MIB)
    headers = run(curl, "-sS", "--fail", "--head", f"{site}/large").decode().lower().splitlines()
    assert headers[0].split()[1] == "200"
    assert f"content-length: {MIB}" in headers


def test_curl_fetches_many_files_at_once(web, tmp_path):
    curl = program("curl")
    folder, site = web
    sources = [random_file(folder / f"file{number}", number * 50_000) for number in range(20)]
    arguments = [part for source in sources for part in ("-o", source.name, f"{site}/{source.name}")]
    run(curl, "-sS", "--fail", "--parallel", *arguments, cwd=tmp_path)
    for source in sources:
        assert digest(tmp_path / source.name) == digest(source)


def test_curl_hears_of_a_service_that_is_not_there(chain):
    """Nothing listens at the target: an error at once, not a hang."""
    curl = program("curl")
    ended = subprocess.run(
        [curl, "-sS", "--max-time", "20", f"http://{LOOPBACK}:{chain.port}/"],
        capture_output=True,
        timeout=PROGRAM_TIMEOUT_S,
        check=False,
    )
    # Which of these it is depends on how far curl had come when the reset arrived.
    not_connected, empty_reply, connection_reset, timed_out = 7, 52, 56, 28
    assert ended.returncode != timed_out
    assert ended.returncode in {not_connected, empty_reply, connection_reset}


# -- PostgreSQL ----------------------------------------------------------------------------------------------


@pytest.fixture
def database(chain):
    """A database server; the options and environment with which its clients reach it through the mesh."""
    if missing():
        pytest.skip(f"not installed: {missing()}")
    with PostgreSql(chain.target_port) as server:
        yield server.options(chain.port), server.environment


def test_psql_and_pgbench_work(database):
    psql, pgbench = program("psql"), program("pgbench")
    options, environment = database
    ask = (psql, *options, "-d", "postgres", "-Atc")
    numbers = [b"%d" % number for number in range(1, 300_001)]
    query = "select sum(n), md5(string_agg(n::text, ',' order by n)) from generate_series(1, 300000) n"
    expected = hashlib.md5(b",".join(numbers), usedforsecurity=False).hexdigest()
    row = run(*ask, query, env=environment).decode().strip()
    assert row == f"{sum(range(1, 300_001))}|{expected}"
    table = run(*ask, "select n from generate_series(1, 300000) n", env=environment)
    assert table.split() == numbers
    run(pgbench, *options, "-i", "-q", "postgres", env=environment)
    report = run(pgbench, *options, "-c", "4", "-j", "2", "-T", "5", "postgres", env=environment).decode()
    assert "number of failed transactions: 0" in report
    assert "number of clients: 4" in report


# -- ssh -----------------------------------------------------------------------------------------------------


@pytest.fixture
def ssh_options(chain, serve, tmp_path):
    """Options with which ssh and scp reach a server of the test's own through the mesh."""
    sshd, keygen = program("sshd"), program("ssh-keygen")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd separates privileges
    for name in ("host", "user"):
        run(keygen, "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized_keys")
    configuration = {
        "Port": chain.target_port,
        "ListenAddress": LOOPBACK,
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "authorized_keys",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "yes",
        "Subsystem": "sftp internal-sftp",
    }
    file = tmp_path / "sshd_config"
    file.write_text("".join(f"{name} {value}\n" for name, value in configuration.items()))
    serve(sshd, "-D", "-e", "-f", file)
    host_key = (tmp_path / "host.pub").read_text()
    (tmp_path / "known_hosts").write_text(f"[{LOOPBACK}]:{chain.port} {host_key}")
    wanted = {
        "Port": chain.port,
        "IdentityFile": tmp_path / "user",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": tmp_path / "known_hosts",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": 20,
    }
    options = [part for name, value in wanted.items() for part in ("-o", f"{name}={value}")]
    return ["-F", "none", *options]


def test_ssh_runs_commands_and_carries_bytes_both_ways(ssh_options):
    ssh = (program("ssh"), *ssh_options, f"{getpass.getuser()}@{LOOPBACK}")
    assert run(*ssh, "echo through; exit 0") == b"through\n"
    data = os.urandom(COPY_BYTES)
    assert run(*ssh, "cat", input=data) == data


def test_scp_copies_there_and_back(ssh_options, tmp_path):
    scp = (program("scp"), "-q", *ssh_options)
    source = random_file(tmp_path / "source", COPY_BYTES)
    remote = f"{getpass.getuser()}@{LOOPBACK}:{tmp_path}"
    run(*scp, source, f"{remote}/there")
    assert digest(tmp_path / "there") == digest(source)
    run(*scp, f"{remote}/there", tmp_path / "back")
    assert digest(tmp_path / "back") == digest(source)


# -- iperf3 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [("-n", "30M"), ("-R", "-n", "30M"), ("--bidir", "-n", "20M"), ("-P", "4", "-n", "50M")],
    ids=["up", "down", "both ways", "parallel"],
)
def test_iperf3_measures(chain, serve, arguments):
    """What it measures here is no figure: it finds that what was sent had arrived."""
    iperf3 = program("iperf3")
    serve(iperf3, "-s", "-p", chain.target_port, "-B", LOOPBACK)
    report = json.loads(run(iperf3, "-c", LOOPBACK, "-p", chain.port, "-J", *arguments))
    assert "error" not in report
    end = report["end"]
    ways = [("sum_sent", "sum_received")]
    if "--bidir" in arguments:
        ways.append(("sum_sent_bidir_reverse", "sum_received_bidir_reverse"))
    for sent, received in ways:
        assert end[received]["bytes"] > MIB
        assert end[sent]["bytes"] >= end[received]["bytes"]
