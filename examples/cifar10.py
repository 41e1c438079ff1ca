"""Colour pictures: a small residual network learns CIFAR-10, with crops and flips.

python examples/cifar10.py --download            get the data (170 MB) and learn
python examples/cifar10.py --fake                try the program on random pictures
"""

import argparse
import os
import time

import flambeau as fb
import flambeau.nn as nn
import flambeau.nn.functional as F
from flambeau.utils.data import DataLoader
from flambeau.vision import datasets, transforms

HERE = os.path.dirname(os.path.abspath(__file__))
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Block(nn.Module):
    """Two convolutions and a shortcut past them (He et al., 2016)."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.past = nn.Identity()
        if stride != 1 or before != after:
            self.past = nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.past(x))


def network(width=16):
    """Return a network for [N, 3, 32, 32] -> [N, 10]."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(),
        Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10),
    )  # fmt: skip


def load(args):
    """Return the training and the test set."""
    plain = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    varied = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *plain]
    varied, plain = transforms.Compose(varied), transforms.Compose(plain)
    if args.fake:
        fake = datasets.FakeData
        return fake(256, (3, 32, 32), transform=varied), fake(64, (3, 32, 32), transform=plain)
    kind = datasets.CIFAR10
    return (kind(args.data, train=True, transform=varied, download=args.download),
            kind(args.data, train=False, transform=plain, download=args.download))  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.path.join(HERE, "..", "data"))
    parser.add_argument("--epochs", type=int, default=int(os.environ.get("EPOCHS", 1)))
    parser.add_argument("--download", action="store_true")
    parser.add_argument("--fake", action="store_true")
    args = parser.parse_args()

    fb.manual_seed(0)
    train, test = load(args)
    loader = DataLoader(train, batch_size=128, shuffle=True)
    net = network()
    optimizer = fb.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    steps = args.epochs * len(loader)
    schedule = fb.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(args.epochs):
        net.train()
        start, total = time.time(), 0.0
        for pictures, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(pictures), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(labels)
        seconds = time.time() - start
        speed = len(train) / seconds
        print(f"epoch {epoch + 1}: loss {total / len(train):.3f}, {speed:,.0f} images/s")
    net.eval()
    with fb.no_grad():
        right = sum((net(x).argmax(1) == y).sum().item() for x, y in DataLoader(test, 256))
    print(f"Test accuracy: {100 * right / len(test):.2f} %")


if __name__ == "__main__":
    main()
