"""Rules of the house that a tool can check."""

import ast
import re
import subprocess
import sys
import tokenize
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "stepsize").rglob("*.py"))
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 40


def loaded_by(statement):
    """The top-level modules that a fresh interpreter has loaded after ``statement``."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import stepsize",
        "import stepsize.suggest, stepsize.finder, stepsize.report.find_html, stepsize.tasks",
        "import stepsize.comparison, stepsize.store, stepsize.trackers, stepsize.report.page",
        "import stepsize.cli.main; stepsize.cli.main._parser()",
    ],
)
def test_importing_the_core_loads_no_framework(statement):
    heavy = {"torch", "numpy", "matplotlib", "keras", "jax", "sklearn", "pandas", "tqdm", "scipy"}
    heavy |= {"tensorboard", "mlflow", "wandb", "trackio", "sqlalchemy"}
    assert loaded_by(statement) & heavy == set()


def test_files_are_short():
    lengths = {str(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {n: length for n, length in lengths.items() if length > MOST_LINES_OF_A_FILE} == {}


def test_functions_are_short():
    assert [name for path in SOURCES for name in long_functions(path)] == []


def long_functions(path):
    """Those with too many lines of code between the docstring and the end of the function.

    Blank lines and comments do not count.
    """
    with path.open("rb") as file:
        silent = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT)
        busy = {
            line
            for token in tokenize.tokenize(file.readline)
            if token.type not in silent
            for line in range(token.start[0], token.end[0] + 1)
        }
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                lines = busy & set(range(body[0].lineno, node.end_lineno + 1))
                if len(lines) > MOST_LINES_OF_A_FUNCTION:
                    yield f"{path.name}: {node.name}"


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"])
def test_every_path_that_a_document_names_exists(document):
    text = (ROOT / document).read_text()
    named = set(
        re.findall(r"`((?:src|tests|docs|benchmarks|examples|tools|\.ci)/[\w./*-]*)`", text)
    )
    named |= {link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not link.startswith("http")}
    assert named
    missing = [name for name in named if not list(ROOT.glob(name.rstrip("/")))]
    assert missing == []


def test_the_map_names_every_folder_and_file_of_the_core():
    """One line per file: a reader finds every file from the map."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    files = [p for p in SOURCES if p.name not in ("__init__.py", "__main__.py")]
    missing = [str(p.relative_to(ROOT)) for p in files if f"{p.name}" not in text]
    assert missing == []


def test_the_public_names_are_the_documented_ones():
    import stepsize

    text = (ROOT / "docs" / "api.md").read_text()
    modules = set(re.findall(r"`stepsize\.(\w+)`", text))
    documented = set(re.findall(r"^\| `(\w+)`", text, re.M))
    assert set(dir(stepsize)) == documented | modules | {"__version__"}
    missing = [name for name in ("torch", "keras", "jax") if find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    loaded_by("import stepsize; [getattr(stepsize, name) for name in dir(stepsize)]")  # or raises


def test_the_changelog_has_the_current_version():
    from stepsize import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
