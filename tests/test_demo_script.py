"""The original demonstration, behaviour by behaviour (numbers as in its list of 48)."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from under_test import IS_TORCH, MODULE, fb, submodule

nn = submodule("nn")
F = submodule("nn.functional")
optim = submodule("optim")
DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")


def run(code):
    """Runs a script in a fresh interpreter; returns its output and the warnings."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )


def test_01_import_is_silent():
    done = run(f"import {MODULE}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_01_import_takes_no_numpy_and_little_time():
    if IS_TORCH:
        pytest.skip("PyTorch imports NumPy")
    done = run(f"import sys, {MODULE}; print('numpy' in sys.modules)")
    assert done.stdout.strip() == "False", "NumPy is for those who ask"
    code = f"import time; t = time.perf_counter(); import {MODULE}; print(time.perf_counter() - t)"
    best = min(float(run(code).stdout) for _ in range(5))
    assert best < 0.2, f"import takes {best:.3f} s; the budget is 0.1 s on a quiet machine"


def test_02_03_parallel_array_work():
    before = fb.get_num_threads()
    try:
        fb.set_num_threads(2)
        assert fb.get_num_threads() == 2
        x = fb.rand(500_000)
        np.testing.assert_allclose(fb.exp(x).numpy(), np.exp(x.numpy()), rtol=1e-6)
    finally:
        fb.set_num_threads(before)


def test_04_07_uninitialised_tensors():
    x = fb.Tensor(5, 3)
    assert x.shape == (5, 3) and x.dtype == fb.float32
    assert fb.empty(5, 3).shape == (5, 3)
    assert (
        "uninitialized" in fb.empty.__doc__.lower() or "uninitialised" in fb.empty.__doc__.lower()
    )
    assert "e+20" in repr(fb.tensor([1e20, 1e-20])) and "e-20" in repr(fb.tensor([1e20, 1e-20]))


def test_05_06_print_shows_values(capsys):
    print(fb.ones(5, 3))
    text = capsys.readouterr().out
    assert text.count("[1., 1., 1.]") == 5

    class Net(nn.Module):
        def forward(self, x):
            print(x)
            return x

    Net()(fb.ones(1, 2, requires_grad=True) * 3)
    assert "3., 3." in capsys.readouterr().out


def test_08_rand():
    fb.manual_seed(1)
    x = fb.rand(5, 3)
    assert x.dtype == fb.float32 and (x >= 0).all() and (x < 1).all() and x.unique().numel() == 15
    fb.manual_seed(1)
    assert fb.equal(x, fb.rand(5, 3))


def test_09_size():
    x = fb.rand(5, 3)
    assert x.size() == fb.Size([5, 3]) == (5, 3) == x.shape and isinstance(x.size(), tuple)
    rows, columns = x.size()
    assert (rows, columns) == (5, 3)


def test_10_summarised_printing():
    assert "..." in repr(fb.zeros(1001)) and "..." not in repr(fb.zeros(1000))
    try:
        fb.set_printoptions(threshold=5, edgeitems=1, precision=2)
        assert repr(fb.tensor([1 / 3] * 9)) == "tensor([0.33,  ..., 0.33])"
    finally:
        fb.set_printoptions(profile="default")


def test_11_slicing():
    x = fb.arange(15).reshape(5, 3)
    column = x[:, 1]
    assert column.shape == (5,) and column.tolist() == [1, 4, 7, 10, 13]
    assert (
        x[:, 0:2].shape == (5, 2)
        and x[-1].tolist() == [12, 13, 14]
        and x[::2, None].shape == (3, 1, 3)
    )
    assert x[..., 0].shape == (5,) and x[x > 12].tolist() == [13, 14] and x[[0, 2]].shape == (2, 3)
    column[0] = 100
    assert x[0, 1] == 100


def test_12_15_to_numpy():
    x = fb.ones(5)
    a = x.numpy()
    assert isinstance(a, np.ndarray) and a.ctypes.data == x.data_ptr()
    x.add_(1)
    assert a.tolist() == [2, 2, 2, 2, 2]
    big = fb.zeros(10_000_000)
    t = time.perf_counter()
    for _ in range(100):
        big.numpy()
    assert (time.perf_counter() - t) / 100 < 1e-3, "no copy, whatever the size"
    with pytest.raises(RuntimeError, match="detach"):
        fb.ones(2, requires_grad=True).numpy()


def test_16_17_from_numpy():
    a = np.ones(5)
    x = fb.from_numpy(a)
    assert repr(x) == "tensor([1., 1., 1., 1., 1.], dtype=" + repr(fb.float64) + ")"
    np.add(a, 1, out=a)
    assert x.tolist() == [2, 2, 2, 2, 2]
    del a
    assert x.sum() == 10


def test_18_19_recorded_graph():
    x = fb.ones(2, requires_grad=True)
    y = x * 2
    z = y.sum()
    assert z.grad_fn is not None and x.is_leaf and x.requires_grad and not y.is_leaf
    y.retain_grad()
    z.backward()
    assert x.grad.tolist() == [2, 2] and y.grad.tolist() == [1, 1]


def test_20_reinforcement_learning_update():
    policy = nn.Linear(3, 2)
    probs = F.softmax(policy(fb.rand(4, 3)), dim=-1)
    action = fb.multinomial(probs, 1)
    loss = -(probs.gather(1, action).log() * fb.rand(4, 1)).mean()
    loss.backward()
    assert policy.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "name,kw",
    [
        ("SGD", dict(lr=0.1, momentum=0.5, nesterov=True)),
        ("Adam", dict(lr=0.3)),
        ("AdamW", dict(lr=0.3)),
        ("Adagrad", dict(lr=0.9)),
        ("RMSprop", dict(lr=0.1)),
        ("Adadelta", dict(lr=30.0)),
        ("LBFGS", {}),
        ("ASGD", dict(lr=0.2)),
        ("Rprop", dict(lr=0.1)),
        ("Adamax", dict(lr=0.4)),
    ],
)
def test_21_optimisers(name, kw):
    w = nn.Parameter(fb.tensor([3.0, -2.0]))
    opt = getattr(optim, name)([w], **kw)

    def closure():
        opt.zero_grad()
        loss = ((w - 1) ** 2).sum()
        loss.backward()
        return loss

    first = closure().item()
    for _ in range(60):
        opt.step(closure)
    assert closure().item() < first / 20


def test_22_loading_data():
    data = submodule("utils.data")
    ds = data.TensorDataset(fb.arange(10), fb.arange(10) * 2)
    seen = []
    for x, y in data.DataLoader(ds, batch_size=4, shuffle=True):
        assert (y == 2 * x).all()
        seen += x.tolist()
    assert sorted(seen) == list(range(10)) and len(data.DataLoader(ds, batch_size=4)) == 3


def test_24_variable():
    from importlib import import_module

    Variable = import_module(f"{MODULE}.autograd").Variable
    v = Variable(fb.ones(2), requires_grad=True)
    assert isinstance(v, fb.Tensor) and v.requires_grad and v.data.tolist() == [1, 1]
    assert not Variable(fb.ones(2)).requires_grad


def test_25_functional():
    x = fb.rand(1, 1, 8, 8)
    assert F.relu(x).shape == F.dropout(x).shape == (1, 1, 8, 8)
    assert F.max_pool2d(x, 2).shape == (1, 1, 4, 4)
    assert abs(F.log_softmax(fb.rand(2, 5), dim=1).exp().sum().item() - 2) < 1e-5


def neuron():
    x = fb.randn(1, 10, requires_grad=True)
    h = fb.randn(1, 20, requires_grad=True)
    w_h = fb.randn(20, 20, requires_grad=True)
    w_x = fb.randn(20, 10, requires_grad=True)
    i2h = fb.mm(w_x, x.t())
    h2h = fb.mm(w_h, h.t())
    return (x, h, w_h, w_x), (i2h + h2h).tanh()


def test_26_28_neuron():
    leaves, next_h = neuron()
    x, h, w_h, w_x = (t.detach().numpy() for t in leaves)
    np.testing.assert_allclose(next_h.detach().numpy(), np.tanh(w_x @ x.T + w_h @ h.T), atol=1e-5)
    assert next_h.shape == (20, 1) and "grad_fn=<Tanh" in repr(next_h)


def test_29_31_backward_with_ones():
    leaves, next_h = neuron()
    with pytest.raises(RuntimeError, match="(?i)shape") as info:
        next_h.backward(fb.ones(1, 20))
    if not IS_TORCH:
        assert ".t()" in str(info.value), "the message proposes the transpose"
    leaves, next_h = neuron()
    next_h.backward(fb.ones(20, 1))
    assert [tuple(t.grad.shape) for t in leaves] == [(1, 10), (1, 20), (20, 20), (20, 10)]
    s = 1 - next_h.detach() ** 2
    np.testing.assert_allclose(leaves[3].grad.numpy(), (s @ leaves[0].detach()).numpy(), atol=1e-5)
    assert "tensor(" in repr(leaves[0].grad)


@pytest.mark.skipif(IS_TORCH, reason="torchvision is another package")
def test_23_33_35_datasets_and_loader():
    vision = submodule("vision")
    train = vision.datasets.MNIST(DATA, train=True, transform=vision.transforms.ToTensor())
    test = vision.datasets.MNIST(DATA, train=False, transform=vision.transforms.ToTensor())
    assert len(train) == 60_000 and len(test) == 10_000
    image, label = train[0]
    assert label == 5 and image.shape == (1, 28, 28) and 0 <= image.min() and image.max() == 1
    loader = submodule("utils.data").DataLoader(train, batch_size=64, shuffle=True)
    x, y = next(iter(loader))
    assert x.shape == (64, 1, 28, 28) and y.dtype == fb.int64 and len(loader) == 938
    for name in ("FashionMNIST", "CIFAR10", "CIFAR100"):
        assert hasattr(vision.datasets, name)


class Net(nn.Module):
    """The network of the demonstration: two convolutions, three linear layers, a bit of dropout."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.drop = nn.Dropout2d()
        self.fc1 = nn.Linear(320, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2))
        x = x.view(-1, 320)
        x = F.dropout(F.relu(self.fc1(x)), training=self.training)
        return self.fc3(F.relu(self.fc2(x)))


def test_36_39_module():
    net = Net()
    names = [n for n, _ in net.named_parameters()]
    assert names[:2] == ["conv1.weight", "conv1.bias"] and len(names) == 10
    assert all(p.is_leaf and p.requires_grad for p in net.parameters())
    text = repr(net)
    assert "(conv1): Conv2d(1, 10, kernel_size=(5, 5), stride=(1, 1))" in text
    assert "(fc3): Linear(in_features=84, out_features=10, bias=True)" in text
    with fb.no_grad():
        for p in net.parameters():
            p.mul_(0)
    assert all(p.abs().sum() == 0 for p in net.parameters())


def test_40_41_criterion_and_optimiser():
    loss = nn.CrossEntropyLoss()(fb.zeros(4, 10), fb.tensor([0, 1, 2, 3]))
    assert loss.shape == () and abs(loss.item() - np.log(10)) < 1e-6
    assert optim.Adam(Net().parameters()).param_groups[0]["lr"] == 1e-3


def test_42_calling_runs_forward_and_hooks():
    net = Net().eval()
    x, seen = fb.rand(2, 1, 28, 28), []
    handle = net.register_forward_hook(lambda m, i, o: seen.append(o.shape))
    assert fb.equal(net(x), net.forward(x)) and seen == [(2, 10)]
    handle.remove()


def test_43_44_training_step():
    net, x, y = Net(), fb.rand(32, 1, 28, 28), fb.randint(0, 10, (32,))
    criterion, opt = nn.CrossEntropyLoss(), optim.Adam(net.parameters())
    net.eval()
    criterion(net(x), y).backward()
    once = net.fc3.weight.grad.clone()
    criterion(net(x), y).backward()
    assert fb.allclose(net.fc3.weight.grad, 2 * once, atol=1e-6)
    opt.zero_grad()
    assert net.fc3.weight.grad is None
    losses = []
    for _ in range(30):
        opt.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_45_inference_on_random_input():
    out = Net()(fb.autograd.Variable(fb.randn(1, 1, 28, 28)))
    assert out.shape == (1, 10) and fb.isfinite(out).all()


def test_32_46_47_gpu():
    if not fb.cuda.is_available():
        with pytest.raises((AssertionError, RuntimeError), match="(?i)cuda|nvidia"):
            Net().cuda()
        assert fb.ones(2).cpu().tolist() == [1, 1]
        return
    net, x = Net().eval(), fb.rand(2, 1, 28, 28)
    want = net(x)
    got = net.cuda()(x.cuda())
    assert "cuda" in repr(got) and fb.allclose(got.cpu(), want, atol=1e-4)


def test_48_python_all_the_way():
    import pickle

    x = fb.rand(3, requires_grad=True)
    total = fb.zeros(())
    for v in x:
        total = total + (v * 2 if v > 0.5 else v)
    total.backward()
    assert set(x.grad.tolist()) <= {1.0, 2.0} and len(x) == 3 and bool(x.sum() > 0)
    net = pickle.loads(pickle.dumps(nn.Linear(2, 3)))
    assert net(fb.ones(2)).shape == (3,)
