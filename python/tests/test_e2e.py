"""bench/e2e on the CPU, with tiny models: each table runs, is resumed, and is reported. Times mean nothing here."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("transformers")
RUN = pathlib.Path(__file__).resolve().parents[2] / "bench/e2e/run.py"
WAYS = "unpatched,ours,unpatched2,delayed"


def run(table, file, *more, model="Qwen3-0.6B", ways=WAYS):
    """The lines that a run of one table leaves in the file, and what it said."""
    command = [sys.executable, str(RUN), table, "--smoke", "--results", str(file), "--models", model, "--ways", ways, *more]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "ROPEJIT_CACHE_DIR": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in file.read_text().splitlines()], done.stdout


def rounds(lines):
    return [line for line in lines if "round" in line]


@pytest.mark.parametrize("cells, model", [
    ("batch 1, eager", "Qwen3-0.6B"), pytest.param("batch 2, compiled", "Llama-3.2-1B", marks=pytest.mark.slow),
])
def test_decode_runs_every_way_and_goes_on_where_it_was(tmp_path, cells, model):
    file = tmp_path / "lines.jsonl"
    lines, _ = run("decode", file, "--here", "--rounds", "1", "--cells", cells, model=model)
    assert [set(line["ways"]) for line in rounds(lines)] == [set(WAYS.split(","))]
    assert [line["unpatched_us"] > 0 for line in lines if line.get("note") == "saving"] == [True]
    lines, _ = run("decode", file, "--here", "--rounds", "2", "--cells", cells, model=model)
    assert [line["round"] for line in rounds(lines)] == [0, 1]
    before = file.read_text()
    run("decode", file, "--here", "--rounds", "2", "--cells", cells, model=model)
    assert file.read_text() == before


@pytest.mark.parametrize("model", [
    "Qwen3-0.6B", *(pytest.param(model, marks=pytest.mark.slow) for model in ("Llama-3.2-1B", "Gemma-3-1B")),
])
def test_a_patched_model_is_equal_in_logits_tokens_and_continuous_batching(tmp_path, model):
    lines, _ = run("equal", tmp_path / "lines.jsonl", "--here", model=model)
    (line,) = rounds(lines)
    for way in ("ours", "unpatched2"):
        made = line["ways"][way]
        assert made["logits_same"] == 1
        assert [made[f"{name}_same"] for name in ("dynamic", "static", "batching")] == [2, 2, 4]


@pytest.mark.parametrize("table, cells, figure", [
    pytest.param("prefill", "24 tokens", "ms", marks=pytest.mark.slow), ("serving", "4 requests", "gap_p99_ms"),
    pytest.param("training", "eager", "tokens_per_s", marks=pytest.mark.slow),
])
def test_other_tables_run_in_processes_of_their_own(tmp_path, table, cells, figure):
    lines, said = run(table, tmp_path / "lines.jsonl", "--rounds", "1", "--cells", cells)
    assert rounds(lines) and all(x[figure] > 0 for line in rounds(lines) for x in line["ways"].values())
    assert not [line for line in lines if "failed" in line]


@pytest.mark.slow
def test_a_new_process_gets_its_first_token(tmp_path):
    lines, _ = run("first_token", tmp_path / "lines.jsonl", "--here", "--rounds", "1", ways="unpatched,unpatched2")
    (line,) = rounds(lines)
    for made in line["ways"].values():
        assert made["ms"] > made["imported_ms"] > 0 and made["patched_ms"] > 0


def test_a_report_has_a_row_for_each_cell(tmp_path):
    file = tmp_path / "lines.jsonl"
    run("prefill", file, "--here", "--rounds", "1", "--cells", "24 tokens")
    done = subprocess.run([sys.executable, str(RUN), "report", "--results", str(file)], capture_output=True, text=True)
    assert [line for line in done.stdout.splitlines() if line.startswith("| Qwen3-0.6B (tiny), 24 tokens | ours |")]
    assert "no: 1 of 7 rounds" in done.stdout
