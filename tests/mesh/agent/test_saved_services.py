"""Services that were saved while an agent ran."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.addresses import TcpAddress, UnixAddress
from mesh.agent.files import AgentFileError
from mesh.agent.saved_services import NAME, read_place, read_saved, read_service, write_saved
from mesh.config import ConfigError
from mesh.config.schema import EndpointSection, ListenerSection

ENDPOINT = EndpointSection(
    key="my-api", target=TcpAddress("localhost", 3000), max_connections=5, allow=("branch", "hq")
)
UNIX = EndpointSection(key="sock", target=UnixAddress("/run/a b: #c.sock"))
LISTENER = ListenerSection(key="db", address=TcpAddress("::1", 5432), agents=("hq",))
ANYWHERE = ListenerSection(key="db", address=TcpAddress("", 5433))


def test_what_is_written_is_read(tmp_path):
    services = (ENDPOINT, UNIX, LISTENER, ANYWHERE)
    write_saved(tmp_path, services)
    assert read_saved(tmp_path) == services
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    write_saved(tmp_path, (LISTENER,))
    assert read_saved(tmp_path) == (LISTENER,)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@given(
    st.lists(
        st.builds(
            ListenerSection,
            key=st.sampled_from(["a", "b-1", "x.y", "yes", "1", "null", "1e3"]),
            address=st.builds(TcpAddress, st.just("127.0.0.1"), st.integers(1, 65535)),
            max_connections=st.integers(0, 10),
            agents=st.lists(st.sampled_from(["hq", "on", "12", "a b"]), unique=True).map(tuple),
        ),
        unique_by=lambda each: each.address.port,
        max_size=4,
    )
)
def test_whatever_a_key_or_name_looks_like_it_stays_what_it_is(tmp_path_factory, listeners):
    folder = tmp_path_factory.mktemp("data")
    write_saved(folder, listeners)
    assert read_saved(folder) == tuple(listeners)


@pytest.mark.parametrize(
    "path", ["/run/" + "a b: #c " * 10 + "x", "/run/" + "é 😀 " * 10 + "x", "/run/" + "a 'b " * 15]
)
def test_what_does_not_fit_into_a_line_is_read_again_too(tmp_path, path):
    services = (EndpointSection(key="long", target=UnixAddress(path.strip())),)
    write_saved(tmp_path, services)
    assert read_saved(tmp_path) == services


@pytest.mark.parametrize("key", ["😀", "a😀b🚀", r"\ud83d\ude00", "\\😀", "x\\", "ключ", "<&>"])
def test_a_key_that_is_asked_for_is_what_it_is_in_every_script(tmp_path, key):
    service = read_service("endpoints", {"key": key, "target": "localhost:1"})
    assert service.key == key
    write_saved(tmp_path, (service,))
    assert read_saved(tmp_path) == (service,)


@pytest.mark.parametrize("key", ["\ud83d", "\ude00\ud83d", "a\u2028b", "\ufeffx"])
def test_half_a_character_is_no_key(key):
    with pytest.raises(ConfigError, match=r"forward\.endpoints\[0\]\.key"):
        read_service("endpoints", {"key": key, "target": "localhost:1"})


def test_without_a_file_nothing_is_saved(tmp_path):
    assert read_saved(tmp_path) == ()


def test_a_file_that_is_wrong_is_told_by_its_line(tmp_path):
    (tmp_path / NAME).write_text("forward:\n  listeners:\n    - {key: a, address: nowhere}\n")
    with pytest.raises(ConfigError, match=rf"{NAME}:3: forward\.listeners\[0\]\.address"):
        read_saved(tmp_path)


def test_what_cannot_be_read_or_written_is_told_and_leaves_nothing(tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(AgentFileError, match="cannot be read: is a directory"):
        read_saved(tmp_path)
    with pytest.raises(AgentFileError, match="cannot be written: is a directory"):
        write_saved(tmp_path, (LISTENER,))
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    with pytest.raises(AgentFileError, match="cannot be written: no such file"):
        write_saved(tmp_path / "nowhere", (LISTENER,))


def test_an_entry_that_somebody_asks_for_is_read_as_a_file_has_it():
    entry = {"key": "my-api", "target": "localhost:3000", "max_connections": 5, "allow": ["branch", "hq"]}
    assert read_service("endpoints", entry) == ENDPOINT
    with pytest.raises(ConfigError, match="expected"):
        read_service("endpoints", {**entry, "target": "nowhere"})
    with pytest.raises(ConfigError, match="unknown key"):
        read_service("listeners", entry)


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("/run/app/x.sock", "unix:/run/app/x.sock"),
        ("unix:/run/app/x.sock", "unix:/run/app/x.sock"),
        ("127.0.0.1:5432", "127.0.0.1:5432"),
        ("nowhere", "nowhere"),
        ("", ""),
    ],
)
def test_a_place_is_found_however_its_address_is_written(written, place):
    assert read_place(written) == place
