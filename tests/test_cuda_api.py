"""flambeau.cuda: devices, streams, events, memory and graphs."""

import gc
import os
import threading

import numpy as np
import pytest

from cuda_support import DEVICE, needs_cuda
from under_test import fb

pytestmark = needs_cuda
two_gpus = pytest.mark.skipif(
    not fb.cuda.is_available() or fb.cuda.device_count() < 2, reason="needs two GPUs"
)


def host(t):
    return t.detach().cpu().numpy()


# Devices -----------------------------------------------------------------------------------------


def test_what_the_device_is():
    p = fb.cuda.get_device_properties()
    assert p.name == fb.cuda.get_device_name() == fb.cuda.get_device_name("cuda:0")
    assert (p.major, p.minor) == fb.cuda.get_device_capability(0)
    assert p.total_memory > 1 << 20 and p.multi_processor_count > 0 and p.warp_size == 32
    assert len(str(p.uuid)) == 36 and p.name in repr(p)
    assert f"sm_{p.major}{p.minor}" in fb.cuda.get_arch_list()
    assert fb.cuda.is_bf16_supported() and isinstance(fb.cuda.is_tf32_supported(), bool)
    fb.cuda.init()
    assert fb.cuda.is_initialized() and fb.backends.cuda.is_built()
    free, total = fb.cuda.mem_get_info()
    assert 0 < free <= total


def test_the_current_device():
    assert fb.cuda.current_device() == 0
    fb.cuda.set_device("cuda:0")
    fb.cuda.set_device(-1)  # changes nothing
    with fb.cuda.device(None), fb.cuda.device(-1), fb.cuda.device("cuda"):
        assert fb.cuda.current_device() == 0
    with fb.cuda.device_of(fb.ones(1)):
        assert fb.cuda.current_device() == 0
    with pytest.raises(RuntimeError, match="invalid device ordinal 99: this machine has"):
        fb.cuda.set_device(99)
    with pytest.raises(RuntimeError, match="99"):
        fb.cuda.get_device_properties(99)
    with pytest.raises(ValueError, match="Expected a cuda device, but got: cpu"):
        fb.cuda.synchronize("cpu")


@two_gpus
def test_two_devices():
    x = fb.arange(4.0, device="cuda:1")
    assert x.get_device() == 1 and x.device == fb.device("cuda", 1)
    with fb.cuda.device(1):
        assert fb.empty(1, device="cuda").device.index == 1 and fb.cuda.current_device() == 1
        seen = []
        t = threading.Thread(target=lambda: seen.append(fb.cuda.current_device()))
        t.start()
        t.join()
        assert seen == [0], "each thread has its own current device"
    with fb.cuda.device_of(x):
        assert fb.cuda.current_device() == 1
    assert fb.cuda.current_device() == 0
    assert x.to("cuda:0").tolist() == x.tolist() == [0, 1, 2, 3]
    assert fb.cuda.can_device_access_peer(0, 1) in (True, False)
    with pytest.raises(RuntimeError, match="cuda:1.*cuda:0|cuda:0.*cuda:1"):
        x + fb.ones(4, device="cuda:0")


# Streams and events ------------------------------------------------------------------------------


def test_streams():
    main = fb.cuda.current_stream()
    assert main == fb.cuda.default_stream() and hash(main) == hash(fb.cuda.default_stream())
    s, low = fb.cuda.Stream(), fb.cuda.Stream(priority=-1)
    assert len({s, low, main}) == 3 and s.device == fb.device("cuda", 0)
    with fb.cuda.stream(s) as _, fb.cuda.stream(None):
        assert fb.cuda.current_stream() == s
        with low:
            assert fb.cuda.current_stream() == low
        assert fb.cuda.current_stream() == s
    assert fb.cuda.current_stream() == main
    fb.cuda.set_stream(s)
    assert fb.cuda.current_stream() == s
    fb.cuda.set_stream(main)
    assert "cuda:0" in repr(s) and s.stream_id == s.cuda_stream
    s.synchronize()
    assert s.query()
    outside = fb.cuda.ExternalStream(s.cuda_stream)
    assert outside == s and fb.cuda.get_stream_from_external(s.cuda_stream, 0) == s


def test_many_streams_are_few():
    handles = {fb.cuda.Stream().cuda_stream for _ in range(100)}
    assert len(handles) == 32


def test_streams_are_ordered_by_events():
    s = fb.cuda.Stream()
    x = fb.zeros(4096, device=DEVICE)
    s.wait_stream(fb.cuda.current_stream())
    with fb.cuda.stream(s):
        for _ in range(5):
            x.add_(1)
    fb.cuda.current_stream().wait_stream(s)
    y = x * 2
    x.record_stream(s)
    assert host(y).min() == host(y).max() == 10


def test_events():
    start, end = fb.cuda.Event(enable_timing=True), fb.cuda.Event(enable_timing=True)
    assert start.query() and start.device is None
    start.wait()  # never recorded: nothing to wait for
    start.record()
    fb.ones(1000, device=DEVICE).exp_()
    end.record()
    end.synchronize()
    assert end.query() and start.elapsed_time(end) >= 0
    assert end.device == fb.device("cuda", 0) and "0x" in repr(end)
    plain = fb.cuda.current_stream().record_event()
    with pytest.raises(ValueError, match="enable_timing=True"):
        plain.elapsed_time(end)
    with pytest.raises(ValueError, match="must be recorded"):
        start.elapsed_time(fb.cuda.Event(enable_timing=True))
    with pytest.raises(NotImplementedError, match="interprocess"):
        fb.cuda.Event(interprocess=True)


# Memory ------------------------------------------------------------------------------------------


def test_memory_is_counted():
    gc.collect()
    fb.cuda.reset_peak_memory_stats()
    before = fb.cuda.memory_allocated()
    x = fb.empty(1 << 20, dtype=fb.uint8, device=DEVICE)
    assert fb.cuda.memory_allocated() - before == 1 << 20
    assert fb.cuda.memory_reserved() >= fb.cuda.memory_allocated()
    del x
    assert fb.cuda.memory_allocated() == before
    assert fb.cuda.max_memory_allocated() - before == 1 << 20
    fb.cuda.reset_peak_memory_stats()
    assert fb.cuda.max_memory_allocated() == before
    stats = fb.cuda.memory_stats()
    assert stats["allocated_bytes.all.current"] == before
    assert (
        stats["allocation.all.allocated"] - stats["allocation.all.freed"]
        == (stats["allocation.all.current"])
    )
    assert "held by tensors" in fb.cuda.memory_summary()


@pytest.mark.skipif(os.environ.get("FLAMBEAU_CUDA_POOL") == "0", reason="nothing is cached")
def test_memory_is_cached_and_given_back():
    x = fb.empty(30 << 20, dtype=fb.uint8, device=DEVICE)
    address = x.data_ptr()
    del x
    held = fb.cuda.memory_reserved()
    y = fb.empty(30 << 20, dtype=fb.uint8, device=DEVICE)
    assert y.data_ptr() == address and fb.cuda.memory_reserved() == held
    del y
    fb.cuda.empty_cache()
    assert fb.cuda.memory_reserved() <= held - (30 << 20)


def test_a_block_in_use_on_another_stream_is_not_reused():
    s = fb.cuda.Stream()
    x = fb.ones(1 << 20, device=DEVICE)
    address = x.data_ptr()
    s.wait_stream(fb.cuda.current_stream())
    with fb.cuda.stream(s):
        y = x + 1
    x.record_stream(s)
    del x
    z = fb.empty(1 << 20, device=DEVICE)
    in_flight = not s.query()
    assert z.data_ptr() != address or not in_flight
    s.synchronize()
    assert host(y).min() == 2


def test_blocks_freed_while_a_graph_is_recorded():
    before, own = fb.ones(1 << 16, device=DEVICE), fb.cuda.Stream()
    x = fb.full((1 << 16,), 2.0, device=DEVICE)
    x.add(1).mul(2)
    side, g = fb.cuda.Stream(), fb.cuda.CUDAGraph()
    with fb.cuda.graph(g, stream=own):
        del before  # of the common pool
        y = x.add(1)
        side.wait_stream(own)
        with fb.cuda.stream(side):
            z = y.mul(2)
        y.record_stream(side)
        del y  # in use on a stream that records
        own.wait_stream(side)
    for value in (2.0, 5.0):
        x.fill_(value)
        g.replay()
        other = fb.zeros(1 << 16, device=DEVICE)
        assert host(z).min() == host(z).max() == 2 * value + 2
        assert not host(other).any()


def test_out_of_memory():
    total = fb.cuda.mem_get_info()[1]
    with pytest.raises(fb.OutOfMemoryError) as e:
        fb.empty(2 * total, dtype=fb.uint8, device=DEVICE)
    assert isinstance(e.value, RuntimeError) and isinstance(e.value, MemoryError)
    assert fb.cuda.OutOfMemoryError is fb.OutOfMemoryError
    text = str(e.value)
    assert "CUDA out of memory. Tried to allocate" in text and "free" in text and "no_grad" in text
    assert fb.ones(3, device=DEVICE).tolist() == [1, 1, 1], "the device works after it"
    assert fb.cuda.memory_stats()["num_ooms"] >= 1


# Graphs ------------------------------------------------------------------------------------------


def test_a_graph_replays_with_new_values():
    x = fb.ones(1000, device=DEVICE)
    g = fb.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="without a preceding capture_begin"):
        g.replay()
    x.mul(2).add(1)  # kernels are compiled before the recording
    with fb.cuda.graph(g):
        assert fb.cuda.is_current_stream_capturing()
        y = x.mul(2).add(1)
    assert not fb.cuda.is_current_stream_capturing()
    for value in (3.0, 5.0):
        x.fill_(value)
        g.replay()
        assert host(y).min() == host(y).max() == 2 * value + 1
    g.reset()


def test_graphs_share_a_pool():
    pool = fb.cuda.graph_pool_handle()
    x = fb.full((64,), 2.0, device=DEVICE)
    (x + 1) * 3
    a, b = fb.cuda.CUDAGraph(), fb.cuda.CUDAGraph()
    with fb.cuda.graph(a, pool=pool):
        y = x + 1
    with fb.cuda.graph(b, pool=a.pool()):
        z = y * 3
    a.replay()
    b.replay()
    assert host(z).tolist() == [9.0] * 64


def test_what_a_recording_refuses():
    g = fb.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="stream of its own"):
        g.capture_begin()
    with pytest.raises(RuntimeError, match="global.*thread_local.*relaxed"):
        g.capture_begin(capture_error_mode="strict")
    x = fb.ones(3, device=DEVICE)
    with pytest.raises(RuntimeError, match="(?i)captur"), fb.cuda.graph(g):
        x[0].item()
    assert not fb.cuda.is_current_stream_capturing()
    assert x.tolist() == [1, 1, 1], "the device works after it"


def test_graphed_module_trains_like_a_plain_one():
    fb.manual_seed(0)
    plain = fb.nn.Sequential(fb.nn.Linear(4, 8), fb.nn.Tanh(), fb.nn.Linear(8, 2)).to(DEVICE)
    graphed = fb.nn.Sequential(fb.nn.Linear(4, 8), fb.nn.Tanh(), fb.nn.Linear(8, 2)).to(DEVICE)
    graphed.load_state_dict(plain.state_dict())
    sample = fb.randn(3, 4).to(DEVICE)
    graphed = fb.cuda.make_graphed_callables(graphed, (sample.clone(),))
    for step in range(2):
        x = fb.randn(3, 4).to(DEVICE) + step
        results = []
        for net in (plain, graphed):
            net.zero_grad()
            y = net(x)
            y.square().sum().backward()
            results.append([host(y)] + [host(p.grad) for p in net.parameters()])
        for a, b in zip(*results):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    with pytest.raises(RuntimeError, match="takes the 1 tensors"):
        graphed(sample, sample)


def test_a_training_step_as_one_graph():
    fb.manual_seed(1)
    net = fb.nn.Linear(4, 1).to(DEVICE)
    opt = fb.optim.SGD(net.parameters(), lr=0.05)
    x, y = fb.randn(16, 4).to(DEVICE), fb.zeros(16, 1, device=DEVICE)

    def step():
        opt.zero_grad(set_to_none=False)
        loss = fb.nn.functional.mse_loss(net(x), y)
        loss.backward()
        opt.step()
        return loss

    side = fb.cuda.Stream()
    side.wait_stream(fb.cuda.current_stream())
    with fb.cuda.stream(side):
        first = step().item()
        step()
    fb.cuda.current_stream().wait_stream(side)
    g = fb.cuda.CUDAGraph()
    with fb.cuda.graph(g):
        loss = step()
    for _ in range(10):
        g.replay()
    assert loss.item() < 0.8 * first


def test_nvtx():
    with fb.cuda.nvtx.range("step {}", 1):
        assert fb.cuda.nvtx.range_push("inner") == 1
        assert fb.cuda.nvtx.range_pop() == 1

    @fb.cuda.nvtx.range("decorated")
    def f():
        return fb.cuda.nvtx.range_push("x") + fb.cuda.nvtx.range_pop()

    assert f() == 2


def test_accelerator():
    assert fb.accelerator.current_accelerator() == fb.device("cuda")
    assert fb.accelerator.is_available() and fb.accelerator.device_count() >= 1
    fb.accelerator.synchronize()
