"""The demonstration: a small convolutional network learns to read digits, then is looked into.

    python examples/mnist.py              one epoch over 60,000 digits, then the test
    EPOCHS=5 python examples/mnist.py     five epochs
    python examples/mnist.py --device cuda        on a GPU

Pictures go to out/. The digits are in data/; were they missing, they would be downloaded.
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


class Net(nn.Module):
    """Two convolutions, a bit of dropout, three linear layers: 54,814 parameters."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d(p=0.1)
        self.fc1 = nn.Linear(320, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = x.view(-1, 320)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class Bar:
    """Counts images: tqdm's bar where it is installed, else a line of our own."""

    def __init__(self, total, label):
        self.total, self.label, self.done, self.start = total, label, 0, time.time()
        self.shown = 0.0
        try:
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc=label, unit=" images", mininterval=0.2)
        except ImportError:
            self.bar = None

    def step(self, count, loss):
        self.done += count
        now = time.time()
        if now - self.shown < 0.2 and self.done < self.total:
            return
        counted, self.shown = self.done, now
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            self.bar.update(counted - self.bar.n)
            return
        speed = self.done / (now - self.start)
        left = (self.total - self.done) / speed
        print(f"\r{self.label} {self.done:6d}/{self.total}  loss {loss:.4f}  "
              f"{speed:,.0f} images/s  {left:3.0f} s left ", end="", flush=True)  # fmt: skip

    def close(self):
        if self.bar is not None:
            self.bar.close()
        else:
            print()


def load(root):
    """Return the training and the test set, normalised to mean 0 and deviation 1."""
    prepare = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    )
    train = datasets.MNIST(root, train=True, download=True, transform=prepare)
    test = datasets.MNIST(root, train=False, download=True, transform=prepare)
    return train, test


def train_epoch(net, loader, optimizer, schedule, criterion, label, device):
    """Go once over the data; return the loss of every batch."""
    net.train()
    losses, bar = [], Bar(len(loader.dataset), label)
    for images, labels in loader:
        optimizer.zero_grad()
        output = net(images.to(device))
        loss = criterion(output, labels.to(device))
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        bar.step(len(images), losses[-1])
    bar.close()
    return losses


def evaluate(net, test, device):
    """Return (accuracy in percent, 10 x 10 table of truth against answer)."""
    net.eval()
    table = fb.zeros(10, 10, dtype=fb.int64)
    with fb.no_grad():
        for images, labels in DataLoader(test, batch_size=1000):
            answers = net(images.to(device)).argmax(1).cpu()
            table += fb.bincount(labels * 10 + answers, minlength=100).view(10, 10)
    return 100.0 * table.diagonal().sum().item() / len(test), table


def draw(folder, train, losses, table, net):
    """Write digit.png, loss.png, confusion.png and filters.png."""
    try:
        import matplotlib
    except ImportError:
        print("No pictures: matplotlib is missing. Install it with: pip install matplotlib")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    os.makedirs(folder, exist_ok=True)

    def finish(name):
        plt.tight_layout()
        plt.savefig(os.path.join(folder, name), dpi=120)
        plt.close()

    plt.figure(figsize=(3.6, 3.6))
    plt.imshow(train.data[0].numpy())
    plt.title(f"first training digit: {train.targets[0].item()}")
    finish("digit.png")

    plt.figure(figsize=(6, 3.6))
    plt.plot(losses, alpha=0.35, label="batch")
    window = 50
    smooth = fb.tensor(losses).unfold(0, window, 1).mean(1) if len(losses) > window else None
    if smooth is not None:
        plt.plot(range(window - 1, len(losses)), smooth.numpy(), label=f"mean of {window}")
    plt.yscale("log")
    plt.xlabel("batch")
    plt.ylabel("cross-entropy")
    plt.legend()
    finish("loss.png")

    plt.figure(figsize=(5, 5))
    counts = table.tolist()
    plt.imshow(table.double().add(1).log().numpy(), cmap="Blues")
    for truth in range(10):
        for answer in range(10):
            if counts[truth][answer]:
                colour = "white" if truth == answer else "black"
                plt.text(answer, truth, counts[truth][answer], ha="center", va="center",
                         fontsize=7, color=colour)  # fmt: skip
    plt.xticks(range(10))
    plt.yticks(range(10))
    plt.xlabel("answer")
    plt.ylabel("truth")
    finish("confusion.png")

    filters = net.conv1.weight.detach().cpu()
    figure, axes = plt.subplots(2, 5, figsize=(6, 2.7))
    for axis, kernel in zip(axes.flat, filters):
        axis.imshow(kernel[0].numpy(), cmap="RdBu")
        axis.axis("off")
    figure.suptitle("filters of the first layer")
    finish("filters.png")
    print(f"Pictures: {os.path.relpath(folder)}/digit.png loss.png confusion.png filters.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=int(os.environ.get("EPOCHS", 1)))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", 0)))
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--data", default=os.path.join(HERE, "..", "data"))
    parser.add_argument("--out", default=os.path.join(HERE, "..", "out"))
    args = parser.parse_args()

    fb.manual_seed(args.seed)
    train, test = load(args.data)
    print(f"{len(train)} digits to learn from, {len(test)} to be tested on")
    print(f"The first one, a {train.targets[0].item()}:", tuple(train.data[0].shape))
    loader = DataLoader(train, batch_size=64, shuffle=True)

    net = Net().to(args.device)
    print(net)
    print(f"{sum(p.numel() for p in net.parameters()):,} parameters")
    criterion = nn.CrossEntropyLoss()
    optimizer = fb.optim.Adam(net.parameters(), lr=3e-3)
    steps = args.epochs * len(loader)
    schedule = fb.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total_iters=steps)

    losses, start = [], time.time()
    for epoch in range(args.epochs):
        label = f"epoch {epoch + 1}/{args.epochs}"
        losses += train_epoch(net, loader, optimizer, schedule, criterion, label, args.device)
    print(f"Trained in {time.time() - start:.1f} s")

    accuracy, table = evaluate(net, test, args.device)
    print(f"Test accuracy: {accuracy:.2f} %")
    draw(os.path.normpath(args.out), train, losses, table, net)


if __name__ == "__main__":
    main()
