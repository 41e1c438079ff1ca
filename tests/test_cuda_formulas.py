"""Every row's scalar formula compiles for CUDA, in every type that the row admits, warning-free."""

import os
import re
import shutil
import subprocess

import pytest

from cuda_rows import ALL, CSRC, KINDS, ROWS, TYPES, compile_text, find_nvrtc, program, text_of


@pytest.fixture(scope="module")
def nvrtc():
    lib = find_nvrtc()
    if lib is None:
        pytest.skip("the kernel compiler is not installed: pip install nvidia-cuda-nvrtc")
    return lib


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
