"""Whole training steps on a GPU: the same numbers as on the CPU, eagerly and as a CUDA graph."""

import pytest

from cuda_support import DEVICE, exact_products, needs_cuda  # noqa: F401
from under_test import fb

nn, F = fb.nn, fb.nn.functional
pytestmark = [needs_cuda, pytest.mark.usefixtures("exact_products")]


class Digits(nn.Module):
    """The demonstration's network."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5)
        self.drop = nn.Dropout2d(0.1)
        self.fc1, self.fc2, self.fc3 = nn.Linear(320, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2)).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
        )
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(F.relu(x + self.body(x)).mean((2, 3)))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.out = nn.Linear(16, 11)

    def forward(self, x):
        return self.out(self.block(self.embed(x))).flatten(0, 1)


class Letters(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


def batches():
    ids = fb.randint(0, 11, (3, 7))
    return {
        Digits: (fb.rand(4, 1, 28, 28), fb.randint(0, 10, (4,))),
        Residual: (fb.randn(3, 4, 6, 6), fb.randint(0, 5, (3,))),
        Words: (ids, ids.roll(-1, 1).flatten()),
        Letters: (fb.randn(4, 5, 6), fb.randint(0, 3, (4,))),
    }


OPTIMIZERS = {
    Digits: lambda p: fb.optim.Adam(p),
    Residual: lambda p: fb.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-4),
    Words: lambda p: fb.optim.AdamW(p, lr=1e-3),
    Letters: lambda p: fb.optim.RMSprop(p, lr=1e-3),
}


def train(kind, device, steps=3):
    """Losses of some steps, and the state after them."""
    fb.manual_seed(0)
    net = kind().to(device)
    x, y = (t.to(device) for t in batches()[kind])
    opt = OPTIMIZERS[kind](net.parameters())
    fb.manual_seed(1)
    losses = []
    for _ in range(steps):
        opt.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        opt.step()
        losses.append(loss.item())
    return losses, net.state_dict()


@pytest.mark.parametrize("kind", [Digits, Residual, Words, Letters], ids=lambda k: k.__name__)
def test_training_is_that_of_the_cpu(kind):
    here, there = train(kind, "cpu"), train(kind, DEVICE)
    assert there[0] == pytest.approx(here[0], rel=2e-5)
    assert here[0][-1] != here[0][0]
    for name, value in here[1].items():
        moved = there[1][name]
        assert moved.is_cuda
        if name.endswith("in_proj_bias"):  # the keys' third: its gradient is rounding alone
            value, moved = (fb.cat(t.chunk(3)[::2]) for t in (value, moved))
        assert fb.allclose(moved.cpu(), value, rtol=1e-3, atol=2e-4), name


def test_a_captured_training_step_learns_as_the_eager_one():
    def setup():
        fb.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).to(DEVICE)
        return net, fb.optim.Adam(net.parameters(), lr=0.01, capturable=True)

    data = [(fb.randn(8, 6), fb.randint(0, 3, (8,))) for _ in range(5)]
    x, y = data[0][0].to(DEVICE), data[0][1].to(DEVICE)

    def step(net, opt):
        opt.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        return loss

    net, opt = setup()
    eager = []
    for a, b in data:
        x.copy_(a)
        y.copy_(b)
        eager.append(step(net, opt).item())

    captured, opt = setup()
    before = {k: v.clone() for k, v in captured.state_dict().items()}
    side = fb.cuda.Stream()
    side.wait_stream(fb.cuda.current_stream())
    with fb.cuda.stream(side):
        step(captured, opt)  # what is made on first use is made before the capture
    fb.cuda.current_stream().wait_stream(side)
    captured.load_state_dict(before)
    for state in opt.state.values():
        for value in state.values():
            value.zero_()
    graph = fb.cuda.CUDAGraph()
    with fb.cuda.graph(graph):
        loss = step(captured, opt)
    losses = []
    for a, b in data:
        x.copy_(a)
        y.copy_(b)
        graph.replay()
        losses.append(loss.item())
    assert losses == pytest.approx(eager, rel=1e-5)
    for p, q in zip(net.parameters(), captured.parameters(), strict=True):
        assert fb.allclose(p, q, rtol=1e-4, atol=1e-6)
