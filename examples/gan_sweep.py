"""Range-test the generator of a GAN, in a loop of one's own. Run it:

    python examples/gan_sweep.py

In the sweep the discriminator goes on learning at its own rate, so the generator's loss drifts
upwards at rates too low to matter, falls where the generator keeps up, and is read from there. Both
networks and both optimizers are given back.
"""

import itertools

import torch
from torch import nn

import stepsize as ss

judge = nn.functional.binary_cross_entropy_with_logits


def network(*sizes):
    """Linear layers with ReLU between them."""
    layers = [(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(sizes)]
    return nn.Sequential(*itertools.chain(*layers))[:-1]


def update(generator, discriminator, optimizer_g, optimizer_d):
    """One update of both; returns the generator's loss."""
    real = torch.randn(256, 2) * 0.3 + torch.tensor([2.0, -1.0])
    fake = generator(torch.randn(256, 4))

    optimizer_d.zero_grad()
    truth = judge(discriminator(real), torch.ones(256, 1))
    lie = judge(discriminator(fake.detach()), torch.zeros(256, 1))
    (truth + lie).backward()
    optimizer_d.step()

    optimizer_g.zero_grad()
    loss = judge(discriminator(fake), torch.ones(256, 1))
    loss.backward()
    optimizer_g.step()
    return loss


def main():
    """Train for a while, then sweep the generator's rate."""
    torch.manual_seed(0)
    generator, discriminator = network(4, 32, 2), network(2, 32, 1)
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-3)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=1e-4)
    parts = (generator, discriminator, optimizer_g, optimizer_d)
    for _ in range(500):
        update(*parts)

    models = [generator, discriminator]
    with ss.torch.sweep(models, optimizer_g, also=[optimizer_d], task="GAN generator") as sweep:
        for _ in sweep:  # the rate is already set
            sweep.report(update(*parts))
    print(sweep.result)
    print(sweep.result.reason)


if __name__ == "__main__":
    main()
