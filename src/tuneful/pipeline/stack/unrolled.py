"""Recurrent layers as loops over time, for stacks: torch's kernels for them have no batching rule, a loop of products has one.

    RNN     h = tanh(W x + b + U h + c), or relu
    LSTM    i, f, o = sigmoid, g = tanh of their parts of W x + b + U h + c;   c = f c + i g;   h = o tanh(c)
    GRU     r, z = sigmoid of their parts;   n = tanh(W_n x + b_n + r (U_n h + c_n));   h = (1 - z) n + z h

Weights are called as in torch and have its layout, so a state fits both. What enters is multiplied once for all moments.

Source: Hochreiter & Schmidhuber 1997; Cho et al., EMNLP 2014, arXiv:1406.1078, in torch's variants.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Unrolled(nn.Module):
    """The twin of nn.RNN, nn.LSTM or nn.GRU."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.kind, self.depth, self.width = layer.mode, layer.num_layers, layer.hidden_size
        self.first, self.ways = layer.batch_first, 2 if layer.bidirectional else 1
        for name, p in layer.named_parameters():
            self.register_parameter(name, p)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """As torch's: (what each moment gives, the last states)."""
        x = x.transpose(0, 1) if self.first else x
        begins = (state if isinstance(state, tuple) else (state,)) if state is not None else None
        ends: list[tuple[Tensor, ...]] = []
        for level in range(self.depth):
            ways: list[Tensor] = []
            for way in range(self.ways):
                number = level * self.ways + way
                begin = None if begins is None else tuple(one[number] for one in begins)
                out, end = self._walk(x, f"_l{level}{'_reverse' if way else ''}", begin, backwards=bool(way))
                ways.append(out)
                ends.append(end)
            x = torch.cat(ways, dim=-1) if len(ways) > 1 else ways[0]
        last = tuple(torch.stack(parts) for parts in zip(*ends, strict=True))
        return (x.transpose(0, 1) if self.first else x), (last if self.kind == "LSTM" else last[0])

    def _walk(
        self, x: Tensor, suffix: str, begin: tuple[Tensor, ...] | None, backwards: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        w, u = getattr(self, f"weight_ih{suffix}"), getattr(self, f"weight_hh{suffix}")
        b, c = (getattr(self, f"bias_{part}{suffix}", None) for part in ("ih", "hh"))
        entered = F.linear(x, w, b)
        h = torch.zeros_like(entered[0, :, : self.width])
        state = begin if begin is not None else (h, h) if self.kind == "LSTM" else (h,)
        found: list[Tensor] = []
        moments = entered.unbind(0)
        for one in reversed(moments) if backwards else moments:
            state = self._step(one, F.linear(state[0], u, c), state)
            found.append(state[0])
        return torch.stack(found[::-1] if backwards else found), state

    def _step(self, entered: Tensor, carried: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if self.kind == "GRU":
            (r_in, z_in, n_in), (r_on, z_on, n_on) = entered.chunk(3, -1), carried.chunk(3, -1)
            r, z = torch.sigmoid(r_in + r_on), torch.sigmoid(z_in + z_on)
            n = torch.tanh(n_in + r * n_on)
            return (n + z * (state[0] - n),)
        gates = entered + carried
        if self.kind != "LSTM":
            return (torch.relu(gates) if self.kind == "RNN_RELU" else torch.tanh(gates),)
        i, f, g, o = gates.chunk(4, -1)
        cell = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell


class Padded(nn.Module):
    """The twin of an nn.Embedding with a padding index, which vmap's rule forgets: no gradient reaches that row."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.weight, self.padding = table.weight, table.padding_idx

    def forward(self, x: Tensor) -> Tensor:
        y = F.embedding(x, self.weight)
        return torch.where((x == self.padding).unsqueeze(-1), y.detach(), y)


def replaced(net: nn.Module) -> nn.Module:
    """The network with twins in the place of what vmap cannot batch as it is, where they serve; itself, changed."""
    for name, module in list(net.named_modules()):
        twin: nn.Module | None = None
        if isinstance(module, nn.RNN | nn.LSTM | nn.GRU) and not (module.dropout or module.proj_size):
            twin = Unrolled(module)
        elif type(module) is nn.Embedding and module.padding_idx is not None and not module.scale_grad_by_freq:
            twin = Padded(module)
        if twin is not None:
            if not name:
                return twin
            net.set_submodule(name, twin)
    return net
