"""From a folder of sounds to a sealed model that hears them without torch."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

import tuneful
from tuneful.core.errors import DataError

RATE = 8000
CHILD = """
import json, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "pydantic", "scipy", "soundfile"):
            raise ImportError(f"{name} must not be needed")
sys.meta_path.insert(0, Nothing())
import tuneful
model = tuneful.load(sys.argv[1])
print(json.dumps([str(word) for word in model.predict(sys.argv[2:])]))
"""


def sound(path: Path, hertz: float, seed: int, rate: int = RATE) -> Path:
    """A tone with a little noise, of about a third of a second."""
    dice = np.random.default_rng(seed)
    n = int(rate * dice.uniform(0.25, 0.4))
    x = 0.4 * np.sin(2 * np.pi * hertz * dice.uniform(0.95, 1.05) * np.arange(n) / rate) + 0.05 * dice.normal(size=n)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(x, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    for n in range(60):
        sound(folder / "low" / f"{n}.wav", 300, n)
        sound(folder / "high" / f"{n}.wav", 1200, 100 + n, rate=16000 if n < 5 else RATE)
    (folder / "low" / "broken.wav").write_bytes(b"RIFF....WAVE")
    return folder


def test_a_folder_of_sounds_becomes_a_model_that_hears_without_torch(tones, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    result = tuneful.train(str(tones), width=8, depth=1, epochs=20, threads=1)
    assert result.evidence["test"]["accuracy"]["value"] > 0.9
    told = " ".join(finding.what for finding in result.task.findings)
    assert "sounds cannot be read and are left out" in told
    assert "resampled to 8000" in told
    artifact = result.artifact
    assert artifact is not None
    assert result.task.test.openings[0]["reason"]
    files = [sound(tmp_path / "a.wav", 300, 900), sound(tmp_path / "b.wav", 1200, 901, rate=22050)]
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(artifact.folder), *map(str, files)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == ["low", "high"]
    model = tuneful.load(artifact.folder)
    samples = 0.4 * np.sin(2 * np.pi * 1200 * np.arange(2600) / RATE)[None] + 0.05 * np.random.default_rng(5).normal(
        size=(1, 2600)
    )
    assert model.predict((samples, RATE)).tolist() == ["high"]
    with pytest.raises(DataError, match=r"a list of files, or \(samples, samples a second\)"):
        model.predict(samples)


def test_time_series_from_arrays_and_their_refusals(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    dice = np.random.default_rng(0)
    t = np.arange(40)
    y = dice.integers(0, 2, 160)
    phase = dice.uniform(0, 0.5, 160)
    x = np.stack([np.sin(t * (0.3 + 0.3 * c) + p) for c, p in zip(y, phase)]) + 0.1 * dice.normal(size=(160, 40))
    x = np.stack([x, x[::-1] * 0], axis=1) + 1e-3 * dice.normal(size=(160, 2, 40))
    task = tuneful.prepare((x, y), form="series")
    assert task.shape == (2, 40)
    assert task.schema["kind"] == "series"
    result = tuneful.train((x, y), form="series", epochs=8)
    assert result.evidence["test"]["accuracy"]["value"] > 0.85
    model = tuneful.load(result.artifact.folder)
    assert model.predict(x[:3]).shape == (3,)
    with pytest.raises(DataError, match=r"the series have shape \[3, 40\]; it must be \[N, 2, 40\]"):
        model.predict(x[:3, 0])
    with pytest.raises(DataError, match="a time series is"):
        tuneful.prepare((np.zeros((10, 2, 3, 4)), np.arange(10) % 2), form="series")
