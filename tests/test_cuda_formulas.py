"""Every row's scalar formula compiles for CUDA, in every type that the row admits, warning-free."""

import ctypes
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess

import pytest

CSRC = pathlib.Path(__file__).resolve().parents[1] / "csrc"
ROW_FILES = ["unary_rows.h", "activation_rows.h", "binary_rows.h", "special_rows.h"]
TEXTS = {p.name: p for d in ("cuda/kernels", "cpu") for p in (CSRC / d).glob("*.*h")}
ALL = [
    "types.cuh",
    "vecmath_core.h",
    "math.cuh",
    "complex.cuh",
    "vecmath_complex.h",
    "vecmath_integer.h",
    "special_arith.h",
    "formulas.h",
    "special_gamma.h",
    "special_bessel.h",
    "special_poly.h",
]
KINDS = {
    "kInt": {"int8_t", "int16_t", "int32_t", "int64_t", "uint8_t", "uint16_t", "uint32_t"}
    | {"uint64_t"},
    "kBool": {"bool"},
    "kFlt": {"float", "double"},
    "kCpx": {"c64", "c128"},
}
for name, parts in {
    "kIntBool": "kInt kBool",
    "kNum": "kInt kFlt kCpx",
    "kReal": "kInt kFlt",
    "kAll": "kInt kBool kFlt kCpx",
    "kRealBool": "kInt kFlt kBool",
    "kFltCpx": "kFlt kCpx",
}.items():
    KINDS[name] = set().union(*(KINDS[p] for p in parts.split()))
TYPES = sorted(KINDS["kAll"])
OPTIONS = ["--gpu-architecture=compute_90", "--std=c++20", "--fmad=false", "-default-device"]
OPTIONS += ["--diag-suppress=186"]  # "x < T(0)" of an unsigned T is always false, and meant so


def split_arguments(text):
    """The top-level arguments of a macro call, from behind its opening parenthesis, and the end."""
    depth, quoted, start, out = 0, False, 0, []
    for i, ch in enumerate(text):
        if ch == '"' and text[i - 1] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif ch in "([{":
            depth += 1
        elif ch in ")]}" and depth:
            depth -= 1
        elif depth == 0 and ch in ",)":
            out.append(" ".join(text[start:i].split()))
            start = i + 1
            if ch == ")":
                return out
    raise ValueError("unbalanced row: " + text[:80])


def rows():
    """(name, operands, rule, types, formula) of every row."""
    found = []
    for file in ROW_FILES:
        text = (CSRC / "ops" / file).read_text().replace("\\\n", " \n")
        for macro in re.split(r"^#define (?=FB_\w+\(X\))", text, flags=re.M)[1:]:
            binary = macro.startswith("FB_BINARY")
            operands = (
                ["a", "b"] if binary else ["a", "b", "c"] if "TERNARY" in macro[:12] else ["x"]
            )
            for row in re.finditer(r"^  X\(", macro, flags=re.M):
                cells = split_arguments(macro[row.end() :])
                if not binary:
                    del cells[1]  # the row's parameters
                kinds = [KINDS[k.strip()] for k in cells[2].split("|")]
                found.append((cells[0], operands, cells[1], set().union(*kinds), cells[4]))
    return found


ROWS = rows()


def result_type(rule, type_):
    if rule == "Bool":
        return "bool"
    if rule.startswith("Real"):
        return {"c64": "float", "c128": "double"}.get(type_, type_)
    return type_


def text_of(files):
    lines = []
    for f in files:
        lines += TEXTS[f].read_text().splitlines()
    return "\n".join(x for x in lines if not x.startswith(("#include", "#pragma once"))) + "\n"


def kernel(row, type_):
    """A kernel that applies a row's formula to each of n elements."""
    name, operands, rule, _, formula = row
    result = result_type(rule, type_)
    loads = " ".join(f"[[maybe_unused]] const T {o} = in{i}[i];" for i, o in enumerate(operands))
    return f"""
extern "C" __global__ void row_{name}(const T* in0, const T* in1, const T* in2, {result}* out,
                                      const double* p, int n) {{
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  {loads}
  out[i] = {result}({formula});
}}
"""


def program(files, type_, chosen):
    head = f"using T = {type_};\n#define P(i) T(p[i])\n"
    return text_of(files) + head + "".join(kernel(r, type_) for r in chosen)


def find_nvrtc():
    spec = importlib.util.find_spec("nvidia")
    for place in (spec and spec.submodule_search_locations) or []:
        for lib in sorted(pathlib.Path(place).glob("*/lib/libnvrtc.so.*"), reverse=True):
            if "alt" not in lib.name:
                return ctypes.CDLL(str(lib))
    return None


@pytest.fixture(scope="module")
def nvrtc():
    lib = find_nvrtc()
    if lib is None:
        pytest.skip("the kernel compiler is not installed: pip install nvidia-cuda-nvrtc")
    return lib


def compile_text(lib, text, options=OPTIONS):
    """PTX of a program, and the compiler's log; no PTX where it does not compile."""
    handle, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert (
        lib.nvrtcCreateProgram(ctypes.byref(handle), text.encode(), b"rows.cu", 0, None, None) == 0
    )
    options = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    code = lib.nvrtcCompileProgram(handle, len(options), options)

    def fetch(what):
        getattr(lib, f"nvrtcGet{what}Size")(handle, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(lib, f"nvrtcGet{what}")(handle, buffer)
        return buffer.value.decode()

    log = fetch("ProgramLog").strip()
    ptx = fetch("PTX") if code == 0 else None
    lib.nvrtcDestroyProgram(ctypes.byref(handle))
    return ptx, log


def test_rows_are_read():
    names = [r[0] for r in ROWS]
    assert len(names) > 150 and len(set(names)) == len(names)
    assert {"exp", "gelu_erf", "addcmul", "igamma", "nan_to_num_to"} <= set(names)
    by_name = {r[0]: r for r in ROWS}
    assert by_name["sgn"][3] == KINDS["kAll"] and by_name["abs"][2] == "Real"
    assert by_name["softplus"][4] == "x * P(0) > P(1) ? x : T(math::softplus(x * P(0)) / P(0))"


@pytest.mark.parametrize("type_", TYPES)
def test_formulas_compile(nvrtc, type_):
    chosen = [r for r in ROWS if type_ in r[3]]
    ptx, log = compile_text(nvrtc, program(ALL, type_, chosen))
    assert ptx is not None and not log, log[:4000]
    entries = set(re.findall(r"\.entry row_(\w+)\(", ptx))
    assert entries == {r[0] for r in chosen}


CHOOSER = """
#include <iostream>
#include <string>
#include "formula_files.h"
int main() {
  for (std::string line; std::getline(std::cin, line);) {
    for (auto f : flambeau::cuda::files_for(line.substr(1), line[0] == 'c')) std::cout << f << ' ';
    std::cout << std::endl;
  }
}
"""


def test_named_files_are_enough(nvrtc, tmp_path):
    """Formulas compile with the texts that the host chooses for them and no others."""
    cxx = os.environ.get("CXX") or shutil.which("c++")
    if not cxx:
        pytest.skip("no C++ compiler here to run csrc/cuda/formula_files.h with")
    (tmp_path / "choose.cpp").write_text(CHOOSER)
    build = [cxx, "-std=c++20", f"-I{CSRC / 'cuda'}", "choose.cpp", "-o", "choose"]
    subprocess.run(build, cwd=tmp_path, check=True)
    groups = {}
    for type_ in ("float", "c64"):
        chosen = [r for r in ROWS if type_ in r[3]]
        done = subprocess.run(
            [tmp_path / "choose"],
            input="".join(f"{type_[0]}{r[4]}\n" for r in chosen),
            capture_output=True,
            text=True,
            check=True,
        )
        for row, files in zip(chosen, done.stdout.splitlines()):
            groups.setdefault((type_, files), []).append(row)
    assert ("float", "types.cuh ") in groups and len(groups) >= 6
    for (type_, files), chosen in groups.items():
        ptx, log = compile_text(nvrtc, program(files.split(), type_, chosen))
        assert ptx is not None and not log, f"{files}: {log[:4000]}"


CONVERSIONS = """
template<class From, class To>
__global__ void each(const From* in, To* out) { out[threadIdx.x] = convert<To>(in[threadIdx.x]); }
#define TO(F, T_) template __global__ void each<F, T_>(const F*, T_*);
#define FROM(F) TO(F, bool) TO(F, uint8_t) TO(F, int8_t) TO(F, int16_t) TO(F, int32_t) \\
  TO(F, int64_t) TO(F, uint16_t) TO(F, uint32_t) TO(F, uint64_t) TO(F, f16) TO(F, bf16) \\
  TO(F, float) TO(F, double) TO(F, c64) TO(F, c128)
FROM(bool) FROM(uint8_t) FROM(int8_t) FROM(int16_t) FROM(int32_t) FROM(int64_t) FROM(uint16_t)
FROM(uint32_t) FROM(uint64_t) FROM(f16) FROM(bf16) FROM(float) FROM(double) FROM(c64) FROM(c128)
static_assert(std::is_same_v<compute_t<f16>, float> && std::is_same_v<compute_t<c64>, c64>);
static_assert(std::numeric_limits<int8_t>::lowest() == -128 &&
              std::numeric_limits<uint64_t>::max() == ~0ull &&
              std::numeric_limits<int64_t>::max() == 0x7fffffffffffffff);
static_assert(sizeof(c128) == 16 && alignof(c128) == 16 && sizeof(f16) == 2);
"""


def test_conversions_compile(nvrtc):
    ptx, log = compile_text(nvrtc, text_of(["types.cuh"]) + CONVERSIONS)
    assert ptx is not None and not log, log[:4000]
    assert ptx.count(".entry") == 15 * 15
