"""Export: what torch can express becomes ONNX for any number of rows; what it cannot is told in a sentence, and nothing else."""

from __future__ import annotations

import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.export import export

SPLIT = Split(np.zeros((6, 10), np.float32), np.zeros(6, np.float32))
TASK = Task(
    "made",
    "regression",
    (10,),
    (),
    SPLIT,
    SPLIT,
    Sealed(SPLIT),
    Objective("rmse", "min"),
    "f00d",
    {"kind": "vector", "shape": [10]},
)


class Asks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Fixes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(3, 10)


class Untold(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvals(x.unsqueeze(-1) * x.unsqueeze(-2)).real[:, :1]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (Asks(), "cannot be traced for export: forward\\(\\) branches on the values of a tensor"),
        (Fixes(), "cannot be traced for export: forward\\(\\) fixes the number of rows"),
        (Untold(), "cannot be written as ONNX: the operator aten.linalg_eig has no translation"),
    ],
)
def test_a_network_that_cannot_be_exported(capfd: pytest.CaptureFixture[str], body: nn.Module, sentence: str):
    with pytest.raises(ModelError, match=sentence):
        export(body, TASK)
    assert capfd.readouterr() == ("", "")


def test_recurrent_networks_and_attention_are_exported():
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(1, 8, batch_first=True)
            self.attend = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.out = nn.Linear(8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.attend(self.lstm(x.unsqueeze(-1))[0])[:, -1])

    torch.manual_seed(0)
    net, x = Reads().eval(), torch.randn(5, 10)
    session = onnxruntime.InferenceSession(export(net, TASK), providers=["CPUExecutionProvider"])
    for rows in (1, 5):
        wanted = net(x[:rows]).squeeze(-1).detach().numpy()
        np.testing.assert_allclose(session.run(None, {"x": x[:rows].numpy()})[0], wanted, atol=1e-6)


def test_warnings_of_the_users_own_module_are_heard():
    class Warns(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            warnings.warn("my own words", stacklevel=1)
            return x[:, :1]

    with pytest.warns(UserWarning, match="my own words"):
        export(Warns(), TASK)
