"""The rows of scalar formulas as CUDA programs, and the kernel compiler, for the tests of them."""

import ctypes
import importlib.util
import pathlib
import re

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


def compile_text(lib, text, options=OPTIONS, kind="PTX"):
    """PTX or CUBIN of a program, and the compiler's log; None where it does not compile."""
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
        return buffer.raw if what == "CUBIN" else buffer.value.decode()

    log = fetch("ProgramLog").strip()
    result = fetch(kind) if code == 0 else None
    lib.nvrtcDestroyProgram(ctypes.byref(handle))
    return result, log
