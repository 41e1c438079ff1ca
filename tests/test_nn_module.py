"""Module: attributes, names, errors, state dicts, hooks, printing, copies, moves."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from under_test import IS_TORCH, fb, submodule

nn = submodule("nn")


class Net(nn.Module):
    """Two layers, a buffer, a parameter of its own and a layer under two names."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 3)
        self.block = nn.Sequential(nn.ReLU(), nn.Linear(3, 3))
        self.scale = nn.Parameter(fb.ones(3))
        self.register_buffer("mean", fb.zeros(3))
        self.register_buffer("cache", fb.zeros(2), persistent=False)
        self.again = self.fc1

    def forward(self, x):
        return self.block(self.fc1(x)) * self.scale - self.mean


def raises(kind, text=""):
    return pytest.raises(kind, match=None if IS_TORCH else text)


# ---- names and walking


def test_names_come_in_order_and_once():
    net = Net()
    names = ["scale", "fc1.weight", "fc1.bias", "block.1.weight", "block.1.bias"]
    assert [n for n, _ in net.named_parameters()] == names
    assert len(list(net.parameters())) == 5
    doubled = [n for n, _ in net.named_parameters(prefix="m", remove_duplicate=False)]
    assert doubled == ["m." + n for n in [*names, "again.weight", "again.bias"]]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in net.named_buffers()] == ["mean", "cache"]
    assert [n for n, _ in net.named_modules()] == ["", "fc1", "block", "block.0", "block.1"]
    assert [n for n, _ in net.named_children()] == ["fc1", "block"]


def test_lookup_by_path():
    net = Net()
    assert net.get_submodule("block.1") is net.block[1] and net.get_submodule("") is net
    assert net.get_parameter("block.1.weight") is net.block[1].weight
    assert net.get_buffer("mean") is net.mean
    net.set_submodule("block.0", nn.Tanh())
    assert isinstance(net.block[0], nn.Tanh)
    with pytest.raises(AttributeError):
        net.get_submodule("block.7")
    with pytest.raises(AttributeError):
        net.get_parameter("block")
    with pytest.raises(AttributeError):
        net.get_buffer("scale")
    with pytest.raises(ValueError):
        net.set_submodule("", nn.Tanh())


# ---- attributes


def test_attributes_go_to_their_tables_and_move_between_them():
    m = nn.Module()
    m.a = nn.Parameter(fb.ones(2))
    m.b = nn.ReLU()
    m.register_buffer("c", fb.zeros(1))
    m.d = 5
    assert list(m._parameters) == ["a"] and list(m._modules) == ["b"] and list(m._buffers) == ["c"]
    m.c = fb.ones(1)
    assert float(m._buffers["c"]) == 1
    m.d = nn.Parameter(fb.zeros(1))
    assert "d" in m._parameters and "d" not in m.__dict__
    m.d = None
    assert m.d is None and m._parameters["d"] is None
    del m.a
    assert not hasattr(m, "a")
    m.e = nn.Buffer(fb.ones(1), persistent=False)
    assert list(m.state_dict()) == ["c"] and "e" in dict(m.named_buffers())
    assert {"b", "c", "e"} <= set(dir(m))


@pytest.mark.parametrize(
    "change, kind, text",
    [
        (lambda m: setattr(m, "scale", fb.zeros(3)), TypeError, "wrap the tensor in nn.Parameter"),
        (lambda m: setattr(m, "fc1", fb.zeros(3)), TypeError, "child module 'fc1'"),
        (lambda m: setattr(m, "mean", 3), TypeError, "buffer 'mean'"),
        (lambda m: m.register_parameter("q", fb.zeros(1)), TypeError, "nn.Parameter or None"),
        (lambda m: m.register_parameter("a.b", None), KeyError, "parameter name can"),
        (lambda m: m.register_parameter("forward", None), KeyError, "already exists"),
        (lambda m: m.register_buffer("", None), KeyError, "empty string"),
        (lambda m: m.register_buffer(3, None), TypeError, "must be a string"),
        (lambda m: m.add_module("z", 3), TypeError, "not a Module subclass"),
        (lambda m: m.train("yes"), ValueError, "boolean"),
        (lambda m: m.to(fb.int64), TypeError, "floating point or complex"),
    ],
)
def test_misuse_is_named(change, kind, text):
    with raises(kind, text):
        change(Net())


def test_missing_attribute_names_what_is_close():
    with raises(AttributeError, "no attribute 'wieght': did you mean 'weight'"):
        _ = Net().fc1.wieght


def test_before_init_is_an_error():
    class Early(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    with raises(AttributeError, "before Module.__init__"):
        Early()
    with pytest.raises(TypeError):
        nn.Module(3)
    with pytest.raises(NotImplementedError):
        nn.Module()(3)


@pytest.mark.skipif(IS_TORCH, reason="the note is Flambeau's")
def test_an_error_in_forward_says_which_layer():
    with pytest.raises(RuntimeError) as info:
        Net()(fb.zeros(2, 5))
    notes = info.value.__notes__
    assert len(notes) == 1
    assert notes[0].startswith("in Net.fc1 (Linear(in_features=4, out_features=3, bias=True))")
    outer = nn.Sequential(Net())
    outer[0].block[1] = nn.Linear(7, 7)
    with pytest.raises(RuntimeError) as info:
        outer(fb.zeros(2, 4))
    assert info.value.__notes__[0].startswith("in Sequential.0.block.1 (Linear(in_features=7")


# ---- state dicts


def test_state_dict_keys_order_and_sharing():
    net = Net()
    state = net.state_dict()
    want = ["scale", "mean", "fc1.weight", "fc1.bias", "block.1.weight", "block.1.bias"]
    assert list(state) == want + ["again.weight", "again.bias"]
    assert isinstance(state, OrderedDict) and state._metadata[""] == {"version": 1}
    assert not state["scale"].requires_grad
    state["scale"].fill_(7)
    assert net.scale.tolist() == [7.0] * 3
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert list(net.fc1.state_dict(prefix="p.")) == ["p.weight", "p.bias"]


def test_load_copies_and_keeps_identity():
    a, b = Net(), Net()
    weight = b.fc1.weight
    result = b.load_state_dict(a.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    assert b.fc1.weight is weight and np.array_equal(
        weight.detach().numpy(), a.fc1.weight.detach().numpy()
    )
    a.fc1.weight.data.zero_()
    assert float(b.fc1.weight.abs().sum()) > 0


def test_every_problem_of_a_load_stands_in_one_error():
    net = Net()
    state = net.state_dict()
    del state["scale"], state["block.1.bias"]
    state["extra"] = fb.zeros(1)
    state["fc1.more"] = fb.zeros(1)
    state["fc1.weight"] = fb.zeros(2, 2)
    state["mean"] = fb.zeros(4)
    with pytest.raises(RuntimeError) as info:
        net.load_state_dict(state)
    text = str(info.value)
    assert text.startswith("Error(s) in loading state_dict for Net:\n")
    assert 'Missing key(s) in state_dict: "scale", "block.1.bias"' in text
    assert 'Unexpected key(s) in state_dict: "extra", "fc1.more"' in text
    assert "size mismatch for fc1.weight: copying a param with shape torch.Size([2, 2])" in text
    assert "size mismatch for mean" in text
    for key in ("fc1.weight", "mean"):
        state.pop(key)
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert set(missing) == {"scale", "block.1.bias", "fc1.weight", "mean"}
    assert unexpected == ["extra", "fc1.more"]
    with pytest.raises(TypeError):
        net.load_state_dict([1])
    with pytest.raises(RuntimeError, match='named "scale"'):
        net.load_state_dict({**net.state_dict(), "scale": 3})


@pytest.mark.skipif(IS_TORCH, reason="the advice is Flambeau's")
def test_a_prefix_is_recognised():
    net = Net()
    state = {"module." + k: v for k, v in net.state_dict().items()}
    with pytest.raises(RuntimeError, match='differ by the prefix "module." only'):
        net.load_state_dict(state)


def test_load_with_assign_takes_the_tensors():
    net = nn.Linear(2, 2)
    new = {"weight": fb.ones(2, 2, dtype=fb.float64), "bias": fb.zeros(2)}
    net.load_state_dict(new, assign=True)
    assert net.weight.dtype == fb.float64 and isinstance(net.weight, nn.Parameter)
    assert net.weight.requires_grad
    new["weight"].fill_(5)
    assert float(net.weight[0, 0]) == 5


def test_state_dict_hooks_and_extra_state():
    class Extra(nn.Module):
        def __init__(self):
            super().__init__()
            self.note = "a"

        def get_extra_state(self):
            return self.note

        def set_extra_state(self, state):
            self.note = state

    net, calls = nn.Sequential(Extra()), []
    net[0].note = "b"
    net.register_state_dict_pre_hook(lambda m, prefix, keep: calls.append(("pre", prefix)))
    net.register_state_dict_post_hook(lambda m, s, prefix, meta: s.update(added=1))
    state = net.state_dict()
    assert dict(state) == {"0._extra_state": "b", "added": 1} and calls == [("pre", "")]
    del state["added"]
    other = nn.Sequential(Extra())
    other.register_load_state_dict_pre_hook(lambda m, s, *rest: calls.append(("load", len(s))))
    other.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.append("fake"))
    assert other.load_state_dict(state, strict=False).missing_keys == ["fake"]
    assert other[0].note == "b" and calls[-1] == ("load", 1)
    with pytest.raises(RuntimeError, match="_extra_state"):
        nn.Sequential(Extra()).load_state_dict({})


def test_old_batch_norm_checkpoints_load():
    bn = nn.BatchNorm1d(2)
    state = dict(bn.state_dict())
    del state["num_batches_tracked"]
    bn.load_state_dict(state)
    assert int(bn.num_batches_tracked) == 0


# ---- hooks


def ones_linear():
    m = nn.Linear(2, 2)
    with fb.no_grad():
        m.weight.fill_(1.0)
        m.bias.fill_(0.5)
    return m


def test_forward_hooks_run_in_order_and_replace():
    m, log = ones_linear(), []
    m.register_forward_pre_hook(lambda mod, args: log.append("pre"))
    m.register_forward_pre_hook(
        lambda mod, args, kw: (log.append("first"), (tuple(a * 2 for a in args), kw))[1],
        with_kwargs=True,
        prepend=True,
    )
    m.register_forward_hook(lambda mod, args, out: out * 10)
    handle = m.register_forward_hook(lambda mod, args, out: log.append(out[0, 0].item()))
    assert m(fb.ones(1, 2)).tolist() == [[45.0, 45.0]]
    assert log == ["first", "pre", 45.0]
    handle.remove()
    m(fb.ones(1, 2))
    assert log == ["first", "pre", 45.0, "first", "pre"]


def test_always_call_hooks_see_a_failure():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("boom")

    m, log = Fails(), []
    m.register_forward_hook(lambda mod, args, out: log.append("normal"))
    m.register_forward_hook(lambda mod, args, out: log.append("always"), always_call=True)
    with pytest.raises(ValueError, match="boom"):
        m(1)
    assert log == ["always"]


def test_backward_hooks_see_and_change_gradients():
    m, seen = ones_linear(), []
    m.register_full_backward_pre_hook(lambda mod, go: (go[0] * 10,))

    def hook(mod, grad_input, grad_output):
        seen.append((grad_input[0].tolist(), grad_output[0].tolist()))
        return (grad_input[0] * 3,)

    handle = m.register_full_backward_hook(hook)
    x = fb.ones(1, 2, requires_grad=True)
    m(x).sum().backward()
    assert seen == [([[20.0, 20.0]], [[10.0, 10.0]])]
    assert x.grad.tolist() == [[60.0, 60.0]] and m.bias.grad.tolist() == [10.0, 10.0]
    handle.remove()
    m.register_full_backward_hook(lambda mod, gi, go: seen.append(gi))
    m(fb.ones(1, 2)).sum().backward()
    assert seen[-1] == (None,)


def test_global_hooks_see_every_module():
    names = []
    handle = nn.modules.module.register_module_forward_hook(
        lambda mod, args, out: names.append(type(mod).__name__)
    )
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    with handle:
        net(fb.ones(1, 1))
    net(fb.ones(1, 1))
    assert names == ["Linear", "ReLU", "Sequential"]


# ---- printing


def test_repr_is_pytorchs_tree():
    net = Net()
    net.many = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1), nn.ReLU()])
    net.empty = nn.ModuleDict()
    assert repr(net) == (
        "Net(\n"
        "  (fc1): Linear(in_features=4, out_features=3, bias=True)\n"
        "  (block): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Linear(in_features=3, out_features=3, bias=True)\n"
        "  )\n"
        "  (again): Linear(in_features=4, out_features=3, bias=True)\n"
        "  (many): ModuleList(\n"
        "    (0-1): 2 x Linear(in_features=1, out_features=1, bias=True)\n"
        "    (2): ReLU()\n"
        "  )\n"
        "  (empty): ModuleDict()\n"
        ")"
    )
    assert repr(nn.Parameter(fb.ones(1))).startswith("Parameter containing:\ntensor([1.]")


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.Conv2d(1, 2, 3), "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))"),
        (
            lambda: nn.Conv1d(2, 4, 3, padding="same", groups=2, bias=False),
            "Conv1d(2, 4, kernel_size=(3,), stride=(1,), padding=same, groups=2, bias=False)",
        ),
        (lambda: nn.Dropout(0.1), "Dropout(p=0.1, inplace=False)"),
        (lambda: nn.LSTM(2, 3, 2, dropout=0.5), "LSTM(2, 3, num_layers=2, dropout=0.5)"),
        (lambda: nn.Embedding(5, 2, padding_idx=0), "Embedding(5, 2, padding_idx=0)"),
        (lambda: nn.LayerNorm(4), "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)"),
        (lambda: nn.GELU(), "GELU(approximate='none')"),
        (lambda: nn.ZeroPad2d(1), "ZeroPad2d((1, 1, 1, 1))"),
        (lambda: nn.Upsample(scale_factor=2), "Upsample(scale_factor=2.0, mode='nearest')"),
    ],
)
def test_repr_of_layers(make, text):
    assert repr(make()) == text


# ---- copies, pickles, moves


def test_deepcopy_keeps_ties_and_separates_data():
    net = Net()
    other = copy.deepcopy(net)
    assert other.again is other.fc1 and type(other.scale) is nn.Parameter
    other.scale.data.zero_()
    assert net.scale.tolist() == [1.0] * 3
    shallow = copy.copy(net)
    assert shallow.scale is net.scale


def test_pickle_round_trip():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.1)).eval()
    back = pickle.loads(pickle.dumps(net))
    assert repr(back) == repr(net) and not back.training and not back[2].training
    assert type(back[0].weight) is nn.Parameter and back[0].weight.requires_grad
    x = fb.randn(4, 2)
    assert back(x).tolist() == net(x).tolist()


def test_casting_keeps_parameters_and_integers():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    weight = net[0].weight
    net(fb.ones(3, 2)).sum().backward()
    net.double()
    assert net[0].weight is weight and weight.dtype == fb.float64
    assert weight.grad.dtype == fb.float64 and net[1].running_mean.dtype == fb.float64
    assert net[1].num_batches_tracked.dtype == fb.int64
    assert net.to(fb.ones(1, dtype=fb.float32))[0].weight.dtype == fb.float32
    assert net.to("cpu", fb.float64)[0].bias.dtype == fb.float64
    assert net.float()[0].bias.dtype == fb.float32


def test_modes_grads_and_apply():
    net, seen = Net(), []
    assert not net.eval().block[1].training and net.train().block[1].training
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()
    net(fb.ones(1, 4)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.scale.grad.tolist() == [0.0] * 3
    net.zero_grad()
    assert net.scale.grad is None
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_modules_are_found_by_pytorchs_paths():
    assert issubclass(nn.BatchNorm2d, nn.modules.batchnorm._BatchNorm)
    assert issubclass(nn.Conv1d, nn.modules.conv._ConvNd)
    assert nn.modules.loss.MSELoss is nn.MSELoss and nn.modules.Linear is nn.Linear
    assert nn.modules.utils._pair(3) == (3, 3)
