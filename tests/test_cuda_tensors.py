"""Tensors on a GPU as Python sees them: moves, text, files, other libraries, modules."""

import copy
import io
import pickle

import numpy as np
import pytest

from cuda_support import DEVICE, needs_cuda
from under_test import fb

pytestmark = needs_cuda
two_gpus = pytest.mark.skipif(
    not fb.cuda.is_available() or fb.cuda.device_count() < 2, reason="needs two GPUs"
)


@pytest.fixture
def x():
    return fb.arange(6.0).reshape(2, 3).to(DEVICE)


# Moves -------------------------------------------------------------------------------------------


def test_where_a_tensor_is(x):
    assert x.is_cuda and not x.is_cpu and x.get_device() == 0
    assert x.device == fb.device("cuda", 0) and str(x.device) == "cuda:0"
    assert fb.ones(1).get_device() == -1
    for made in (
        fb.tensor([1.0, 2.0], device=DEVICE),
        fb.as_tensor(np.ones(2), device="cuda:0"),
        fb.ones(2).cuda(),
        fb.ones(2).cuda(0),
        fb.ones(2).to(fb.device("cuda")),
        fb.ones(2).to(x),
        fb.zeros(2).to(DEVICE, non_blocking=True),
        x.new_tensor([1.0]),
        x.new_zeros(2),
        fb.zeros_like(x),
        fb.empty(2, device=DEVICE),
    ):
        assert made.device == x.device
    assert x.cuda() is x and x.to("cuda") is x and x.to("cuda:0") is x
    assert fb.tensor(x.detach()).device == x.device and fb.tensor(x, device="cpu").is_cpu
    assert fb.as_tensor(x) is x and fb.as_tensor(x, device="cpu").is_cpu


def test_moves_keep_values_strides_and_gradients():
    a = fb.arange(24.0, dtype=fb.float64).reshape(2, 3, 4).permute(2, 0, 1).requires_grad_()
    b = a.cuda()
    assert b.stride() == a.stride() and b.tolist() == a.tolist()
    half = a.to(DEVICE, fb.float16)
    assert half.dtype == fb.float16 and half.cpu().tolist() == a.tolist()
    (b * b).sum().backward()
    assert a.grad.is_cpu and fb.equal(a.grad, 2 * a.detach())
    part = b.detach()[1, :, 1:]
    assert part.cpu().tolist() == a[1, :, 1:].tolist()
    assert part.tolist() == a[1, :, 1:].tolist() and part[0, 0].item() == a[1, 0, 1].item()


def test_gradients_stay_on_their_device(x):
    w = fb.ones(2, 3, device=DEVICE).requires_grad_()
    (w * x).sum().backward()
    assert w.grad.device == x.device and w.grad.tolist() == x.tolist()
    with pytest.raises(RuntimeError, match="different device: cpu, expected cuda:0"):
        w.grad = fb.ones(2, 3)


def test_pinned_memory():
    a = fb.arange(1000.0)
    p = a.pin_memory()
    assert p.is_pinned() and not a.is_pinned() and p.tolist() == a.tolist()
    assert p.pin_memory() is p and p[10:20].is_pinned()
    b = p.to(DEVICE, non_blocking=True)
    back = fb.empty(1000).pin_memory()
    back.copy_(b, non_blocking=True)
    fb.cuda.synchronize()
    assert back.tolist() == a.tolist()
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        b.pin_memory()


def test_loader_pins_batches():
    data = fb.utils.data.TensorDataset(fb.arange(6.0), fb.arange(6))
    for a, b in fb.utils.data.DataLoader(data, batch_size=3, pin_memory=True):
        assert a.is_pinned() and b.is_pinned()
        assert a.to(DEVICE, non_blocking=True).tolist() == b.tolist()


def test_default_device():
    assert fb.get_default_device() == fb.device("cpu")
    with fb.device(DEVICE):
        assert fb.get_default_device() == fb.device("cuda", 0)
        for made in (
            fb.ones(2),
            fb.tensor([1.0]),
            fb.as_tensor(np.ones(2)),
            fb.rand(2),
            fb.arange(3),
            fb.eye(2),
            fb.linspace(0, 1, 3),
            fb.nn.Linear(2, 2).bias,
        ):
            assert made.is_cuda
        assert fb.from_numpy(np.ones(2)).is_cpu and fb.ones(2, device="cpu").is_cpu
        assert fb.as_tensor(fb.ones(1, device="cpu")).is_cpu
        with fb.device("cpu"):
            assert fb.ones(1).is_cpu
        data = fb.utils.data.TensorDataset(fb.arange(4))
        batches = list(fb.utils.data.DataLoader(data, batch_size=2, shuffle=True))
        assert all(b[0].is_cuda for b in batches)
    assert fb.ones(1).is_cpu
    fb.set_default_device(DEVICE)
    try:
        assert fb.ones(1).is_cuda
    finally:
        fb.set_default_device(None)
    assert fb.ones(1).is_cpu


# Text --------------------------------------------------------------------------------------------


def test_text(x):
    assert repr(fb.tensor([1.0, 2.0], device=DEVICE)) == "tensor([1., 2.], device='cuda:0')"
    w = fb.ones(1, device=DEVICE).requires_grad_()
    assert repr(w) == "tensor([1.], device='cuda:0', requires_grad=True)"
    assert f"{x[1, 2]:.1f}" == "5.0" and str(fb.ones(0, device=DEVICE)).startswith("tensor([]")
    assert "cuda:0" in x._repr_html_()
    assert bool(x[0, 1]) and int(x[1, 0]) == 3 and float(x[0, 0]) == 0 and 5.0 in x
    assert [r.tolist() for r in x] == x.tolist() and len(x) == 2


# Files and copies --------------------------------------------------------------------------------


def test_pickle_and_copies(x):
    for protocol in (2, 4, 5):
        y = pickle.loads(pickle.dumps(x.t(), protocol))
        assert y.device == x.device and y.tolist() == x.t().tolist()
    w = x.clone().requires_grad_()
    w.grad = x * 2
    other = copy.deepcopy(w)
    assert other.is_cuda and other.requires_grad and other.data_ptr() != w.data_ptr()
    assert other.tolist() == w.tolist() and other.grad.tolist() == w.grad.tolist()
    assert copy.deepcopy(fb.nn.Parameter(x)).is_cuda
    assert copy.copy(x).data_ptr() == x.data_ptr()


def test_save_and_load(x):
    f = io.BytesIO()
    fb.save({"a": x, "column": x[:, 1], "w": fb.nn.Parameter(x)}, f)

    def load(**options):
        f.seek(0)
        return fb.load(f, **options)

    for where, device in [
        ({}, "cuda:0"),
        ({"map_location": "cpu"}, "cpu"),
        ({"map_location": "cuda"}, "cuda:0"),
        ({"map_location": fb.device("cuda", 0)}, "cuda:0"),
        ({"map_location": {"cuda:0": "cpu"}}, "cpu"),
        ({"map_location": lambda storage, location: storage}, "cpu"),
        ({"map_location": lambda storage, location: storage.cuda(0)}, "cuda:0"),
        ({"map_location": lambda storage, location: None}, "cuda:0"),
    ]:
        got = load(**where)
        assert {str(t.device) for t in got.values()} == {device}, where
        assert got["a"].tolist() == x.tolist() and got["column"].tolist() == [1, 4]
        assert got["a"].untyped_storage() == got["column"].untyped_storage()


@two_gpus
def test_load_to_another_gpu(x):
    f = io.BytesIO()
    fb.save(x, f)
    f.seek(0)
    assert fb.load(f, map_location={"cuda:0": "cuda:1"}).device == fb.device("cuda", 1)
    f.seek(0)
    assert fb.load(f, map_location="cuda:1").tolist() == x.tolist()


def test_storage(x):
    s = x.untyped_storage()
    assert s.device == x.device and s.nbytes() == 24 and s.data_ptr() == x.data_ptr()
    assert s.cpu().device == fb.device("cpu") and s.cuda() == s
    with pytest.raises(BufferError, match="on cuda:0.*cpu"):
        memoryview(s)


# Other libraries ---------------------------------------------------------------------------------


def test_numpy_refuses_with_the_cure(x):
    for call in (x.numpy, lambda: np.asarray(x), lambda: np.sin(x)):
        with pytest.raises(TypeError, match=r"Tensor\.cpu\(\)"):
            call()
    with pytest.raises(BufferError, match="cuda:0"):
        memoryview(x)
    assert x.numpy(force=True).tolist() == x.tolist() == x.cpu().numpy().tolist()


def test_dlpack_shares_memory(x):
    assert x.__dlpack_device__() == (2, 0) and fb.ones(1).__dlpack_device__() == (1, 0)
    y = fb.from_dlpack(x.t())
    assert y.device == x.device and y.data_ptr() == x.data_ptr() and y.stride() == (1, 3)
    y.fill_(7)
    assert x.tolist() == [[7] * 3] * 2
    for stream in (None, 1, 2, -1, fb.cuda.Stream().cuda_stream):
        z = fb.from_dlpack(x.__dlpack__(stream=stream))
        assert z.data_ptr() == x.data_ptr()
    with pytest.raises(ValueError, match="stream 0 is ambiguous"):
        x.__dlpack__(stream=0)
    with pytest.raises(BufferError, match="detach"):
        x.clone().requires_grad_().__dlpack__()
    assert fb.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()
    assert fb.from_dlpack(x, device="cpu").tolist() == x.tolist()
    with pytest.raises(ValueError, match="only a copy"):
        fb.from_dlpack(x, device="cpu", copy=False)
    with pytest.raises(BufferError, match="only a copy"):
        x.__dlpack__(dl_device=(1, 0), copy=False)
    assert fb.from_dlpack(x.__dlpack__(dl_device=(1, 0))).is_cpu


def test_dlpack_orders_the_streams(x):
    side = fb.cuda.Stream()
    side.wait_stream(fb.cuda.current_stream())
    with fb.cuda.stream(side):
        for _ in range(3):
            x.add_(1)
        capsule = x.__dlpack__(stream=fb.cuda.default_stream().cuda_stream)
    assert fb.from_dlpack(capsule).tolist() == [[3, 4, 5], [6, 7, 8]]


class Array:
    """Another library's array: memory known by the protocol alone."""

    def __init__(self, owner, **changes):
        self.owner = owner
        self.__cuda_array_interface__ = {**owner.__cuda_array_interface__, **changes}


def test_cuda_array_interface(x):
    info = x.__cuda_array_interface__
    assert info["version"] == 3 and info["shape"] == (2, 3) and info["typestr"] == "<f4"
    assert info["data"] == (x.data_ptr(), False) and info["strides"] is None
    assert info["stream"] == fb.cuda.current_stream().cuda_stream
    assert x.t().__cuda_array_interface__["strides"] == (4, 12)
    kinds = {"bool": "|b1", "uint8": "|u1", "int8": "|i1", "int64": "<i8", "complex64": "<c8"}
    for name, text in kinds.items():
        t = fb.zeros(2, dtype=getattr(fb, name), device=DEVICE)
        assert (
            t.__cuda_array_interface__["typestr"]
            == text
            == fb.as_tensor(Array(t)).__cuda_array_interface__["typestr"]
        )
    for make in (fb.as_tensor, fb.asarray):
        y = make(Array(x.t()))
        assert y.data_ptr() == x.data_ptr() and y.stride() == (1, 3) and y.device == x.device
    copied = fb.tensor(Array(x))
    assert copied.data_ptr() != x.data_ptr() and copied.tolist() == x.tolist()
    assert fb.as_tensor(Array(x), device="cpu").tolist() == x.tolist()
    assert fb.as_tensor(Array(x), dtype=fb.float64).dtype == fb.float64
    assert fb.as_tensor(Array(fb.ones(0, 3, device=DEVICE))).shape == (0, 3)


def test_cuda_array_interface_refusals(x):
    assert not hasattr(fb.ones(1), "__cuda_array_interface__")
    with pytest.raises(RuntimeError, match="requires grad"):
        x.clone().requires_grad_().__cuda_array_interface__
    with pytest.raises(TypeError, match="bfloat16.*int16"):
        x.bfloat16().__cuda_array_interface__
    with pytest.raises(ValueError, match="not negative"):
        fb.as_tensor(Array(x, strides=(-12, 4)))
    with pytest.raises(TypeError, match="mask"):
        fb.as_tensor(Array(x, mask=x))
    with pytest.raises(TypeError, match="element type '>f4'"):
        fb.as_tensor(Array(x, typestr=">f4"))


def test_the_memory_lives_as_long_as_a_view_of_it():
    y = fb.as_tensor(Array(fb.arange(5.0, device=DEVICE) + 1))
    fb.full((5,), -1.0, device=DEVICE)
    assert y.tolist() == [1, 2, 3, 4, 5]


# Modules and optimizers --------------------------------------------------------------------------


def test_modules_move_with_buffers_and_gradients():
    net = fb.nn.Sequential(fb.nn.Linear(3, 4), fb.nn.BatchNorm1d(4))
    weight = net[0].weight
    net(fb.rand(5, 3)).square().sum().backward()
    grads = [p.grad.clone() for p in net.parameters()]
    assert net.cuda() is net and net[0].weight is weight
    for t in [*net.parameters(), *net.buffers(), *(p.grad for p in net.parameters())]:
        assert t.is_cuda
    assert all(fb.equal(p.grad.cpu(), g) for p, g in zip(net.parameters(), grads))
    assert net(fb.rand(5, 3).cuda()).is_cuda
    assert all(t.is_cpu for t in net.cpu().state_dict().values())
    net.to(DEVICE, fb.float64)
    assert net[0].weight.dtype == fb.float64 and net[1].num_batches_tracked.dtype == fb.int64
    net.to("meta")
    assert net.to_empty(device=DEVICE)[0].weight.is_cuda


def test_optimizer_state_moves_with_its_parameters():
    def trained(device):
        w = fb.arange(3.0).to(device).requires_grad_()
        opt = fb.optim.Adam([w], lr=0.1)
        (w * w).sum().backward()
        opt.step()
        return w, opt

    w, opt = trained("cpu")
    w2, opt2 = trained(DEVICE)
    assert fb.allclose(w.detach(), w2.detach().cpu())
    opt2.load_state_dict(opt.state_dict())
    assert opt2.state[w2]["exp_avg"].device == w2.device
    opt2.step()
