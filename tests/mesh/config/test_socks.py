"""Who may come to a SOCKS listener."""

from tests.mesh.config.test_loading import parse, problems


def test_whoever_comes_to_socks_from_elsewhere_must_know_a_password_that_is_not_in_the_file():
    for address in ("127.0.0.1:1080", "localhost:1080", "[::1]:1080", "/run/socks.sock"):
        assert parse(f"forward: {{socks: [{{address: '{address}'}}]}}").forward.socks[0].password is None
    for address in (":1080", "10.0.0.1:1080", "0.0.0.0:1080"):
        (found,) = problems(f"forward: {{socks: [{{address: '{address}'}}]}}")
        assert "no user and password for" in found
    entry = "forward: {socks: [{address: ':1080', user: me, password: '%s'}]}"
    socks = parse(entry % "${SECRET}", SECRET="hunter2").forward.socks[0]
    assert socks.password.reveal() == b"hunter2"
    assert "hunter2" not in repr(socks)
    for wrong, environment in (("hunter2", {}), ("${SECRET}", {"SECRET": "hunter2" * 40})):
        (found,) = problems(entry % wrong, **environment)
        assert "hunter2" not in found
    (found,) = problems("forward: {socks: [{address: '127.0.0.1:1080', user: me}]}")
    assert "no password" in found
