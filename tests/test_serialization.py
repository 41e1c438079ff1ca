"""Saving and loading: round trips, PyTorch's own files, refusals, damage, atomic writing."""

import io
import os
import pickle
import random
import zipfile
from collections import Counter, OrderedDict
from fractions import Fraction

import pytest

from under_test import IS_TORCH, fb, submodule

pytestmark = pytest.mark.skipif(IS_TORCH, reason="tests Flambeau's own reader and writer")
nn = submodule("nn")
serialization = submodule("serialization")
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")


def again(obj, **options):
    f = io.BytesIO()
    fb.save(obj, f)
    f.seek(0)
    return fb.load(f, **options)


def same(x, y):
    assert type(x) is type(y)
    if isinstance(x, fb.Tensor):
        assert (x.dtype, x.shape, x.stride()) == (y.dtype, y.shape, y.stride())
        assert x.requires_grad == y.requires_grad and fb.equal(x, y)
    elif isinstance(x, dict):
        assert list(x) == list(y)
        for key in x:
            same(x[key], y[key])
    elif isinstance(x, (list, tuple)) and not isinstance(x, fb.Size):
        assert len(x) == len(y)
        for a, b in zip(x, y):
            same(a, b)
    else:
        assert x == y


def everything():
    a = fb.arange(6.0).view(2, 3)
    return {
        "a": a, "row": a[1:], "t": a.t(), "p": nn.Parameter(fb.ones(2)), "scalar": fb.tensor(3),
        "frozen": nn.Parameter(fb.ones(1), requires_grad=False), "empty": fb.empty(0, 3),
        "grad": fb.ones(2, requires_grad=True), "size": fb.Size([1, 2]), "dtype": fb.float16,
        "device": fb.device("cpu"), "complex": fb.tensor([1 + 2j]), "half": fb.ones(1).half(),
        "bf16": fb.ones(1).bfloat16(), "bool": fb.tensor([True, False]),
        "i8": fb.tensor([-1], dtype=fb.int8), "counter": Counter("aab"),
        "ordered": OrderedDict(b=1, a=2), "set": {1, 2}, "bytes": b"ab\xff", "big": 1 << 70,
        "plain": (1, -2.5, None, True, "ü", [1, [2]]), "number": 1 + 2j,
    }  # fmt: skip


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("mmap", [True, False])
def test_round_trip(tmp_path, weights_only, mmap):
    obj = everything()
    fb.save(obj, tmp_path / "x.pt")
    made = fb.load(tmp_path / "x.pt", weights_only=weights_only, mmap=mmap)
    same(obj, made)
    made["a"][1, 0] = 99
    assert made["row"][0, 0] == 99 and made["t"][0, 1] == 99, "views share their storage again"
    assert fb.load(tmp_path / "x.pt")["a"][1, 0] == 3, "a mapped file is not written to"


def test_files_of_pytorch():
    made = fb.load(os.path.join(DATA, "torch_2_13.pt"))
    assert made["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and made["t"].stride() == (1, 3)
    assert made["row"].data_ptr() == made["a"].data_ptr() + 12
    assert isinstance(made["p"], nn.Parameter) and made["p"].requires_grad
    assert not made["frozen"].requires_grad and made["grad"].requires_grad
    assert list(made["state"])[:3] == ["c.weight", "c.bias", "b.weight"]
    assert made["state"]._metadata["b"] == {"version": 2}
    assert made["size"] == fb.Size([1, 2]) and made["dtype"] == fb.float16
    assert made["device"] == fb.device("cpu") and made["conj"].tolist() == [1 - 2j]
    assert made["bf16"].item() == made["half"].item() == 1.5 and made["empty"].shape == (0, 3)
    assert made["plain"] == (1, 2.5, None, True, "x", b"ab\xff", 1 << 70, {1, 2}, [1, [2]])
    net = nn.Sequential(OrderedDict(c=nn.Conv2d(1, 2, 3), b=nn.BatchNorm2d(2), l=nn.Linear(3, 2)))
    net.load_state_dict(made["state"])
    assert fb.equal(net.c.weight, made["state"]["c.weight"])


def test_archive_has_the_layout_that_pytorch_reads(tmp_path):
    path = tmp_path / "name.pt"
    fb.save({"x": fb.ones(100), "y": fb.zeros(3)}, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = [info.filename for info in archive.infolist()]
        assert {"name/data.pkl", "name/byteorder", "name/version", "name/data/0"} <= set(names)
        assert archive.read("name/version") == b"3\n" and len(archive.read("name/data/0")) == 400
        content = path.read_bytes()
        for info in archive.infolist():
            extra = int.from_bytes(
                content[info.header_offset + 28 : info.header_offset + 30], "little"
            )
            start = info.header_offset + 30 + len(info.filename) + extra
            assert start % 64 == 0 and info.compress_type == zipfile.ZIP_STORED
        text = archive.read("name/data.pkl")
        assert b"torch._utils\n_rebuild_tensor_v2" in text and b"torch\nFloatStorage" in text
        assert b"flambeau" not in text


def test_modules_and_optimisers(tmp_path):
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    opt = fb.optim.Adam(net.parameters())
    net(fb.ones(1, 3)).sum().backward()
    opt.step()
    fb.save({"net": net.state_dict(), "opt": opt.state_dict()}, tmp_path / "x.pt")
    made = fb.load(tmp_path / "x.pt")
    same(dict(net.state_dict()), dict(made["net"]))
    opt.load_state_dict(made["opt"])
    fb.save(net, tmp_path / "whole.pt")
    with pytest.raises(pickle.UnpicklingError, match="Sequential.*weights_only=False"):
        fb.load(tmp_path / "whole.pt")
    whole = fb.load(tmp_path / "whole.pt", weights_only=False)
    assert fb.equal(whole(fb.ones(1, 3)), net(fb.ones(1, 3)))


class Evil:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


def test_unknown_names_are_refused_and_not_run(monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    fb.save({"x": Fraction(1, 2)}, tmp_path / "x.pt")
    with pytest.raises(pickle.UnpicklingError) as caught:
        fb.load(tmp_path / "x.pt")
    for part in ("x.pt", "fractions.Fraction", "add_safe_globals", "weights_only=False"):
        assert part in str(caught.value)
    with serialization.safe_globals([Fraction]):
        assert fb.load(tmp_path / "x.pt") == {"x": Fraction(1, 2)}
    assert serialization.get_safe_globals() == []
    assert not ran


def test_code_in_a_pickle_does_not_run():
    monkey = []
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil(), 2))
    f.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="system"):
        fb.load(f)
    assert not monkey


SNEAKY = {
    "attribute of a class": b"\x80\x02ctorch\nTensor\nN}X\x07\x00\x00\x00__add__K\x01s\x86b.",
    "call of a tensor class": b"\x80\x02ctorch\nTensor\nJ\x00\x00\x00\x7f\x85R.",
    "instance opcode": b"(ios\nsystem\n.",
    "extension registry": b"\x80\x02\x82\x01.",
    "giant byte array": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\x00\x00.",
    "encode with a codec": b"\x80\x02c_codecs\nencode\n"
    b"X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
    "byte array of a number": b"\x80\x02c__builtin__\nbytearray\nJ\x00\x00\x00\x7f\x85R.",
    "unknown storage": b"\x80\x02K\x01Q.",
    "nothing": b"",
}


@pytest.mark.parametrize("stream", SNEAKY.values(), ids=SNEAKY)
def test_sneaky_pickles(stream):
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w") as archive:
        archive.writestr("archive/data.pkl", stream)
    f.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="BytesIO"):
        fb.load(f)


@pytest.mark.parametrize("offset,size,stride", [(0, (7,), (1,)), (1, (6,), (1,)), (-1, (2,), (1,)),
                                                (0, (2, 4), (3, 1)), (0, (2,), (-1,)),
                                                (0, (1 << 40, 1 << 40), (0, 0))])  # fmt: skip
def test_tensors_that_reach_outside_their_storage(offset, size, stride):
    from flambeau._rebuild import LoadedStorage, rebuild_tensor_v2

    storage = LoadedStorage(fb.zeros(24, dtype=fb.uint8), "float32")
    with pytest.raises(ValueError, match="offset|larger"):
        rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict())


def test_damaged_files_are_errors_never_crashes(tmp_path):
    fb.save(everything(), tmp_path / "x.pt")
    good, rng = (tmp_path / "x.pt").read_bytes(), random.Random(0)
    allowed = (RuntimeError, pickle.UnpicklingError, EOFError)
    for _ in range(400):
        bad = bytearray(good)
        if rng.random() < 0.3:
            del bad[rng.randrange(len(bad)) :]
        for _ in range(rng.randint(0, 4)):
            if bad:
                bad[rng.randrange(len(bad))] = rng.randrange(256)
        try:
            fb.load(io.BytesIO(bytes(bad)))
        except allowed:
            pass
    (tmp_path / "short.pt").write_bytes(good[: len(good) // 2])
    with pytest.raises(RuntimeError, match="short.pt.*truncated"):
        fb.load(tmp_path / "short.pt")


def test_other_formats_have_clear_errors(tmp_path):
    with pytest.raises(RuntimeError, match="before PyTorch 1.6"):
        fb.load(os.path.join(DATA, "torch_legacy.pt"))
    with pytest.raises(EOFError, match="empty"):
        fb.load(io.BytesIO())
    with pytest.raises(RuntimeError, match="not a zip archive"):
        fb.load(io.BytesIO(b"hello world"))
    with pytest.raises(AttributeError, match="BytesIO"):
        fb.load(b"bytes")
    with pytest.raises(FileNotFoundError):
        fb.load(tmp_path / "absent.pt")
    with pytest.raises(NotImplementedError):
        fb.save(1, io.BytesIO(), _use_new_zipfile_serialization=False)


def test_writing_is_atomic(tmp_path):
    path = tmp_path / "x.pt"
    fb.save({"x": 1}, path)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        fb.save({"x": lambda: 0}, path)
    with pytest.raises(ZeroDivisionError):
        from flambeau._zipfile import atomic_file

        with atomic_file(path) as out:
            out.write(b"half")
            raise ZeroDivisionError
    assert fb.load(path) == {"x": 1} and os.listdir(tmp_path) == ["x.pt"]
    with pytest.raises(RuntimeError, match="Parent directory"):
        fb.save(1, tmp_path / "no" / "x.pt")


def test_map_location(tmp_path):
    f = io.BytesIO()
    fb.save(fb.ones(2), f)
    seen = []
    for where in ("cpu", fb.device("cpu"), {"cpu": "cpu"}, None):
        f.seek(0)
        assert fb.load(f, map_location=where).tolist() == [1, 1]
    f.seek(0)
    made = fb.load(f, map_location=lambda storage, place: seen.append(place) or storage)
    assert made.tolist() == [1, 1] and seen == ["cpu"]
    if not fb.cuda.is_available():
        f.seek(0)
        with pytest.raises(RuntimeError, match="map_location='cpu'"):
            fb.load(f, map_location="cuda")


def test_two_dtypes_on_one_storage_cannot_be_saved():
    x = fb.ones(4)
    with pytest.raises(RuntimeError, match="share one storage"):
        fb.save([x, x.view(fb.int32)], io.BytesIO())


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_plain_pickle(protocol):
    a = fb.arange(6.0).view(2, 3)
    for t in (a, a.t(), a[:, 1], a[1], fb.tensor(3), fb.empty(0, 2), fb.ones(2, requires_grad=True),
              nn.Parameter(fb.ones(2)), fb.ones(2).bfloat16()):  # fmt: skip
        made = pickle.loads(pickle.dumps(t, protocol))
        assert type(made) is type(t) and fb.equal(made, t) and made.requires_grad == t.requires_grad
    assert len(pickle.dumps(fb.zeros(1000, 1000)[0], protocol)) < 5000, "a view travels alone"


def test_safetensors_round_trip(tmp_path):
    tensors = {
        "a": fb.arange(6.0).view(2, 3), "t": fb.arange(6.0).view(2, 3).t(), "s": fb.tensor(3),
        "e": fb.empty(0, 2), "b": fb.tensor([True]), "h": fb.ones(3).bfloat16(),
        "ü": fb.ones(1).half(),
    }  # fmt: skip
    path = tmp_path / "x.safetensors"
    serialization.save_safetensors(tensors, path, {"made": "here"})
    for made in (fb.load(path), fb.load(path, mmap=True), serialization.load_safetensors(path)):
        assert set(made) == set(tensors)
        for name, t in tensors.items():
            assert made[name].dtype == t.dtype and fb.equal(made[name], t)
    with pytest.raises(TypeError):
        serialization.save_safetensors({"x": 1}, io.BytesIO())


def test_safetensors_and_the_reference_agree():
    reference = pytest.importorskip("safetensors.numpy")
    f = io.BytesIO()
    serialization.save_safetensors({"a": fb.arange(6.0).view(2, 3), "i": fb.arange(3)}, f)
    made = reference.load(f.getvalue())
    assert made["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and made["i"].tolist() == [0, 1, 2]
    ours = serialization.load_safetensors(io.BytesIO(reference.save(made)))
    assert ours["a"].tolist() == made["a"].tolist() and ours["i"].dtype == fb.int64
    good, rng = f.getvalue(), random.Random(1)
    end = 8 + int.from_bytes(good[:8], "little")
    for _ in range(500):
        bad = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            bad[rng.randrange(end)] = rng.choice([rng.randrange(256), *b'09"[ ,'])
        try:
            reference.load(bytes(bad))
            verdict = True
        except Exception:
            verdict = False
        try:
            serialization.load_safetensors(io.BytesIO(bytes(bad)))
            assert verdict, "the reference refuses this file"
        except (ValueError, NotImplementedError) as fault:
            assert not verdict or isinstance(fault, NotImplementedError)


FAULTS = {
    "overlap": ({"a": ("F32", [1], [0, 4]), "b": ("F32", [1], [2, 6])}, 6),
    "gap": ({"a": ("F32", [1], [4, 8])}, 8),
    "too short": ({"a": ("F32", [2], [0, 8])}, 4),
    "wrong size": ({"a": ("F32", [3], [0, 8])}, 8),
    "unknown dtype": ({"a": ("X9", [1], [0, 4])}, 4),
    "negative shape": ({"a": ("F32", [-1], [0, 4])}, 4),
    "trailing bytes": ({"a": ("F32", [1], [0, 4])}, 5),
    "huge": ({"a": ("U8", [1 << 62], [0, 1 << 62])}, 4),
}


@pytest.mark.parametrize("entries,size", FAULTS.values(), ids=FAULTS)
def test_safetensors_faults(entries, size):
    import json

    header = {n: dict(zip(("dtype", "shape", "data_offsets"), e)) for n, e in entries.items()}
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + bytes(size)
    with pytest.raises(ValueError, match="load_safetensors: <BytesIO>"):
        serialization.load_safetensors(io.BytesIO(content))
