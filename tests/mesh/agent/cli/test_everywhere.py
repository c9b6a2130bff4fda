"""``--at all`` where agents may be anybody's: few answers are kept at one time, and each is short."""

import json
import threading
from types import SimpleNamespace

import pytest

from mesh.agent.cli import everywhere
from mesh.agent.control.client import AgentClient

ROWS = [SimpleNamespace(name=f"a{number:03}", id="1") for number in range(5 * everywhere.KEPT_AT_ONCE)]


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(everywhere, "wanted_rows", lambda *_: ROWS)
    pieces = []
    monkeypatch.setattr(everywhere, "say", lambda text, end="\n": pieces.append(text + end))
    return pieces


def test_few_answers_are_kept_while_one_is_awaited(told, tmp_path):
    too_many, asked, lock = threading.Event(), [], threading.Lock()

    def command(agent):
        assert agent.client.list_bytes == everywhere.MOST_BYTES
        with lock:
            asked.append(agent)
            if len(asked) > everywhere.KEPT_AT_ONCE:
                too_many.set()
            is_first = len(asked) == 1
        if is_first:
            assert not too_many.wait(0.2)
            assert told == []
        agent.tell("x", lambda: "x")

    assert everywhere.ask_all(AgentClient(tmp_path), command, as_json=False) == 0
    assert "".join(told) == "\n".join(f"== {row.name} {row.id}\nx\n" for row in ROWS)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_for_programs_it_is_one_array(told, tmp_path, monkeypatch, count):
    monkeypatch.setattr(everywhere, "wanted_rows", lambda *_: ROWS[:count])
    everywhere.ask_all(AgentClient(tmp_path), lambda agent: agent.tell(["x"], str), as_json=True)
    array = json.loads("".join(told))
    assert array == [{"agent": row.name, "id": row.id, "answer": ["x"]} for row in ROWS[:count]]
    assert "".join(told) == json.dumps(array, indent=2) + "\n"
