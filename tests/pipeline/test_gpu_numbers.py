"""The benchmark of a GPU: it says where there is none, and its parts run on the CPU when they are tried there."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]
PARTS = {
    "loop": {"network", "times", "us_a_step"}, "plan": {"plan", "times"}, "costs": {"ms", "times_the_limit"},
    "stack": {"network", "members", "times", "graphs"}, "limits": {"multiply_adds_per_s_bf16", "bytes_per_s"},
}  # fmt: skip


@pytest.fixture
def gpu(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("gpu")


def test_without_a_gpu_it_says_so_in_a_sentence(gpu, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 3
    assert capsys.readouterr().err == (
        "there is no GPU here, so none of the GPU's numbers were measured; --dry tries the script on the CPU\n"
    )
    assert gpu.main(["stak"]) == 2


@pytest.mark.parametrize("part", ["costs", *(pytest.param(one, marks=pytest.mark.slow) for one in PARTS if one != "costs")])
def test_a_part_runs_on_the_cpu_and_records_nothing(part: str, gpu, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "record", lambda *_: pytest.fail("a dry run was recorded"))
    assert gpu.main([part, "--dry"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines
    assert PARTS[part] <= lines[-1].keys()
    assert all(line["chip"] == "cpu" for line in lines)
