"""Containers: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from collections import OrderedDict

import pytest

from under_test import fb, submodule

nn = submodule("nn")


def kinds(modules):
    return [type(m).__name__ for m in modules]


def test_sequential_runs_and_edits_like_a_list():
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    x = fb.tensor([-1.0, 2.0])
    assert net(x).tolist() == x.relu().tanh().sigmoid().tolist()
    assert kinds(net[1:]) == ["Tanh", "Sigmoid"] and type(net[-1]) is nn.Sigmoid
    net.append(nn.ReLU()).insert(0, nn.Identity()).extend(nn.Sequential(nn.Tanh()))
    assert kinds(net) == ["Identity", "ReLU", "Tanh", "Sigmoid", "ReLU", "Tanh"]
    assert kinds([net.pop(0)]) == ["Identity"] and list(net._modules) == list("01234")
    del net[1:3]
    assert kinds(net) == ["ReLU", "ReLU", "Tanh"] and list(net._modules) == list("012")
    net[0] = nn.Identity()
    assert kinds(net + nn.Sequential(nn.ReLU())) == ["Identity", "ReLU", "Tanh", "ReLU"]
    assert len(net * 2) == 6 and (net * 2)[3] is net[0]
    with pytest.raises(IndexError):
        net[9]
    with pytest.raises(ValueError):
        net * 0


def test_sequential_of_an_ordered_dict_keeps_its_names():
    net = nn.Sequential(OrderedDict(a=nn.Linear(2, 2), b=nn.ReLU()))
    assert list(net.state_dict()) == ["a.weight", "a.bias"] and net.b is net[1]


def test_module_list_edits_and_registers():
    ms = nn.ModuleList([nn.Linear(1, 1)])
    ms.append(nn.ReLU())
    ms.extend([nn.Tanh(), nn.Sigmoid()])
    ms.insert(1, nn.Identity())
    assert kinds(ms) == ["Linear", "Identity", "ReLU", "Tanh", "Sigmoid"]
    assert kinds(ms[1:3]) == ["Identity", "ReLU"] and type(ms[-1]) is nn.Sigmoid
    assert kinds([ms.pop(1)]) == ["Identity"] and list(ms._modules) == list("0123")
    del ms[1]
    assert list(ms.state_dict()) == ["0.weight", "0.bias"] and len(ms) == 3
    assert kinds(ms + [nn.ReLU()]) == ["Linear", "Tanh", "Sigmoid", "ReLU"]
    with pytest.raises(IndexError):
        ms[5]
    with pytest.raises(TypeError):
        ms.extend(3)
    with pytest.raises(NotImplementedError):
        ms(1)


def test_module_dict():
    d = nn.ModuleDict([["a", nn.Linear(1, 1)], ["b", nn.ReLU()]])
    d["c"] = nn.Tanh()
    d.update({"a": nn.Identity()})
    assert list(d.keys()) == ["a", "b", "c"] and "b" in d and type(d["a"]) is nn.Identity
    assert type(d.pop("b")) is nn.ReLU and len(d) == 2
    assert kinds(d.values()) == ["Identity", "Tanh"]
    d.clear()
    assert list(d) == []
    with pytest.raises(ValueError):
        d.update([("a", nn.ReLU(), 1)])


def test_parameter_list():
    ps = nn.ParameterList([fb.zeros(2), nn.Parameter(fb.ones(1)), "text"])
    assert type(ps[0]) is nn.Parameter and ps[2] == "text" and len(ps) == 3
    assert [n for n, _ in ps.named_parameters()] == ["0", "1"]
    ps.append(fb.ones(2))
    ps += [fb.zeros(1)]
    ps[0] = fb.ones(3)
    assert len(ps) == 5 and tuple(ps[0].shape) == (3,) and len(ps[:2]) == 2
    assert f"(0): Parameter containing: [{fb.float32} of size 3]" in repr(ps)
    with pytest.raises(TypeError):
        ps.extend(fb.ones(2))
    with pytest.raises(RuntimeError):
        ps()


def test_parameter_dict():
    d = nn.ParameterDict({"a": fb.zeros(2)})
    d["b"] = fb.ones(1)
    assert list(d.state_dict()) == ["a", "b"] and type(d["b"]) is nn.Parameter
    assert d.get("z", 3) == 3 and d.setdefault("c", fb.ones(1)).tolist() == [1.0]
    assert list(d) == ["a", "b", "c"] and list(reversed(d)) == ["c", "b", "a"]
    assert float(d.pop("b")) == 1 and d.popitem()[0] == "c" and len(d) == 1
    assert list((d | {"q": fb.ones(1)}).keys()) == ["a", "q"]
    with pytest.raises(TypeError):
        d[3] = fb.ones(1)
