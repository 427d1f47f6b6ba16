"""The training of `tuneful train digits epochs=20` as a bare script: what `plan.py process` is compared with. No proof, no report, no artifact."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
torch.set_num_threads(1)
x, y = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(x))
x = torch.tensor(x[order], dtype=torch.float32).view(-1, 1, 8, 8)
y = torch.tensor(y[order])
x = (x - x[:1079].mean()) / x[:1079].std()
train, valid, test = (slice(0, 1079), slice(1079, 1438), slice(1438, None))


def stage(a: int, b: int) -> list[nn.Module]:
    return [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]


net = nn.Sequential(
    *stage(1, 32),
    *stage(32, 32),
    nn.MaxPool2d(2),
    *stage(32, 64),
    *stage(64, 64),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(64, 10),
)
mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.97))
optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
steps = 20 * (1079 // 32)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min((t + 1) / (0.05 * steps), 1.0) * (1 - t / steps))
for epoch in range(20):
    net.train()
    for rows in torch.randperm(1079).split(32)[: 1079 // 32]:
        batch = F.pad(x[train][rows], (1, 1, 1, 1), mode="replicate")
        i, j = torch.randint(3, (2,)).tolist()
        loss = F.cross_entropy(net(batch[:, :, i : i + 8, j : j + 8]), y[train][rows], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean.update_parameters(net)
    mean.eval()
    with torch.no_grad():
        right = (mean(x[valid]).argmax(1) == y[valid]).float().mean()
    print(epoch, float(right))
print((mean(x[test]).argmax(1) == y[test]).float().mean().item())
