"""The house rules: sizes, heads of files, documentation, examples that run, ops with spec rows."""

import ast
import doctest
import importlib
import inspect
import pathlib
import re
import subprocess
import sys

import pytest

from under_test import IS_TORCH, fb

if IS_TORCH:
    pytest.skip("the house is Flambeau's", allow_module_level=True)

ROOT = pathlib.Path(__file__).resolve().parents[1]
GENERATED = {"src/flambeau/_C.pyi"}
SUFFIXES = {".py", ".cpp", ".h", ".cuh", ".inc", ".sh", ".pyi"}
CPP = {".cpp", ".h", ".cuh", ".inc"}


def tracked():
    """The project's source files: git's list, or the tree of an unpacked archive."""
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    names = (
        done.stdout.split("\n")
        if done.returncode == 0
        else [
            str(p.relative_to(ROOT))
            for d in ("src", "csrc", "tests", "examples", "scripts", "benchmarks")
            for p in (ROOT / d).rglob("*")
        ]
    )
    return sorted(
        n
        for n in names
        if n and pathlib.Path(n).suffix in SUFFIXES and (ROOT / n).is_file() and n not in GENERATED
    )


FILES = tracked()
TEXT = {n: (ROOT / n).read_text(encoding="utf-8") for n in FILES}


def complain(lines):
    assert not lines, f"{len(lines)} places\n  " + "\n  ".join(lines[:25])


def test_there_is_something_to_check():
    assert (
        sum(n.startswith("src/") for n in FILES) > 10
        and sum(n.startswith("csrc/") for n in FILES) > 10
    )


def test_lines_are_at_most_100_columns():
    complain(
        [
            f"{n}:{i} has {len(line)} columns"
            for n, t in TEXT.items()
            for i, line in enumerate(t.split("\n"), 1)
            if len(line) > 100
        ]
    )


def test_files_are_under_1000_lines():
    complain([f"{n} has {t.count(chr(10))} lines" for n, t in TEXT.items() if t.count("\n") > 1000])


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def strip_cpp(text):
    """C++ without comments, strings and characters, line breaks kept."""

    def blank(m):
        return "\n" * m.group(0).count("\n")

    text = re.sub(r'R"(\w*)\(.*?\)\1"', blank, text, flags=re.S)
    return re.sub(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', blank, text, flags=re.S
    )


def cpp_functions(text):
    """(head, line, length) of each braced block that follows a closing parenthesis."""
    text = strip_cpp(text)
    stack, line, last = [], 1, 0
    for i, c in enumerate(text):
        if c == "\n":
            line += 1
        elif c == "{":
            head = text[last:i].strip()
            is_function = bool(
                re.search(
                    r"\)\s*(const|noexcept|override|final|mutable|->\s*[\w:<>*& ]+)*\s*"
                    r"(:[^;{}]*)?$",
                    head,
                )
            ) and not re.match(r"(if|for|while|switch|else|do|catch)\b", head)
            stack.append((is_function and not any(s[0] for s in stack), line, head))
            last = i + 1
        elif c == "}":
            if stack:
                function, start, head = stack.pop()
                if function:
                    yield (
                        (head.split("(")[0].split() or ["?"])[-1],
                        start,
                        line - start + 1,
                    )
            last = i + 1
        elif c == ";":
            last = i + 1


def test_functions_are_under_100_lines():
    long = []
    for n, t in TEXT.items():
        kind = pathlib.Path(n).suffix
        found = python_functions(t) if kind == ".py" else cpp_functions(t) if kind in CPP else ()
        long += [f"{n}:{line} {name} has {size} lines" for name, line, size in found if size > 100]
    complain(long)


def test_each_file_starts_with_its_purpose():
    bad = []
    for n, t in TEXT.items():
        kind = pathlib.Path(n).suffix
        if kind == ".py":
            if t.strip() and not ast.get_docstring(ast.parse(t)):
                bad.append(n)
        elif kind in CPP and not t.lstrip().startswith("//"):
            bad.append(n)
        elif kind == ".sh" and not t.split("\n")[1].startswith("# "):
            bad.append(n)
    complain(bad)


def test_only_the_binding_knows_python():
    complain(
        [
            n
            for n, t in TEXT.items()
            if n.startswith("csrc/")
            and not n.startswith("csrc/python/")
            and re.search(r"#include\s*[<\"]Python\.h|PyObject", t)
        ]
    )


def test_no_machine_paths_and_no_leftovers():
    path = re.compile(r"/(?:work|root|home)/\w")
    left = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    here = "tests/test_house.py"
    complain(
        [
            f"{n}:{i} {line.strip()[:80]}"
            for n, t in TEXT.items()
            if n != here
            for i, line in enumerate(t.split("\n"), 1)
            if path.search(line) or left.search(line)
        ]
    )


def test_no_bare_except_and_no_silent_pass():
    bad = []
    for n, t in TEXT.items():
        if not n.startswith("src/") or not n.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(t)):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                bad.append(f"{n}:{node.lineno}")
            if (
                isinstance(node, ast.ExceptHandler)
                and isinstance(node.type, ast.Name)
                and node.type.id in ("Exception", "BaseException")
                and all(isinstance(b, ast.Pass) for b in node.body)
            ):
                bad.append(f"{n}:{node.lineno} swallows every error")
    complain(bad)


def public_modules():
    """flambeau and its public submodules, by file: one that cannot be imported fails its test."""
    home = pathlib.Path(fb.__file__).parent
    parts = [("flambeau", *p.relative_to(home).with_suffix("").parts) for p in home.rglob("*.py")]
    names = {".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts}
    return sorted(n for n in names if not any(w.startswith("_") for w in n.split(".")))


def own_objects(name):
    """(dotted name, object) of the public functions and classes of a module."""
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    for n in exported:
        o = getattr(module, n)
        home = str(getattr(o, "__module__", None) or "flambeau")
        if callable(o) and home.startswith("flambeau") and (home == name or home not in MODULES):
            yield f"{name}.{n}", o


MODULES = public_modules()


def test_every_public_name_is_documented():
    bad = {}
    for module in MODULES:
        for name, o in own_objects(module):
            if not (inspect.getdoc(o) or "").strip():
                bad.setdefault(id(o), name)
    complain(sorted(bad.values()))


@pytest.mark.parametrize("module", MODULES)
def test_public_examples_run(module):
    """Runs the examples in the docstrings of what the module defines."""
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    finder = doctest.DocTestFinder(exclude_empty=True, recurse=True)
    m = importlib.import_module(module)
    mine = list(own_objects(module))
    failures = []
    for name, o in [(module + ".__doc__", m.__doc__ or "")] + mine:
        tests = (
            [doctest.DocTestParser().get_doctest(o, {}, name, None, 0)]
            if isinstance(o, str)
            else finder.find(o, name, globs={}, module=False)
        )
        for t in tests:
            if not t.examples:
                continue
            out = []
            fb.manual_seed(0)
            if runner.run(t, out=out.append).failed:
                failures.append(name + "\n" + "".join(out))
    complain(failures)


def registered():
    """{op name: (forms, doc)} of the compiled core."""
    core = importlib.import_module("flambeau._C")
    rows = {}
    for schema, forms, doc in core._signatures():
        name = schema.split("(")[0]
        rows[name] = (rows.get(name, (0, ""))[0] | forms, rows.get(name, (0, ""))[1] or doc)
    return rows


def test_every_registered_op_has_a_doc():
    complain(sorted(n for n, (_, doc) in registered().items() if not doc.strip()))


# ops that another file tests, or whose contents are chance or address
ELSEWHERE = re.compile(
    # spellings that share another row's function
    r"^(special_i0|cdouble|cfloat|conj_physical|ger|linalg_vector_norm|log_sigmoid)$"
    r"|^cross_entropy_loss$"
    r"|^max_pool[123]d_with_indices$|^native_|^constant_pad_nd$|^split_with_sizes$"
    r"|^_|^(empty|new_empty|rand|randn|randint|randperm|normal|multinomial|uniform_|random_"
    r"|exponential_|geometric_|cauchy_|log_normal_|bernoulli|poisson|item|tolist|numpy"
    r"|from_numpy|to|copy_|fill_?|zero_?"
    r"|set_|resize_|detach|data_ptr|is_|requires_grad|retain_grad|register|backward|equal|allclose"
    r"|manual_seed|result_type|size|stride|dim|numel|storage|type|cpu|float|double|half|bfloat16"
    r"|long|int|short|char|byte|bool|cuda|element_size|nelement|ndimension|new_|dropout|bernoulli)"
)


def test_every_registered_op_has_a_spec_row():
    from op_specs import REGISTRY

    have = {n for r in REGISTRY.values() for n in (r.name.split(".")[-1], r.name.replace(".", "_"))}
    source = "\n".join(t for n, t in TEXT.items() if n.startswith("tests/"))
    complain(
        sorted(
            n
            for n in registered()
            if n not in have
            and not ELSEWHERE.match(n)
            and not re.search(rf"\b{re.escape(n)}\b", source)
        )
    )


def test_no_composite_has_the_name_of_a_core_op():
    complain(sorted(fb.functional.OVERLAPS))


def test_the_stub_is_up_to_date():
    done = subprocess.run(
        [sys.executable, "scripts/make_stubs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-500:]


def test_the_import_pulls_in_no_numpy():
    code = "import sys, flambeau; print(sorted({'numpy', 'scipy', 'PIL'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
