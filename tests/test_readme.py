"""The documents: their sessions run with the results they show, the files they name are there."""

import doctest
import pathlib
import re

import pytest

from under_test import IS_TORCH

if IS_TORCH:
    pytest.skip("the documents are Flambeau's", allow_module_level=True)

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ["README.md", "DESIGN.md", "CONTRIBUTING.md", "csrc/ops/README.md", "docs/from_scratch.md"]
BASES = ["", "csrc", "csrc/ops", "src/flambeau", "tests"]


def blocks(text, language):
    """The bodies of the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


@pytest.mark.parametrize("name", ["README.md", "docs/from_scratch.md"])
def test_sessions_run_as_shown(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # the digits are in data/
    text = (ROOT / name).read_text(encoding="utf-8")
    session = "".join(f"{b}\n" for b in blocks(text, "pycon"))
    definitions = {"__name__": "__main__"}
    for program in blocks(text, "python"):
        exec(compile(program, name, "exec"), definitions)
    test = doctest.DocTestParser().get_doctest(session, definitions, name, name, 0)
    assert len(test.examples) > 3
    said = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("name", DOCS)
def test_files_that_documents_name_are_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|cpp|h|inc|md|sh|json))`", text)
    missing = [
        n for n in named if not any((ROOT / base / n.split("::")[0]).exists() for base in BASES)
    ]
    assert not missing, f"{name} names {missing}"


@pytest.mark.parametrize("name", DOCS)
def test_commands_that_documents_name_are_there(name):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, flags=re.M))
    text = (ROOT / name).read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^|`)make ([\w-]+)", text, flags=re.M)) <= targets
