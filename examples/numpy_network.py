"""A two-layer network in plain NumPy, range-tested through ``step(lr) -> loss`` alone.

Anything with such a method can be tested: a simulator, C code, another framework. Run it:

    python examples/numpy_network.py
"""

import numpy as np

import stepsize as ss


class TwoLayerNetwork:
    """tanh(x W1 + b1) W2 + b2 with a mean squared error, trained by plain gradient descent.

    A context manager, so that the range test gives its weights back.
    """

    def __init__(self, seed=0, batch_size=64):
        self.random = np.random.default_rng(seed)
        self.x = self.random.normal(size=(4096, 8))
        self.y = np.sin(self.x @ self.random.normal(size=(8, 3)))
        self.batch_size = batch_size
        self.weights = [
            self.random.normal(size=(8, 32)) / np.sqrt(8),
            np.zeros(32),
            self.random.normal(size=(32, 3)) / np.sqrt(32),
            np.zeros(3),
        ]

    def step(self, lr):
        """Make one update at ``lr``; return the loss before it."""
        rows = self.random.integers(len(self.x), size=self.batch_size)
        x, y = self.x[rows], self.y[rows]
        w1, b1, w2, b2 = self.weights
        hidden = np.tanh(x @ w1 + b1)
        error = hidden @ w2 + b2 - y
        back = 2.0 * error / error.size
        through = (back @ w2.T) * (1.0 - hidden**2)
        gradients = [x.T @ through, through.sum(0), hidden.T @ back, back.sum(0)]
        for weight, gradient in zip(self.weights, gradients, strict=True):
            np.subtract(weight, lr * gradient, out=weight)
        return float((error**2).mean())

    def __enter__(self):
        self.before = [weight.copy() for weight in self.weights]
        self.random_before = self.random.bit_generator.state
        return self

    def __exit__(self, *error):
        for weight, before in zip(self.weights, self.before, strict=True):
            weight[...] = before
        self.random.bit_generator.state = self.random_before


if __name__ == "__main__":
    with np.errstate(over="ignore", invalid="ignore"):  # the test ends where the training blows up
        curve = ss.range_test(TwoLayerNetwork(), ss.Geometric(1e-6, 100.0, rates=150))
        print(curve)
        print(ss.suggest.nine_tenths([curve]))
        result = ss.finder.find(TwoLayerNetwork)
        print(result)
