"""When people hear that the certificate of ``http.tls`` ends; another one is seen without a restart."""

import logging
import os
import ssl

import pytest

from mesh.addresses import TcpAddress
from mesh.agent.credentials import check_files
from mesh.agent.expiry import DAY_S
from mesh.agent.web_certificate import REMEDY, WebCertificate, WebCertificates, WebReminder, web_warning
from mesh.config.schema import Config, HttpSection
from tests.web_certificate import write_certificate

END = 2_000_000_000


@pytest.fixture
def lasting(tmp_path):
    return WebCertificate(tmp_path / "web.crt", END - 365 * DAY_S, END)


def test_the_log_speaks_of_it_each_day_from_a_month_before_the_end_and_after_it(lasting):
    reminder = WebReminder(lambda: lasting)
    now, spoken = END - 40 * DAY_S, []
    while now < END + 2 * DAY_S:
        if found := reminder.due(now):
            spoken.append((round((END - now) / DAY_S, 1), *found))
        now += 360
    assert [days for days, _, _ in spoken][:3] == [30.0, 29.0, 28.0]
    assert {7.0, 1.0, 0.0} < {days for days, _, _ in spoken}
    assert [level for days, level, _ in spoken if days > 1] == [logging.WARNING] * 29
    assert {level for days, level, _ in spoken if days < 1} == {logging.ERROR}
    assert spoken[-1][0] < -0.9
    assert all(line.endswith(REMEDY) and str(lasting.file) in line for _, _, line in spoken)
    assert "expires on 2033-05-18 03:33 UTC, in 30.0 days" in spoken[0][2]
    assert "expired on 2033-05-18" in spoken[-1][2]


def test_one_that_lasts_or_is_not_there_is_not_spoken_of(lasting):
    for found in (None, lasting):
        assert WebReminder(lambda found=found: found).due(END - 31 * DAY_S) is None
        assert not web_warning(found, END - 31 * DAY_S)


def test_the_file_is_read_again_when_it_has_changed_and_only_then(tmp_path):
    section = write_certificate(tmp_path)  # for a day from now, and a day before
    http = HttpSection(address=TcpAddress("127.0.0.1", 0), tls=section)
    certificates = WebCertificates()
    first = certificates.of(http)
    assert first.ends - first.begins == 2 * DAY_S
    assert certificates.of(http) is first
    assert not web_warning(first, first.ends - DAY_S)
    assert "in 6.0 hours" in web_warning(first, first.ends - DAY_S / 4)
    write_certificate(tmp_path, days=90)
    assert certificates.of(http).ends - first.ends == pytest.approx(89 * DAY_S, abs=60)
    section.certificate.write_text("no certificate")
    assert certificates.of(http) is None
    write_certificate(tmp_path)
    versioned, odd = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"  # as DER has it
    der = ssl.PEM_cert_to_DER_cert(section.certificate.read_text()).replace(versioned, odd, 1)
    section.certificate.write_text(ssl.DER_cert_to_PEM_cert(der))
    assert certificates.of(http) is None
    section.certificate.unlink()
    os.mkfifo(section.certificate)
    assert certificates.of(http) is None
    section.certificate.unlink()
    assert certificates.of(http) is None
    assert certificates.of(None) is certificates.of(HttpSection()) is None


def test_mesh_check_tells_of_it_too(tmp_path):
    section = write_certificate(tmp_path)
    config = Config(http=HttpSection(address=TcpAddress("127.0.0.1", 0), tls=section))
    ends = WebCertificates().of(config.http).ends
    (notice,) = check_files(config, now_unix_s=ends + 1).notices
    assert f"({section.certificate}) expired on" in notice
    assert notice.endswith(REMEDY)
    assert check_files(config, now_unix_s=ends - DAY_S).notices == ()
