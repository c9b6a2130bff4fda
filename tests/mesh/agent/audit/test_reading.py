"""Pages of a trail: all of it, once each, however it is cut into pages and files."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.agent.audit import reading
from mesh.agent.audit.entries import encoded
from mesh.agent.audit.reading import BEGIN, END, Cursor, cursor_of, newer, older
from mesh.agent.audit.trail_files import CHANGES
from mesh.auditing import AuditKind
from tests.mesh.agent.audit.trails import NOON, entry, paths, trail_in, written


def numbers(page):
    return [each.number for each in page.entries]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("audit") / "audit"
    written(directory, 60, file_bytes=1_000)
    return directory


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(count=st.integers(1, 90), block=st.integers(1, 400))
def test_pages_make_up_the_whole_from_the_end_and_from_the_beginning(directory, monkeypatch, count, block):
    monkeypatch.setattr(reading, "BLOCK_BYTES", block)
    whole = numbers(newer(directory, CHANGES, BEGIN, 1_000))
    assert whole == list(range(1, whole[-1] + 1))
    assert whole[-1] > 60
    place, found = END, []
    while place != BEGIN:
        page = older(directory, CHANGES, place, count)
        assert len(page.entries) <= count
        found[:0], place = numbers(page), page.before
    assert found == whole
    place, found = BEGIN, []
    while page := newer(directory, CHANGES, place, count):
        if page.after == place:
            break
        found += numbers(page)
        place = page.after
    assert found == whole


def test_what_comes_later_follows_on_what_was_read_last(tmp_path):
    directory = tmp_path / "audit"
    none = older(directory, CHANGES, END, 10)
    assert (none.entries, none.before) == ((), BEGIN)
    written(directory, 2)
    assert numbers(newer(directory, CHANGES, none.after, 10)) == [1, 2, 3]
    last = older(directory, CHANGES, END, 1)
    assert "test, uid 1: POST /1: 200" in last.entries[0].text()
    trail = trail_in(directory)
    trail.write([entry(60), entry(61)], NOON)
    page = newer(directory, CHANGES, last.after, 10)
    assert [each.facts["what"] for each in page.entries] == ["POST /60", "POST /61"]
    (path,) = paths(directory)
    with path.open("ab") as file:
        file.write(b'{"number":6,')  # it is being written
    for found in (newer(directory, CHANGES, page.after, 10), older(directory, CHANGES, END, 0)):
        assert (found.entries, found.after) == ((), page.after)
    assert numbers(older(directory, CHANGES, END, 1)) == [5]


def test_a_page_has_few_large_entries_and_at_least_one(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_PAGE_BYTES", 3_000)
    trail = trail_in(tmp_path)
    for size in (2_000, 2_000, 9_000, 100, 100):
        trail.write([encoded(AuditKind.CONFIGURATION, NOON, {"problems": ("x" * size,)})], NOON)
    place, sizes = END, []
    while place != BEGIN:
        page = older(tmp_path, CHANGES, place, 1_000)
        place = page.before
        sizes.append(numbers(page))
    assert sizes == [[5, 6], [4], [3], [1, 2]]
    assert numbers(newer(tmp_path, CHANGES, BEGIN, 1_000)) == [1, 2]


def test_lines_that_are_none_and_places_that_are_none_are_passed_over(tmp_path):
    written(tmp_path, 3)
    (path,) = paths(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'{"number":3', b"???", 1) + b"x" * 3_000_000)
    assert numbers(older(tmp_path, CHANGES, END, 10)) == [1, 2, 4]
    far = Cursor(1, 10**14)
    assert numbers(older(tmp_path, CHANGES, far, 10)) == [1, 2, 4]
    assert numbers(newer(tmp_path, CHANGES, far, 10)) == []
    middle = Cursor(1, 10)
    assert numbers(older(tmp_path, CHANGES, middle, 10)) == []
    assert numbers(newer(tmp_path, CHANGES, middle, 10)) == [2, 4]
    assert cursor_of(str(far)) == far
