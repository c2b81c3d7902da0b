"""Imports point one way, SQL stands in one place, and the README's map is the disk."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deft_core import file_names

ROOT = Path(__file__).parents[1]
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
).stdout.split("\n")
SOURCES = sorted(Path(name) for name in TRACKED if name.endswith(".py") and not name.startswith("tests/") and (ROOT / name).is_file())


def imports(path):
    """(module, whether the import stands at module level) for every import of a file."""
    tree = ast.parse((ROOT / path).read_text())
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, id(node) in top
            yield from ((f"{node.module}.{alias.name}", id(node) in top) for alias in node.names)


def area(path):
    return path.parts[0] if len(path.parts) > 1 else path.name


def test_there_is_something_to_check():
    assert Path("deft_core/lm/scoring.py") in SOURCES
    assert Path("app.py") in SOURCES


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[0] == "deft_core"], ids=str)
def test_the_library_knows_nothing_of_the_dashboard(path):
    assert not [name for name, _ in imports(path) if name.split(".")[0] in {"streamlit", "pages", "app"}]


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[:2] != ("deft_core", "lm") and p.parts[0] != "benchmarks"], ids=str)
def test_torch_and_transformers_are_imported_by_lm_alone(path):
    assert not [name for name, _ in imports(path) if name.split(".")[0] in {"torch", "transformers"}]


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[:2] != ("deft_core", "lm") and p.parts[0] != "benchmarks"], ids=str)
def test_lm_is_imported_inside_functions_alone(path):
    assert not [name for name, at_top in imports(path) if at_top and name.startswith("deft_core.lm")]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_duckdb_is_imported_by_queries_alone(path):
    if path.parts[:2] != ("deft_core", "queries"):
        assert not [name for name, _ in imports(path) if name.split(".")[0] == "duckdb"]


def literals(tree):
    """Every string of a module, the words of an f-string put together; docstrings, helps and messages of errors left out."""
    spoken = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.search(r"(Error|Argument|Option|echo)$", ast.unparse(node.func)):
            spoken |= {id(part) for part in ast.walk(node)}
        if isinstance(node, ast.Expr):
            spoken |= {id(node.value)} if isinstance(node.value, ast.Constant) else set()
        if isinstance(node, ast.JoinedStr):
            yield "" if id(node) in spoken else "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield "" if id(node) in spoken else node.value


SQL = re.compile(r"\b(SELECT\b.+\bFROM|INSERT\s+INTO|CREATE\s+(TABLE|VIEW)|COPY\b.+\bTO)\b", re.DOTALL)  # in capitals, as ours is


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.parts[0] in {"deft_core", "pages"} and p.parts[:2] != ("deft_core", "queries")], ids=str
)
def test_sql_stands_in_queries_alone(path):
    assert not [text for text in literals(ast.parse((ROOT / path).read_text())) if SQL.search(text)]


def test_sql_is_found_in_strings_and_f_strings_and_not_in_messages():
    found = literals(
        ast.parse('"""SELECT a FROM b"""\nraise InputError("SELECT a FROM b")\nx = f"SELECT {y} FROM pairs"\nz = "SELECT a\\nFROM b"')
    )
    assert [text for text in found if SQL.search(text)] == ["SELECT {} FROM pairs", "SELECT a\nFROM b"]


NAMES = {value for name, value in vars(file_names).items() if name.isupper() and "." in value}


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[0] in {"deft_core", "pages"} and p.name != "file_names.py"], ids=str)
def test_files_of_a_workspace_are_named_in_one_place(path):
    assert not [text for text in literals(ast.parse((ROOT / path).read_text())) if text in NAMES]


def test_command_and_library_start_without_torch():
    modules = "deft_core.cli, deft_core.queries, deft_core.charts, deft_core.importing"
    code = f"import sys, {modules}; print('torch' in sys.modules, 'streamlit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[0] in {"deft_core", "pages", "benchmarks"}], ids=str)
def test_every_module_opens_with_what_it_does(path):
    assert ast.get_docstring(ast.parse((ROOT / path).read_text()))


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.parts[0] == "deft_core" and "readers" not in p.parts and "__" not in p.name], ids=str
)
def test_export_lists_name_what_is_there(path):
    tree = ast.parse((ROOT / path).read_text())
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")}
    exported = {
        element.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AugAssign)
        and "__all__" in ast.unparse(node.target if isinstance(node, ast.AugAssign) else node.targets[0])
        for element in ast.walk(node.value)
        if isinstance(element, ast.Constant)
    }
    unknown = (
        exported
        - {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        - names
        - {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    )
    assert not unknown, f"exported but not there: {unknown}"
    assert exported, "__all__ is missing"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[0] == "pages" and not p.stem.endswith("resources")], ids=str)
def test_caches_stand_in_resources_alone(path):
    source = (ROOT / path).read_text()
    assert "st.cache_data" not in source
    assert "st.cache_resource" not in source


def test_scripts_come_from_the_frame_alone():
    asking = [str(path) for path in SOURCES if "unsafe_allow_javascript" in (ROOT / path).read_text()]
    assert asking == ["pages/shared/frame.py"]


def test_app_is_a_router():
    assert len((ROOT / "app.py").read_text().splitlines()) < 40


def test_the_file_map_in_the_readme_is_the_disk():
    block = re.search(r"```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    mapped, folders = set(), []
    for line in block.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        folders = [*folders[:depth], name]
        if not name.endswith("/"):
            mapped.add("".join(folders))
    area_names = ("app.py", "pages/", "deft_core/", "benchmarks/")
    disk = {str(path) for path in SOURCES if str(path).startswith(area_names) and path.name != "__init__.py"}
    assert {name for name in mapped if name.endswith(".py") and not name.startswith("tests/")} == disk
    assert not [name for name in mapped if not (ROOT / name).exists()]


def test_nothing_names_a_registry_host():
    hosts = ("pypi" + ".org", "files.python" + "hosted", "registry.npm" + "js", "deb.debian" + ".org")
    for name in filter(None, TRACKED):
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".txt", ".toml", ".json", ".sh", ""}:
            text = path.read_text(errors="ignore")
            assert not [host for host in hosts if host in text], name
