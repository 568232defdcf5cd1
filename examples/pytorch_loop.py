"""Find the rate of an ordinary PyTorch training, set it, train. Run it:

python examples/pytorch_loop.py
"""

import torch
from torch import nn

import stepsize as ss
from stepsize.tasks import load, make_task

task = make_task(load("digits"), seed=0)  # any model, optimizer and loader of yours will do
model, optimizer, loader = task.model, task.optimizer, task.train


def loss_fn(model, batch):
    """The mean loss of a batch."""
    images, labels = batch
    return nn.functional.cross_entropy(model(images), labels)


if __name__ == "__main__":
    result = ss.find_lr(model, optimizer, loss_fn, loader)  # everything is given back bit for bit
    print(result)
    print(result.reason)
    if result.lr is None:
        raise SystemExit(result.verdict)
    ss.torch.set_lr(optimizer, result.lr)  # ratios between parameter groups are kept

    for epoch in range(3):
        for batch in loader:
            optimizer.zero_grad()
            loss_fn(model, batch).backward()
            optimizer.step()
        with torch.no_grad():
            losses = [float(loss_fn(model, batch)) for batch in task.val]
        print(f"epoch {epoch}: validation loss {sum(losses) / len(losses):.3f}")
