"""What the GPU backend declares of NVIDIA's libraries by hand agrees with the libraries' own."""

import ctypes
import importlib.util
import pathlib
import re
import sys

import pytest

from cuda_rows import CSRC, find_nvrtc, split_arguments

TEXT = (CSRC / "cuda/driver.h").read_text()
HANDLES = {"CUcontext", "CUevent", "CUfunction", "CUgraph", "CUgraphExec", "CUmodule", "CUstream"}
HANDLES |= {"Handle", "nvrtcProgram", "cublasHandle_t", "cudaStream_t"}


def table(name):
    """{symbol: parameter types} of a table in driver.h."""
    body = re.search(rf"#define FB_{name}_TABLE\(X\)(.*?)\n(?! )", TEXT, re.S)[1]
    body = body.replace("\\\n", " ")
    cells = [split_arguments(body[m.end() :]) for m in re.finditer(r"\bX\(", body)]
    return {c[1]: c[2:] for c in cells}


TABLES = {"driver": table("DRIVER"), "nvrtc": table("NVRTC"), "cublas": table("CUBLAS")}


def places():
    """Folders in which NVIDIA's wheels and toolkits keep headers, newest first."""
    spec = importlib.util.find_spec("nvidia")
    found = []
    for base in (spec and spec.submodule_search_locations) or []:
        found += sorted(pathlib.Path(base).glob("*/include"), reverse=True)
    toolkits = pathlib.Path("/usr/local").glob("cuda*/include")
    return found + sorted(toolkits, key=lambda p: p.resolve(), reverse=True)


def header(name):
    """A header's text without comments; the test is skipped where it is not installed."""
    for place in places():
        if (place / name).exists():
            text = (place / name).read_text(errors="replace")
            return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    pytest.skip(f"{name} is not installed: it comes with a CUDA toolkit or NVIDIA's wheels")


def cublas_library():
    spec = importlib.util.find_spec("nvidia")
    for base in (spec and spec.submodule_search_locations) or []:
        for lib in sorted(pathlib.Path(base).glob("*/lib/libcublas.so.*"), reverse=True):
            for light in lib.parent.glob("libcublasLt.so.*"):
                ctypes.CDLL(str(light), ctypes.RTLD_GLOBAL)
            return ctypes.CDLL(str(lib))
    return None


def missing(lib, symbols):
    return [s for s in symbols if not hasattr(lib, s)]


def test_tables_are_read():
    assert sum(map(len, TABLES.values())) == TEXT.count("\n  X(") > 60
    assert TABLES["driver"]["cuCtxSynchronize"] == []
    assert TABLES["nvrtc"]["nvrtcCompileProgram"] == ["Handle", "int", "const char* const*"]


def test_nvrtc_has_its_symbols():
    lib = find_nvrtc()
    if lib is None:
        pytest.skip("the kernel compiler is not installed: pip install nvidia-cuda-nvrtc")
    assert missing(lib, TABLES["nvrtc"]) == [] and missing(lib, ["nvrtcNone"]) == ["nvrtcNone"]


def test_cublas_has_its_symbols():
    lib = cublas_library()
    if lib is None:
        pytest.skip("cuBLAS is not installed: pip install nvidia-cublas")
    assert missing(lib, TABLES["cublas"]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the simulated driver is built on Linux only")
def test_simulated_libraries_have_their_symbols():
    from cudasim.build import build

    folder = build()
    assert missing(ctypes.CDLL(str(folder / "libcuda.so.1")), TABLES["driver"]) == []
    assert missing(ctypes.CDLL(str(folder / "libcublas.so.13")), TABLES["cublas"]) == []


def passed(parameter):
    """How the calling convention sees a parameter."""
    if "*" in parameter or "[" in parameter or HANDLES & set(re.findall(r"\w+", parameter)):
        return "address"
    if re.search(r"\b(size_t|long long|CUdeviceptr|Pointer)\b", parameter):
        return "64 bits"
    return "8 bits" if re.search(r"\bchar\b", parameter) else "32 bits"


def declared(text, symbol):
    """The parameters in a header of a function, or of the name that a macro maps to it."""
    base = re.sub(r"_v\d$", "", symbol)
    named = re.findall(rf"#define\s+(\w+)\s+(?:__CUDA_API_PTSZ\()?{symbol}\b", text)
    for name in (symbol, base, *named):
        if found := re.search(rf"\b(?:CUDAAPI|CUBLASWINAPI|nvrtcResult)\s+{name}\s*\(", text):
            cells = split_arguments(text[found.end() :])
            return [] if cells in (["void"], [""]) else cells
    return None


@pytest.mark.parametrize(
    "library, file", [("driver", "cuda.h"), ("nvrtc", "nvrtc.h"), ("cublas", "cublas_api.h")]
)
def test_parameters(library, file):
    text, wrong = header(file), []
    for symbol, types in TABLES[library].items():
        theirs = declared(text, symbol)
        if symbol.endswith("_v2") and not re.search(rf"\b{symbol}\b", text):
            wrong.append(f"{symbol} is not in {file}")
        if theirs is None:
            wrong.append(f"{symbol} is not declared in {file}")
        elif [passed(t) for t in types] != [passed(t) for t in theirs]:
            wrong.append(f"{symbol}({', '.join(types)}) is {symbol}({', '.join(theirs)})")
    assert not wrong, "\n".join(wrong)


def ours(file, name):
    """Every value that a source gives a constant, or that follows in an enumeration."""
    text = (CSRC / file).read_text()
    found = {int(v, 0) for v in re.findall(rf"\b{name} = (-?\w+)\b", text)}
    assert len(found) == 1, f"{name} in {file} has the values {found}"
    return found.pop()


ATTRIBUTE = "CU_DEVICE_ATTRIBUTE_"
CONSTANTS = {
    "cuda.h": {
        ("cuda/driver.h", "kSuccess"): "CUDA_SUCCESS",
        ("cuda/driver.h", "kOutOfMemory"): "CUDA_ERROR_OUT_OF_MEMORY",
        ("cuda/driver.h", "kNoDevice"): "CUDA_ERROR_NO_DEVICE",
        ("cuda/driver.h", "kNotReady"): "CUDA_ERROR_NOT_READY",
        ("cuda/driver.h", "kMaxThreadsPerMultiprocessor"): ATTRIBUTE
        + "MAX_THREADS_PER_MULTIPROCESSOR",
        ("cuda/driver.h", "kMultiprocessors"): ATTRIBUTE + "MULTIPROCESSOR_COUNT",
        ("cuda/driver.h", "kL2CacheBytes"): ATTRIBUTE + "L2_CACHE_SIZE",
        ("cuda/driver.h", "kIntegrated"): ATTRIBUTE + "INTEGRATED",
        ("cuda/driver.h", "kMajor"): ATTRIBUTE + "COMPUTE_CAPABILITY_MAJOR",
        ("cuda/driver.h", "kMinor"): ATTRIBUTE + "COMPUTE_CAPABILITY_MINOR",
        ("cuda/driver.h", "kSharedOptIn"): ATTRIBUTE + "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
        ("cuda/driver.h", "kSharedPerMultiprocessor"): ATTRIBUTE
        + "MAX_SHARED_MEMORY_PER_MULTIPROCESSOR",
        ("cuda/driver.h", "kRegistersPerMultiprocessor"): ATTRIBUTE
        + "MAX_REGISTERS_PER_MULTIPROCESSOR",
        ("python/cuda.cpp", "kSharedPerBlock"): ATTRIBUTE + "MAX_SHARED_MEMORY_PER_BLOCK",
        ("python/dlpack.cpp", "kDeviceOrdinal"): "CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL",
        ("cuda/device.cpp", "kNonBlocking"): "CU_STREAM_NON_BLOCKING",
        ("cuda/pinned.cpp", "kPortable"): "CU_MEMHOSTALLOC_PORTABLE",
        ("cuda/copy.cpp", "kNoTiming"): "CU_EVENT_DISABLE_TIMING",
        ("cuda/pinned.cpp", "kNoTiming"): "CU_EVENT_DISABLE_TIMING",
        ("cuda/pool.cpp", "kNoTiming"): "CU_EVENT_DISABLE_TIMING",
        ("python/dlpack.cpp", "kNoTiming"): "CU_EVENT_DISABLE_TIMING",
        ("cuda/device.h", "mode"): "CU_STREAM_CAPTURE_MODE_RELAXED",
    },
    "cublas_api.h": {
        ("cuda/blas.cpp", "kCompute32"): "CUBLAS_COMPUTE_32F",
        ("cuda/blas.cpp", "kCompute64"): "CUBLAS_COMPUTE_64F",
        ("cuda/blas.cpp", "kComputeTf32"): "CUBLAS_COMPUTE_32F_FAST_TF32",
        ("cuda/blas.cpp", "kAsStored"): "CUBLAS_OP_N",
        ("cuda/blas.cpp", "kTransposed"): "CUBLAS_OP_T",
        ("cuda/blas.cpp", "kDefaultAlgorithm"): "CUBLAS_GEMM_DEFAULT",
    },
    "library_types.h": {
        ("cuda/blas.cpp", "kReal32"): "CUDA_R_32F",
        ("cuda/blas.cpp", "kReal64"): "CUDA_R_64F",
        ("cuda/blas.cpp", "kReal16"): "CUDA_R_16F",
        ("cuda/blas.cpp", "kComplex32"): "CUDA_C_32F",
        ("cuda/blas.cpp", "kComplex64"): "CUDA_C_64F",
        ("cuda/blas.cpp", "kBrain16"): "CUDA_R_16BF",
    },
}


@pytest.mark.parametrize("file", CONSTANTS)
def test_constants(file):
    text, wrong = header(file), []
    for (source, name), theirs in CONSTANTS[file].items():
        value = re.search(rf"\b{theirs}\s*=?\s*(-?\w+)", text)
        if value is None or int(value[1], 0) != ours(source, name):
            wrong.append(
                f"{name} of {source} is {ours(source, name)}, {theirs} {value and value[1]}"
            )
    assert not wrong, "\n".join(wrong)


def test_event_flags_and_capture_modes():
    """Numbers that stand in calls without a name of their own."""
    text = header("cuda.h")

    def theirs(name):
        return int(re.search(rf"\b{name}\s*=\s*(\w+)", text)[1], 0)

    timing, blocking = theirs("CU_EVENT_DISABLE_TIMING"), theirs("CU_EVENT_BLOCKING_SYNC")
    call = f"(timing ? 0u : {timing}u) | (blocking ? {blocking}u : 0u)"
    assert call in (CSRC / "python/cuda.cpp").read_text()
    graphs = (CSRC.parent / "src/flambeau/cuda/graphs.py").read_text()
    modes = re.search(r"_MODES = (\{.*?\})", graphs, re.S)[1]
    for name in ("global", "thread_local", "relaxed"):
        assert f'"{name}": {theirs("CU_STREAM_CAPTURE_MODE_" + name.upper())}' in modes


def test_status_names():
    """Each error number of cuBLAS that is given words is the one with that meaning."""
    text = header("cublas_api.h")
    source = (CSRC / "cuda/blas.cpp").read_text()
    names = re.findall(r'"([^"]*)"', re.search(r"names\[\] = \{(.*?)\}", source, re.S)[1])
    same = {"out of memory": "alloc failed", "not initialised": "not initialized"}
    same["architecture mismatch"] = "arch mismatch"
    for number, name in enumerate(names):
        found = re.search(rf"CUBLAS_STATUS_(\w+)\s*=\s*{number}\b", text)
        assert same.get(name, name) == (found[1].lower().replace("_", " ") if found else "")


def test_a_difference_is_found():
    text = "CUresult CUDAAPI cuA(CUstream s, size_t n, unsigned int f);"
    assert [passed(p) for p in declared(text, "cuA_v2")] == ["address", "64 bits", "32 bits"]
    assert declared(text, "cuB") is None
