"""Activation checkpointing, the gradient scaler, autocast's frame, and TensorBoard's files."""

import struct

import numpy as np
import pytest

import flambeau as fb
from flambeau import amp, optim
from flambeau.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def grads_with(call, net):
    net.zero_grad()
    fb.manual_seed(1)
    x = fb.linspace(-1, 1, 20).reshape(5, 4).requires_grad_(True)
    (call(x) ** 2).sum().backward()
    return [p.grad.numpy().copy() for p in net.parameters()] + [x.grad.numpy().copy()]


def test_checkpoint_gives_the_same_gradients():
    nn = fb.nn
    net = nn.Sequential(
        nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)
    )
    want = grads_with(net, net)
    ways = [
        lambda x: checkpoint(net, x),
        lambda x: checkpoint_sequential(net, 3, x),
        lambda x: checkpoint(lambda d, k: {"out": [net(d["x"]), k]}, {"x": x}, k="z")["out"][0],
        lambda x: checkpoint(lambda t: checkpoint(net, t), x, use_reentrant=False),
    ]
    for way in ways:
        for got, exact in zip(grads_with(way, net), want):
            np.testing.assert_allclose(got, exact, rtol=1e-6, atol=1e-7)


def test_checkpoint_keeps_only_inputs_and_checks_the_second_run():
    calls = []

    def run(x):
        calls.append(fb.is_grad_enabled())
        return x.exp()

    x = fb.ones(3, requires_grad=True)
    y = checkpoint(run, x)
    assert calls == [False] and y.requires_grad
    y.sum().backward()
    assert calls == [False, True]
    with fb.no_grad():
        assert not checkpoint(run, x).requires_grad

    def grows(x):
        calls.append(None)
        return x.repeat(len(calls))

    with pytest.raises(CheckpointError, match="differ"):
        checkpoint(grows, x).sum().backward()
    with pytest.raises(ValueError, match="segments"):
        checkpoint_sequential([run], 2, x)


def test_grad_scaler_skips_and_adapts():
    w = fb.ones(2, requires_grad=True)
    opt = optim.SGD([w], lr=1.0)
    scaler = amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    scales, values = [], []
    for i in range(4):
        opt.zero_grad()
        scaler.scale((w * (float("inf") if i == 1 else 1.0)).sum()).backward()
        scaler.step(opt)
        scaler.update()
        scales.append(scaler.get_scale())
        values.append(w[0].item())
    assert scales == [4.0, 2.0, 2.0, 4.0] and values == [0.0, 0.0, -1.0, -2.0]
    scaler.scale(w.sum()).backward()
    scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(opt)
    scaler.step(opt)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(opt)
    scaler.update()
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.update()
    other = amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    off = amp.GradScaler("cpu", enabled=False)
    loss = w.sum()
    assert off.scale(loss) is loss and off.get_scale() == 1.0 and off.state_dict() == {}
    assert [t.item() for t in amp.GradScaler("cpu", 2.0).scale([fb.ones(()), fb.ones(())])] == [
        2,
        2,
    ]


def test_autocast_frame():
    with amp.autocast("cpu", enabled=False):
        assert not amp.is_autocast_enabled("cpu")

    @amp.autocast("cpu", enabled=False)
    def product(a):
        return a @ a

    assert product(fb.ones(2, 2)).dtype == fb.float32
    with pytest.raises(RuntimeError, match="unsupported"):
        amp.autocast("toaster")
    if not amp.is_autocast_available("cpu"):
        with pytest.raises(NotImplementedError, match="enabled=False"):
            with amp.autocast("cpu"):
                pass
    if not fb.cuda.is_available():
        with pytest.warns(UserWarning, match="CUDA is not available"):
            amp.autocast("cuda")
        with pytest.warns(UserWarning, match="CUDA is not available"):
            assert not amp.GradScaler().is_enabled()


# ---- TensorBoard: a reader of its own, written from the format


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    data, at = path.read_bytes(), 0
    while at < len(data):
        size, check = struct.unpack_from("<QI", data, at)
        assert crc32c(data[at : at + 8]) == check
        body = data[at + 12 : at + 12 + size]
        assert struct.unpack_from("<I", data, at + 12 + size)[0] == crc32c(body)
        yield fields(body)
        at += 16 + size


def fields(data):
    out, at = {}, 0

    def varint():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        elif kind == 2:
            size = varint()
            value, at = data[at : at + size], at + size
        else:
            size, code = (8, "<d") if kind == 1 else (4, "<f")
            value, at = struct.unpack_from(code, data, at)[0], at + size
        out[key >> 3] = value
    return out


def test_summary_writer(tmp_path):
    from flambeau.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", fb.tensor(0.5), 3)
        writer.add_histogram("w", fb.tensor([1.0, 2.0, 2.0, -4.0]), 4)
        writer.add_image("picture", fb.rand(3, 5, 7), 5)
        writer.add_text("note", "hello", 6)
        writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 7)
        with pytest.raises(NotImplementedError, match="add_graph"):
            writer.add_graph(None)
    files = [f for f in tmp_path.iterdir() if f.is_file()]
    assert len(files) == 1 and files[0].name.startswith("events.out.tfevents.")
    head, *events = records(files[0])
    assert head[3] == b"brain.Event:2"
    assert [e[2] for e in events] == [3, 4, 5, 6]
    values = [fields(fields(e[5])[1]) for e in events]
    assert [v[1] for v in values] == [b"loss", b"w", b"picture", b"note/text_summary"]
    assert values[0][2] == 0.5
    histogram = fields(values[1][5])
    assert [histogram[i] for i in range(1, 6)] == [-4.0, 2.0, 4.0, 1.0, 25.0]
    assert np.frombuffer(histogram[7]).sum() == 4 and len(histogram[6]) == len(histogram[7])
    picture = fields(values[2][4])
    assert (picture[1], picture[2], picture[3]) == (5, 7, 3) and picture[4][1:4] == b"PNG"
    assert {d.name for d in tmp_path.iterdir() if d.is_dir()} == {"both_a", "both_b"}
