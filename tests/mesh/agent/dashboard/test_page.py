"""The page and its script: what they load, fill and read."""

import re

from falcon import testing

from mesh.alarms import AlarmCount, AlarmKind


def test_the_page_loads_nothing_but_its_own_files(client: testing.TestClient):
    page = client.simulate_get("/").text
    linked = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    assert linked == {"/icon.svg", "/dashboard.css", "/dashboard.js", "/api/dashboard", "/metrics", "/ready"}
    for path in sorted(linked):
        assert client.simulate_get(path).status_code == 200
    assert "<style" not in page
    assert not re.search(r"\son\w+=|\sstyle=|<script>", page)


def test_the_script_never_makes_markup_from_data(client: testing.TestClient):
    script = client.simulate_get("/dashboard.js").text
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script
    )


def test_every_element_that_the_script_fills_is_on_the_page(client: testing.TestClient):
    page, script = client.simulate_get("/").text, client.simulate_get("/dashboard.js").text
    ids = set(re.findall(r'(?:byId|fill|count|lines)\(\s*"([\w-]+)"', script))
    assert {"routes", "peers", "unmatched", "alarms", "alarms-section", "notice", "warnings"} <= ids
    assert ids <= set(re.findall(r'\bid="([\w-]+)"', page))


def test_every_field_that_the_script_reads_is_in_the_document(client: testing.TestClient):
    script = client.simulate_get("/dashboard.js").text
    document = client.simulate_get("/api/dashboard").json
    for variable, fields in (
        ("route", document["forward_routes"][0]),
        ("peer", document["peers"][0]),
        ("status", document),
        (r"status\.agent", document["agent"]),
        ("alarm", AlarmCount(AlarmKind.IDENTITY, "hq", 1)._asdict()),
        ("body", {**document, "error": ""}),
        ("service", document["listeners"][0]),
        ("exit", document["listeners"][0]["set_aside"][0]),
        ("door", {"address", "problem"}),
        ("finding", {"severity", "what", "remedy", "since"}),
    ):
        read = set(re.findall(rf"(?<![.\w]){variable}\.(\w+)", script)) - {"replaceChildren"}
        assert read
        assert read <= set(fields)
    assert "status.alarms.map" in script
    assert set(re.findall(r"(?<![.\w])alarm\.(\w+)", script)) == {"kind", "member", "times"}
    labels = re.search(r"LABELS = \{(.*?)\}", script, re.DOTALL)
    assert labels is not None
    assert set(re.findall(r"(\w+):", labels[1])) <= document["stats"].keys()
