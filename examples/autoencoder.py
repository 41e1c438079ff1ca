"""Squeeze digits through eight numbers and draw them again: an autoencoder on MNIST.

    python examples/autoencoder.py [--steps 500]

Writes out/autoencoder.png: digits of the test set above, what came out below. Needs neither
labels nor any other package.
"""

import argparse
import os

import flambeau as fb
import flambeau.nn as nn
from flambeau.vision import datasets, utils

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--data", default=os.path.join(HERE, "..", "data"))
    parser.add_argument("--out", default=os.path.join(HERE, "..", "out"))
    args = parser.parse_args()

    fb.manual_seed(0)
    digits = datasets.MNIST(args.data, download=True).data
    net = nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 8),
        nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 784), nn.Sigmoid(),
    )  # fmt: skip
    optimizer = fb.optim.Adam(net.parameters(), lr=2e-3)
    criterion = nn.MSELoss()
    for step in range(args.steps):
        index = fb.randint(0, len(digits), (128,))
        x = digits.index_select(0, index).view(-1, 784).float() / 255
        optimizer.zero_grad()
        loss = criterion(net(x), x)
        loss.backward()
        optimizer.step()
        if step % 100 == 0 or step == args.steps - 1:
            print(f"step {step:4d}  mean squared error {loss.item():.4f}")

    x = datasets.MNIST(args.data, train=False).data[:8].view(-1, 784).float() / 255
    with fb.no_grad():
        pictures = fb.cat([x, net(x)]).view(-1, 1, 28, 28)
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(os.path.normpath(args.out), "autoencoder.png")
    utils.save_image(pictures, path, nrow=8)
    print("Picture:", os.path.relpath(path))


if __name__ == "__main__":
    main()
