"""autocast against PyTorch's lists of functions, its cache and contexts; the gradient scaler."""

import threading

import numpy as np
import pytest

from cuda_support import DEVICE, needs_cuda
from op_specs import REGISTRY, check
from op_specs.base import replace
from under_test import IS_TORCH, fb, submodule

BOTH = pytest.mark.parametrize("device", ["cpu", pytest.param(DEVICE, marks=needs_cuda)])

# What the CPU's autocast runs in bfloat16 and in float32, as PyTorch 2.13 does for the same calls.
NARROW = """addbmm addmm baddbmm bmm conv2d_sizes corrcoef cov einsum inner linalg.matmul
linalg.matrix_power linalg.multi_dot matmul mm nn.functional.conv1d nn.functional.conv2d
nn.functional.conv3d nn.functional.conv_transpose1d nn.functional.conv_transpose2d
nn.functional.conv_transpose3d nn.functional.linear nn.functional.prelu
nn.functional.scaled_dot_product_attention prelu tensordot""".split()
WIDE = """cdist cross_entropy_soft nanquantile nn.functional.adaptive_avg_pool3d
nn.functional.adaptive_max_pool3d nn.functional.avg_pool3d nn.functional.binary_cross_entropy
nn.functional.binary_cross_entropy_with_logits nn.functional.cosine_embedding_loss
nn.functional.cross_entropy nn.functional.ctc_loss nn.functional.hinge_embedding_loss
nn.functional.huber_loss nn.functional.kl_div nn.functional.l1_loss
nn.functional.margin_ranking_loss nn.functional.max_pool3d nn.functional.mse_loss
nn.functional.multi_margin_loss nn.functional.nll_loss nn.functional.poisson_nll_loss
nn.functional.smooth_l1_loss nn.functional.soft_margin_loss nn.functional.triplet_margin_loss
pad_reflect pad_replicate prod prod_zeros quantile trace""".split()

# The GPU's lists, from PyTorch's documentation: float16 or float32 whatever comes in.
# tensordot, and so inner, take the widest type there.
NARROW_CUDA = [k for k in NARROW if k not in ("inner", "tensordot")] + ["addmv", "addr", "mv"]
WIDE_CUDA = """acos arccos arcsin asin cosh cosine_similarity cumprod cumsum dist erfinv exp expm1
linalg.vector_norm log log10 log1p log2 log_softmax logsumexp nn.functional.cosine_similarity
nn.functional.group_norm nn.functional.interpolate nn.functional.layer_norm
nn.functional.log_softmax nn.functional.rms_norm nn.functional.softmax nn.functional.softplus norm
pow reciprocal renorm rsqrt sinh softmax sum tan""".split()


def outputs(value):
    if isinstance(value, (list, tuple)):
        for v in value:
            yield from outputs(v)
    elif isinstance(value, fb.Tensor):
        yield value


def run(row, dtype, device, narrow):
    """The dtypes of the row's first result for inputs of a dtype under autocast; None: cannot."""
    usable = [s for s in row.samples if s.dtypes is None or "float32" in s.dtypes]
    sample = next((s for s in usable if s.numel), None)
    if sample is None:
        return None
    arrays = check.draw(row, sample, "float32")

    def build(t):
        made = fb.tensor(arrays[id(t)])
        return (made.to(dtype) if made.dtype == fb.float32 else made).to(device)

    args, kwargs = replace(sample.args, build), replace(sample.kwargs, build)
    with fb.autocast(device, dtype=narrow):
        return [t.dtype for t in outputs(row.function()(*args, **kwargs))][:1]


@pytest.mark.parametrize("key", NARROW)
def test_narrow_on_the_cpu(key):
    assert run(REGISTRY[key], fb.float32, "cpu", fb.bfloat16) == [fb.bfloat16]


@pytest.mark.parametrize("key", WIDE)
def test_wide_on_the_cpu(key):
    assert run(REGISTRY[key], fb.bfloat16, "cpu", fb.bfloat16) == [fb.float32]


def test_the_rest_stays_as_it_is_on_the_cpu():
    wrong = []
    for key, row in REGISTRY.items():
        plain = row.result == "same" and "bfloat16" in row.dtypes and "float32" in row.dtypes
        if not plain or row.fn is not None or key in NARROW or key in WIDE:
            continue
        for dtype in (fb.float32, fb.bfloat16):
            got = run(row, dtype, "cpu", fb.bfloat16)
            if got and got != [dtype]:
                wrong.append(f"{key}: {dtype} became {got[0]}")
    assert not wrong, wrong


@needs_cuda
@pytest.mark.parametrize("key", [k for k in NARROW_CUDA if k in REGISTRY])
@pytest.mark.parametrize("narrow", ["float16", "bfloat16"])
def test_narrow_on_a_gpu(key, narrow):
    narrow = getattr(fb, narrow)
    assert run(REGISTRY[key], fb.float32, DEVICE, narrow) == [narrow]


@needs_cuda
@pytest.mark.parametrize("key", [k for k in WIDE_CUDA if k in REGISTRY])
def test_wide_on_a_gpu(key):
    assert run(REGISTRY[key], fb.float16, DEVICE, fb.float16) == [fb.float32]


@needs_cuda
def test_a_number_over_a_tensor_is_wide_on_a_gpu():
    x = fb.full((3,), 2e-6, dtype=fb.float16, device=DEVICE)
    with fb.autocast(DEVICE, dtype=fb.float16):
        y = 1.0 / x
    assert y.dtype == fb.float32 and bool(fb.isfinite(y).all())


@needs_cuda
def test_widest_of_a_mixture_on_a_gpu():
    a, b = fb.ones(3, device=DEVICE), fb.ones(3, device=DEVICE, dtype=fb.float16)
    with fb.autocast(DEVICE, dtype=fb.float16):
        assert fb.dot(a, b).dtype == fb.float32 and fb.dot(b, b).dtype == fb.float16
        assert fb.tensordot(a, b, 1).dtype == fb.float32 == fb.inner(a, a).dtype
        with pytest.raises(RuntimeError, match="unsafe to autocast"):
            fb.nn.functional.binary_cross_entropy(b * 0.5, b)


@BOTH
def test_contexts(device):
    a = fb.ones(2, 2, device=device)
    wide64 = a.double()
    with fb.autocast(device, dtype=fb.bfloat16):
        assert fb.is_autocast_enabled(device) and fb.get_autocast_dtype(device) == fb.bfloat16
        assert (a @ a).dtype == fb.bfloat16
        assert (wide64 @ wide64).dtype == fb.float64, "float64 is left alone"
        with fb.autocast(device, enabled=False):
            assert (a @ a).dtype == fb.float32
            with fb.autocast(device, dtype=fb.float16):
                assert (a @ a).dtype == fb.float16
        assert (a @ a).dtype == fb.bfloat16
        out = fb.empty(2, 2, device=device)
        assert fb.matmul(a, a, out=out).dtype == fb.float32, "out= decides for itself"

        seen = []
        thread = threading.Thread(target=lambda: seen.append((a @ a).dtype))
        thread.start()
        thread.join()
        assert seen == [fb.float32], "other threads are not affected"
    assert (a @ a).dtype == fb.float32 and not fb.is_autocast_enabled(device)

    @fb.autocast(device, dtype=fb.bfloat16)
    def product(x):
        return x @ x

    assert product(a).dtype == fb.bfloat16

    with pytest.raises(ZeroDivisionError), fb.autocast(device, dtype=fb.bfloat16):
        1 / 0  # noqa: B018
    assert not fb.is_autocast_enabled(device)


@BOTH
def test_weights_are_converted_once(device):
    w = fb.rand(4, 4, device=device).requires_grad_()
    x = fb.rand(2, 4, device=device)
    with fb.autocast(device, dtype=fb.bfloat16):
        first, second = fb.mm(x, w), fb.mm(x, w)
        # both products hang on one conversion of the weight
        nodes = [dict(enumerate(y.grad_fn.next_functions))[1][0] for y in (first, second)]
        assert nodes[0] is nodes[1]
        with fb.no_grad():
            w.mul_(2)
        third = fb.mm(x, w)
        assert fb.allclose(third.float(), 2 * first.float(), rtol=2e-2), "a stale copy was used"
    with fb.autocast(device, dtype=fb.bfloat16, cache_enabled=False):
        a, b = fb.mm(x, w), fb.mm(x, w)
        assert a.grad_fn.next_functions[1][0] is not b.grad_fn.next_functions[1][0]


@BOTH
def test_no_grad_first_does_not_spoil_gradients(device):
    w = fb.rand(3, 3, device=device).requires_grad_()
    x = fb.rand(2, 3, device=device)
    with fb.autocast(device, dtype=fb.bfloat16):
        with fb.no_grad():
            fb.mm(x, w)
        fb.mm(x, w).sum().backward()
    want = x.cpu().to(fb.bfloat16).float().sum(0).unsqueeze(1).expand(3, 3)
    assert w.grad.dtype == fb.float32 and fb.allclose(w.grad.cpu(), want, rtol=2e-2)


@BOTH
def test_a_model_trains_in_mixed_precision(device):
    fb.manual_seed(3)
    net = fb.nn.Sequential(fb.nn.Linear(4, 16), fb.nn.ReLU(), fb.nn.Linear(16, 1)).to(device)
    x = fb.randn(32, 4).to(device)
    y = x.sum(1, keepdim=True)
    opt = fb.optim.SGD(net.parameters(), lr=0.05)
    scaler = fb.amp.GradScaler(device, init_scale=1024.0)
    losses = []
    for _ in range(12):
        opt.zero_grad()
        with fb.autocast(device, dtype=fb.bfloat16):
            loss = fb.nn.functional.mse_loss(net(x), y)
        assert loss.dtype == fb.float32
        scaler.scale(loss).backward()
        scaler.step(opt)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad.dtype == fb.float32 for p in net.parameters())


@BOTH
def test_custom_functions(device):
    seen = []

    class Product(fb.autograd.Function):
        @staticmethod
        @fb.amp.custom_fwd(device_type=device, cast_inputs=fb.float32)
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            seen.append((a.dtype, fb.is_autocast_enabled(device)))
            return a @ b

        @staticmethod
        @fb.amp.custom_bwd(device_type=device)
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            seen.append((g.dtype, fb.is_autocast_enabled(device)))
            return g @ b.t(), a.t() @ g

    a = fb.ones(2, 2, device=device, dtype=fb.bfloat16).requires_grad_()
    with fb.autocast(device, dtype=fb.bfloat16):
        y = Product.apply(a, a)
    y.sum().backward()
    assert seen == [(fb.float32, False), (fb.float32, False)]
    assert a.grad.dtype == fb.bfloat16 and fb.equal(a.grad.cpu(), fb.full((2, 2), 4.0).bfloat16())


def test_modules_inside():
    x, image = fb.rand(2, 5, 8), fb.rand(2, 3, 8, 8)
    with fb.autocast("cpu", dtype=fb.bfloat16):
        attention = fb.nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x)[0]
        recurrent = fb.nn.LSTM(8, 4, batch_first=True)(x)[0]
        encoder = fb.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)(x)
        block = fb.nn.Sequential(
            fb.nn.Conv2d(3, 4, 3), fb.nn.BatchNorm2d(4), fb.nn.ReLU(), fb.nn.GroupNorm(2, 4)
        )(image)
    for y in (attention, recurrent, encoder, block):
        assert y.dtype in (fb.bfloat16, fb.float32) and bool(fb.isfinite(y.float()).all())


def test_values_match_the_conversion_by_hand():
    a, b = fb.rand(5, 7), fb.rand(7, 3)
    with fb.autocast("cpu", dtype=fb.bfloat16):
        got = a @ b
    assert fb.equal(got, a.bfloat16() @ b.bfloat16())


@BOTH
def test_checkpoints_recompute_under_their_autocast(device):
    checkpoint = submodule("utils.checkpoint").checkpoint
    net = fb.nn.Linear(4, 4).to(device)
    x = fb.rand(2, 4).to(device).requires_grad_()
    seen = []

    def run(t):
        y = net(t)
        seen.append(y.dtype)
        return y

    with fb.autocast(device, dtype=fb.bfloat16):
        y = checkpoint(run, x, use_reentrant=False)
    y.float().sum().backward()  # outside the context, where it belongs
    assert seen == [fb.bfloat16, fb.bfloat16] and x.grad.dtype == fb.float32
    assert not fb.is_autocast_enabled(device)


# The gradient scaler -----------------------------------------------------------------------------


@BOTH
def test_scaler_skips_and_adapts(device):
    w = fb.ones(2, device=device).requires_grad_()
    opt = fb.optim.SGD([w], lr=1.0)
    scaler = fb.amp.GradScaler(device, init_scale=4.0, growth_interval=2)
    values, scales = [], []
    for factor in (1.0, float("inf"), 1.0, 1.0):
        opt.zero_grad()
        scaler.scale((w * factor).sum()).backward()
        scaler.step(opt)
        scaler.update()
        values.append(w.tolist())
        scales.append(scaler.get_scale())
    assert values == [[0.0, 0.0], [0.0, 0.0], [-1.0, -1.0], [-2.0, -2.0]]
    assert scales == [4.0, 2.0, 2.0, 4.0]
    state = scaler.state_dict()
    other = fb.amp.GradScaler(device)
    other.load_state_dict(state)
    assert other.get_scale() == 4.0 and other.state_dict() == state


@BOTH
def test_scaler_unscales_before_clipping(device):
    w = fb.ones(3, device=device).requires_grad_()
    opt = fb.optim.SGD([w], lr=1.0)
    scaler = fb.amp.GradScaler(device, init_scale=2.0**16)
    scaler.scale((3 * w).sum()).backward()
    scaler.unscale_(opt)
    assert w.grad.tolist() == [3.0, 3.0, 3.0]
    norm = fb.nn.utils.clip_grad_norm_([w], 1.0)
    np.testing.assert_allclose(norm.item(), 27**0.5, rtol=1e-6)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(opt)
    scaler.step(opt)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(opt)
    scaler.update(8.0)
    assert scaler.get_scale() == 8.0


@needs_cuda
@pytest.mark.skipif(IS_TORCH, reason="counts Flambeau's own copies")
def test_scaler_waits_for_the_gpu_in_step_only(monkeypatch):
    w = fb.ones(2, device=DEVICE).requires_grad_()
    opt = fb.optim.SGD([w], lr=1.0)
    scaler = fb.amp.GradScaler(DEVICE, init_scale=4.0)
    scaler.scale(w.sum()).backward()
    scaler.unscale_(opt)
    reads = []
    monkeypatch.setattr(fb.Tensor, "__bool__", lambda t: reads.append(t) or t.item() != 0)
    scaler.update()
    assert not reads
