import os
import time

from prometheus_client.parser import text_string_to_metric_families

from mesh.agent.dashboard import process_figures
from mesh.agent.dashboard.exposition import Exposition
from mesh.agent.dashboard.process_figures import ProcessFigures


def shown(figures):
    out = Exposition()
    figures.add_to(out)
    families = list(text_string_to_metric_families(out.text().decode()))
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_the_figures_are_those_of_this_process():
    found = shown(ProcessFigures())
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert found["process_virtual_memory_bytes"] > found["process_resident_memory_bytes"]
    assert 0 < found["process_cpu_seconds_total"] <= time.process_time() + 0.02  # in whole ticks
    assert found["process_max_fds"] == os.sysconf("SC_OPEN_MAX")


def test_the_start_is_before_now_and_stays(monkeypatch):
    figures = ProcessFigures()
    first = shown(figures)["process_start_time_seconds"]
    now = time.time()
    assert now - 24 * 3600 < first < now
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    assert shown(figures)["process_start_time_seconds"] == first


def test_another_open_file_counts(tmp_path):
    figures = ProcessFigures()
    before = shown(figures)["process_open_fds"]
    with (tmp_path / "file").open("w"):
        assert shown(figures)["process_open_fds"] == before + 1


def test_a_name_with_brackets_and_blanks_moves_nothing(tmp_path, monkeypatch):
    fields = " ".join(str(number) for number in range(4, 53))
    (tmp_path / "stat").write_text(f"123 (a) b (c) S {fields}\n")
    (tmp_path / "fd").mkdir()
    monkeypatch.setattr(process_figures, "_PROCESS", tmp_path)
    assert shown(ProcessFigures())["process_virtual_memory_bytes"] == 23  # proc(5): field 23


def test_without_proc_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(process_figures, "_PROCESS", tmp_path / "none")
    assert shown(ProcessFigures()) == {}
