"""Whole training steps, inference, and the data path."""

from __future__ import annotations

import gzip
import importlib
import math

from .base import ROOT, case, functional
from .jax_programs import convolutional_jax, perceptron_jax

G = "programs"


def demo_net(m):
    """The network of the demonstration."""
    nn = m.nn
    return nn.Sequential(
        nn.Conv2d(1, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.Dropout2d(),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(320, 120),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def training(m, net, opt, criterion=None):
    """A function that takes one step on (x, y)."""
    criterion = criterion or m.nn.CrossEntropyLoss()

    def step(x, y):
        opt.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        opt.step()
        return loss

    return step


def demo_step(m):
    net = demo_net(m)
    step = training(m, net, m.optim.Adam(net.parameters()))
    x, y = m.rand(64, 1, 28, 28), m.randint(0, 10, (64,))
    return lambda: step(x, y)


def demo_inference(batch):
    def make(m):
        net, x = demo_net(m).eval(), m.rand(batch, 1, 28, 28)

        def run():
            with m.no_grad():
                return net(x)

        return run

    return make


def perceptron_step(m):
    nn = m.nn
    net = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    step = training(m, net, m.optim.Adam(net.parameters()))
    x, y = m.rand(128, 784), m.randint(0, 10, (128,))
    return lambda: step(x, y)


def convolutional_step(m):
    nn = m.nn
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3136, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    step = training(m, net, m.optim.Adam(net.parameters()))
    x, y = m.rand(64, 1, 28, 28), m.randint(0, 10, (64,))
    return lambda: step(x, y)


def autoencoder_step(m):
    nn = m.nn
    net = nn.Sequential(
        nn.Linear(784, 128),
        nn.ReLU(),
        nn.Linear(128, 8),
        nn.Linear(8, 128),
        nn.ReLU(),
        nn.Linear(128, 784),
        nn.Sigmoid(),
    )
    step = training(m, net, m.optim.Adam(net.parameters(), lr=2e-3), nn.MSELoss())
    x = m.rand(128, 784)
    return lambda: step(x, x)


def residual_step(m):
    """ResNet-20 on CIFAR's shape, batch 32, SGD with momentum."""
    nn = m.nn

    class Block(nn.Module):
        def __init__(self, channels, out, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(out)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(out)
            self.short = nn.Sequential()
            if stride > 1:
                self.short = nn.Sequential(
                    nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
                )

        def forward(self, x):
            y = functional(m).relu(self.norm1(self.conv1(x)))
            return functional(m).relu(self.norm2(self.conv2(y)) + self.short(x))

    blocks, channels = [], 16
    for out in (16, 32, 64):
        for i in range(3):
            blocks.append(Block(channels, out, 2 if i == 0 and out > 16 else 1))
            channels = out
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    step = training(m, net, m.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4))
    x, y = m.rand(32, 3, 32, 32), m.randint(0, 10, (32,))
    return lambda: step(x, y)


def gpt_step(m):
    """A small GPT: 4 blocks, 4 heads, 128 wide, 64 characters, batch 12, AdamW."""
    nn = m.nn
    width, heads, length, letters, batch = 128, 4, 64, 65, 12

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            b, t, c = x.shape
            q, k, v = (
                part.view(b, t, heads, c // heads).transpose(1, 2)
                for part in self.qkv(self.norm1(x)).split(c, dim=2)
            )
            y = functional(m).scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.transpose(1, 2).contiguous().view(b, t, c))
            return x + self.down(functional(m).gelu(self.up(self.norm2(x))))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.place = nn.Embedding(letters, width), nn.Embedding(length, width)
            self.blocks = nn.ModuleList(Block() for _ in range(4))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, letters, bias=False)

        def forward(self, i):
            x = self.token(i) + self.place(m.arange(i.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    net = Net()
    opt = m.optim.AdamW(net.parameters(), lr=1e-3)
    i = m.randint(0, letters, (batch, length + 1))
    x, y = i[:, :-1], i[:, 1:].reshape(-1)

    def run():
        loss = functional(m).cross_entropy(net(x).view(-1, letters), y)
        opt.zero_grad()
        loss.backward()
        m.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()

    return run


def letters_step(m):
    """A character model: embedding, two LSTM layers of 256, 64 steps, batch 32, Adam."""
    nn = m.nn
    table, rnn, head = nn.Embedding(65, 64), nn.LSTM(64, 256, 2), nn.Linear(256, 65)
    opt = m.optim.Adam([*table.parameters(), *rnn.parameters(), *head.parameters()])
    i = m.randint(0, 65, (65, 32))

    def run():
        opt.zero_grad()
        out, _ = rnn(table(i[:-1]))
        functional(m).cross_entropy(head(out).view(-1, 65), i[1:].reshape(-1)).backward()
        opt.step()

    return run


def cell_step(m):
    nn = m.nn
    cell, head = nn.LSTMCell(64, 128), nn.Linear(128, 64)
    opt = m.optim.Adam([*cell.parameters(), *head.parameters()])
    xs, y = m.rand(16, 8, 64), m.randint(0, 64, (8,))

    def run():
        opt.zero_grad()
        state = None
        for x in xs:
            state = cell(x, state)
        functional(m).cross_entropy(head(state[0]), y).backward()
        opt.step()

    return run


def policy_episode(m):
    """REINFORCE: an episode of 50 steps with a tiny policy, then one update."""
    nn = m.nn
    distributions = importlib.import_module(m.__name__ + ".distributions")
    policy = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
    opt = m.optim.Adam(policy.parameters(), lr=1e-2)

    def run():
        chosen, state = [], [0.01, 0.02, -0.03, 0.04]
        for _ in range(50):
            chances = distributions.Categorical(logits=policy(m.tensor(state)))
            action = chances.sample()
            chosen.append(chances.log_prob(action))
            push = 0.02 if action.item() else -0.02
            state = [math.sin(s + push) for s in state]
        worth, ahead = [], 0.0
        for _ in range(50):
            ahead = 1.0 + 0.99 * ahead
            worth.append(ahead)
        w = m.tensor(worth[::-1])
        w = (w - w.mean()) / (w.std() + 1e-6)
        opt.zero_grad()
        (-(m.stack(chosen) * w).sum()).backward()
        opt.step()

    return run


case(G, "demonstration, training step of 64", demo_step)
case(G, "demonstration, inference of 1", demo_inference(1))
case(G, "demonstration, inference of 1000", demo_inference(1000))
case(G, "perceptron 784-256-128-10, training step of 128", perceptron_step, jax=perceptron_jax)
case(G, "CNN 32-64, training step of 64", convolutional_step, jax=convolutional_jax)
case(G, "autoencoder, training step of 128", autoencoder_step)
case(G, "ResNet-20 on CIFAR's shape, training step of 32", residual_step)
case(G, "small GPT, training step of 12 x 64", gpt_step)
case(G, "character LSTM, training step of 32 x 64", letters_step)
case(G, "LSTM cell, 16 steps, training", cell_step)
case(G, "REINFORCE, an episode of 50 steps", policy_episode)
# Programs whose peak memory is compared.
STEPS = {
    "demonstration": demo_step,
    "perceptron": perceptron_step,
    "CNN 32-64": convolutional_step,
    "autoencoder": autoencoder_step,
    "ResNet-20": residual_step,
    "small GPT": gpt_step,
    "character LSTM": letters_step,
    "REINFORCE": policy_episode,
}

G = "data"


def digits(m, limit):
    """MNIST's training images and labels as tensors."""
    import numpy as np

    raw = ROOT / "data" / "MNIST" / "raw"
    with gzip.open(raw / "train-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:limit]
    with gzip.open(raw / "train-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(), np.uint8, offset=8)[:limit]
    return m.from_numpy(x.astype("f") / 255), m.from_numpy(y.astype("i8"))


def epoch(limit):
    def make(m):
        data = m.utils.data
        loader = data.DataLoader(data.TensorDataset(*digits(m, limit)), batch_size=64, shuffle=True)
        net = demo_net(m)
        step = training(m, net, m.optim.Adam(net.parameters()))

        def run():
            for x, y in loader:
                step(x, y)

        return run

    return make


def loading(count, **kw):
    """An iteration over a TensorDataset of small images."""

    def make(m):
        data = m.utils.data
        images, labels = m.rand(count, 3, 32, 32), m.randint(0, 10, (count,))
        loader = data.DataLoader(data.TensorDataset(images, labels), batch_size=64, **kw)

        def run():
            for _ in loader:
                pass

        return run

    return make


def samples(m):
    """A dataset that makes (image, label) of each index, collated by the loader."""
    data = m.utils.data

    class Images(data.Dataset):
        images = (m.rand(2000, 1, 28, 28) * 255).to(m.uint8)

        def __len__(self):
            return 2000

        def __getitem__(self, i):
            return (self.images[i].to(m.float32) / 255 - 0.13) / 0.31, i % 10

    loader = data.DataLoader(Images(), batch_size=64, shuffle=True)

    def run():
        for _ in loader:
            pass

    return run


case(G, "MNIST, a tenth of an epoch with its loader", epoch(6000), long=True)
case(G, "MNIST, an epoch with its loader", epoch(None), long=True)
case(G, "loader, 2,000 images in order", loading(2000))
case(G, "loader, 2,000 images shuffled", loading(2000, shuffle=True))
case(G, "loader, 2,000 images made one by one", samples)
case(G, "loader, 2 worker processes", loading(2000, num_workers=2), long=True)


def collate(m):
    pairs = [(m.rand(3, 32, 32), i) for i in range(64)]
    return lambda: m.utils.data.default_collate(pairs)


case(G, "default_collate of 64 images", collate)
case(G, "to NumPy and back", lambda m: round_trip(m))
case(G, "state_dict and load_state_dict", lambda m: states(m))


def round_trip(m):
    a = m.rand(1000)
    return lambda: m.from_numpy(a.numpy())


def states(m):
    net = demo_net(m)
    return lambda: net.load_state_dict(net.state_dict())
