"""The package as a whole: importing it does nothing, and imports follow the documented order."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from scorehost.older_python import OLDEST
from support.documents import blocks
from support.server import clean_environment

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime"
PROBE = ROOT / "tests" / "support" / "import_probe.py"


def what_imports_do(folder: Path, *packages: str) -> dict[str, list[str]]:
    """For each module of the packages, what importing it does besides defining things."""
    done = subprocess.run(
        [sys.executable, str(PROBE), str(folder), *packages],
        env=clean_environment({"OPENBLAS_NUM_THREADS": "1"}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_importing_any_module_does_nothing():
    """No environment read, no file, handler, thread, process or socket, no setting changed."""
    found = what_imports_do(RUNTIME, "scorehost", "azureml_stand_ins")

    assert "scorehost.settings" in found
    assert {name: done for name, done in found.items() if done} == {}


NAUGHTY = {
    "changes_folder": "import os; os.chdir('/')",
    "changes_path": "import sys; sys.path.append('/nowhere')",
    "ends": "import os; os._exit(0)",
    "exits": "import sys; sys.exit(3)",
    "filters_warnings": "import warnings; warnings.simplefilter('ignore')",
    "freezes": "import gc; gc.freeze()",
    "handles_exit": "import atexit; atexit.register(print)",
    "handles_faults": "import faulthandler; faulthandler.enable()",
    "handles_signal": "import signal; signal.signal(signal.SIGUSR1, print)",
    "hooks": "import sys; sys.excepthook = print",
    "logs": "import logging; logging.basicConfig()",
    "makes_folder": "from pathlib import Path; Path('made').mkdir()",
    "opens_socket": "import socket; socket.socket()",
    "patches": "import builtins; builtins.print = len",
    "raises": "1 / 0",
    "reads_all_variables": "import os; everything = dict(os.environ)",
    "reads_file": "text = open(__file__).read()",
    "reads_variable": "import os; home = os.environ.get('HOME')",
    "reads_variable_by_name": "from os import environ; home = environ['PATH']",
    "reads_variable_indirectly": "import os; home = os.path.expanduser('~')",
    "reads_variable_old_style": "import os; home = os.getenv('HOME')",
    "runs": "import subprocess; subprocess.run(['true'])",
    "sets_level": "import logging; logging.getLogger('some').setLevel(10)",
    "sets_variable": "import os; os.environ['A'] = 'b'",
    "starts_thread": "import threading; threading.Thread(target=int).start()",
    "tests_variable": "import os; here = 'HOME' in os.environ",
    "writes_file": "from pathlib import Path; Path('made.txt').write_text('')",
}
GOOD = {
    "defines": "import os, json\ndef home():\n    return os.environ['HOME']",
    "imports_from_inside": "from naughty.defines import home",
}


@pytest.fixture(scope="module")
def naughty(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the probe finds in modules that each do one thing on import."""
    package = tmp_path_factory.mktemp("probe") / "naughty"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, source in (NAUGHTY | GOOD).items():
        (package / f"{name}.py").write_text(source)
    return what_imports_do(package.parent, "naughty")


@pytest.mark.parametrize("name", NAUGHTY)
def test_the_probe_sees(naughty: dict[str, list[str]], name: str):
    """Each thing that an import must not do is seen, so that the test above can fail."""
    assert naughty[f"naughty.{name}"] != []


@pytest.mark.parametrize("name", GOOD)
def test_the_probe_lets_pass(naughty: dict[str, list[str]], name: str):
    """Defining a function that reads the environment is no reading."""
    assert naughty[f"naughty.{name}"] == []


# -- The order of the files -----------------------------------------------------------------


def documented_order() -> list[str]:
    """The files of ``docs/architecture.md``'s list, in order; a folder by itself is all in it."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    (listing,) = blocks(page.partition("## The order of the files")[2])
    order, folder = [], ""
    for line in listing.body.splitlines():
        words = line.split()
        named = bool(words) and words[0].endswith("/")
        if named:
            folder = words.pop(0).removeprefix("./")
        names = list(takewhile(lambda word: word.endswith(".py"), words))
        order += [folder + name for name in names] or ([folder] if named else [])
    return order


def places() -> dict[str, int]:
    """Where each file stands in the list, those of a folder all in the same place."""
    order, files = documented_order(), set(files_with_code())
    found = {name: order.index(name) for name in files & set(order)}
    for number, folder in enumerate(order):
        if folder.endswith("/"):
            found |= {name: number for name in files - set(order) if name.startswith(folder)}
    return found


def files_with_code() -> dict[str, ast.Module]:
    """Every file of the package that does more than name a folder."""
    package = RUNTIME / "scorehost"
    trees = {
        str(file.relative_to(package)): ast.parse(file.read_text("utf-8"))
        for file in sorted(package.rglob("*.py"))
    }
    return {name: tree for name, tree in trees.items() if len(tree.body) > 1}


LATE = {
    "dev/": "only when debugging or reloading was asked for",
    "scoring/simplify_arrays.py": "only when the first array comes",
    "worker/loader.py": "only with preload",
}
"""What files above it may import inside a function, and why late is early enough."""


def imported(tree: ast.Module, files: Iterable[str], *, late: bool = True) -> set[str]:
    """The files of the package that a file imports."""
    return {file for name in imported_names(tree, late=late) if (file := file_of(name, files))}


def imported_names(tree: ast.Module, *, late: bool = True) -> set[str]:
    """What a file imports when it runs, inside functions too or without them."""
    names = set()
    for node in walk(tree, into_functions=late):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def walk(tree: ast.AST, *, into_functions: bool) -> Iterator[ast.AST]:
    """Everything below a node; what only a type checker sees counts like what stands in functions.

    An import for a type's sake is knowledge too: a circle that is hidden under ``TYPE_CHECKING``
    is a circle.
    """
    for node in ast.iter_child_nodes(tree):
        late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or for_types_only(node)
        if late and not into_functions:
            continue
        yield node
        yield from walk(node, into_functions=into_functions)


def for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def file_of(name: str, files: Iterable[str]) -> str | None:
    """The file of the package that a dotted name comes from."""
    first, *rest = name.split(".")
    if first != "scorehost":
        return None
    found = [f"{'/'.join(rest[:length])}.py" for length in range(len(rest), 0, -1)]
    found += [f"{'/'.join([*rest[:length], '__init__'])}.py" for length in range(len(rest), -1, -1)]
    return next((file for file in found if file in files), None)


def test_every_file_has_its_place():
    """The list in docs/architecture.md holds each file of the package, once."""
    order, files = documented_order(), set(files_with_code())
    listed = {name for name in order if name.endswith(".py")}

    assert files - set(places()) == set(), "not in the list: put them where they belong"
    assert listed - files == set(), "in the list, and gone"
    assert len(order) == len(set(order))


def test_imports_follow_the_documented_order():
    """A file imports only from files above it, or late where that is allowed."""
    files, place = files_with_code(), places()

    against, late = [], set()
    for name in sorted(files.keys() & place.keys()):
        early = imported(files[name], files, late=False)
        for other in sorted(imported(files[name], files) & place.keys()):
            allowed = next((key for key in LATE if other.startswith(key)), None)
            if place[other] > place[name] and allowed and other not in early:
                late.add(allowed)
            elif place[other] > place[name] and not any({name, other} <= each for each in CIRCLES):
                against.append(f"{name} imports {other}, which stands below it")
    assert against == []
    assert late == set(LATE), "no longer needed"


CIRCLES: set[frozenset[str]] = set()
"""Files that import each other in a circle, each with its reason; there are none."""


def test_no_file_knows_itself_in_a_circle():
    """What a file imports, early, late or for its types, never leads back to it."""
    files = files_with_code()
    imports = {name: imported(tree, files) - {name} for name, tree in files.items()}

    assert circles(imports) == CIRCLES


def circles(imports: dict[str, set[str]]) -> set[frozenset[str]]:
    """The groups of files that each lead to all others of their group."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        further = [start]
        while further:
            new = imports[further.pop()] - found
            found |= new
            further += new
        return found

    reach = {name: reached(name) for name in imports}
    return {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in imports
        if name in reach[name]
    }


def test_a_circle_is_seen():
    """Also one that only type checkers would follow."""
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from scorehost.b import B\n"
    trees = {"a.py": ast.parse(source), "b.py": ast.parse("def f():\n    import scorehost.a")}
    imports = {name: imported(tree, trees) for name, tree in trees.items()}

    assert circles(imports | {"c.py": {"a.py"}}) == {frozenset({"a.py", "b.py"})}


def test_nobody_but_the_server_is_given_the_front():
    """Each part of it is given what it needs: who has it whole can write anything."""
    files = files_with_code()
    users = [name for name, tree in files.items() if "front/front.py" in imported(tree, files)]

    assert users == ["front/server.py"]


@pytest.mark.parametrize(("side", "other"), [("front/", "worker/"), ("worker/", "front/")])
def test_front_and_worker_know_only_the_wire(side: str, other: str):
    """They are two programs: what one may say to the other stands in ``wire/``."""
    files = files_with_code()
    against = [
        f"{name} imports {found}"
        for name, tree in files.items()
        for found in imported(tree, files)
        if name.startswith(side) and found.startswith(other)
    ]
    assert against == []


def test_nothing_imports_the_stand_ins():
    """The legacy names stand beside the package, not in it; one file adds their finder."""
    users = [
        name
        for name, tree in files_with_code().items()
        if any(each.startswith("azureml_stand_ins") for each in imported_names(tree))
    ]
    assert users == ["worker/start.py"]


# -- What runs in the script's interpreter ----------------------------------------------------


@pytest.fixture(scope="module")
def worker_side() -> list[str]:
    """The files that the script's interpreter runs."""
    tool = [sys.executable, str(ROOT / "tools" / "worker_side.py")]
    return subprocess.run(tool, capture_output=True, text=True, check=True).stdout.split()


def test_the_worker_side_is_held_to_the_oldest_python(worker_side: list[str]):
    """By ruff, too, whose table names every file."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]
    patterns = [
        part
        for pattern, version in table["per-file-target-version"].items()
        if version == "py{}{}".format(*OLDEST)
        for part in without_braces(pattern)
    ]

    unnamed = {file for file in worker_side if not any(Path(file).match(each) for each in patterns)}
    assert unnamed == set()
    assert [each for each in patterns if not list(ROOT.glob(each))] == []


def without_braces(pattern: str) -> list[str]:
    """``a/{b,c}/d`` as the two that it means."""
    before, opened, rest = pattern.partition("{")
    inner, _, after = rest.partition("}")
    return [f"{before}{each}{after}" for each in inner.split(",")] if opened else [pattern]


def test_the_worker_side_is_no_part_of_the_front(worker_side: list[str]):
    package = "runtime/scorehost/"
    folders = {file.removeprefix(package).partition("/")[0] for file in worker_side}

    assert {"worker", "scoring", "wire", "diagnosis"} <= folders
    assert folders & {"front", "commands", "images", "sources.py", "cli.py"} == set()


def test_the_worker_side_needs_the_standard_library_alone(worker_side: list[str]):
    """Others are imported where a script has them, and only when they are wanted."""
    early, late = set(), set()
    for file in worker_side:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        early |= {name.partition(".")[0] for name in imported_names(tree, late=False)}
        late |= {name.partition(".")[0] for name in imported_names(tree)}
    ours = {"scorehost", "azureml_stand_ins", "sitecustomize", "__future__"}
    optional = {"orjson", "numpy", "flask", "werkzeug", "debugpy", "typing_extensions"}

    assert late - set(sys.stdlib_module_names) - ours == optional
    late_files = ("flask_side.py", "raw_http.py", "numpy_numbers.py", "simplify_arrays.py")
    assert early - set(sys.stdlib_module_names) - ours == {"orjson", "numpy", "flask", "werkzeug"}
    users = {
        file
        for file in worker_side
        for name in imported_names(ast.parse((ROOT / file).read_text("utf-8")), late=False)
        if name.partition(".")[0] in {"numpy", "flask", "werkzeug"}
    }
    assert {Path(file).name for file in users} == set(late_files), "these are imported late"


# -- What is tested without a server ----------------------------------------------------------


def test_every_module_of_the_front_is_imported_by_a_test_without_a_server():
    """By one of tests/unit or tests/front, itself or through what it imports."""
    files = files_with_code()
    tests = ROOT / "tests"
    beginnings = [*tests.glob("unit/*.py"), *tests.glob("front/*.py")]
    trees = {str(file): ast.parse(file.read_text("utf-8")) for file in beginnings}
    helpers = {name for tree in trees.values() for name in imported_names(tree, late=False)}
    for file in (tests / "support").glob("*.py"):
        if any(name.startswith(f"support.{file.stem}.") for name in helpers):
            trees[str(file)] = ast.parse(file.read_text("utf-8"))

    reached: set[str] = set()
    further = [name for tree in trees.values() for name in imported(tree, files, late=False)]
    while further:
        name = further.pop()
        if name not in reached:
            reached.add(name)
            further += imported(files[name], files, late=False)

    assert {name for name in files if name.startswith("front/")} - reached == set()
