"""The packages' shape: imports point one way, packages are flat, every file has a subject."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
# package -> what it may import of ours, besides itself
MAY_IMPORT = {
    "heads": (),
    "tasks": (),
    "trainers": ("heads",),
    "experiments": ("heads", "tasks", "trainers"),
    "reports": ("experiments.record",),
    "scripts": ("heads", "tasks", "trainers", "experiments", "reports"),
}
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}


def imported_modules(path):
    """Yields the modules that a file imports; `from a import b` is `a.b` where that is a file."""
    package, root = path.parent.name, path.parent.parent
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = package if node.level else node.module
            if node.level and node.module:
                module = f"{package}.{node.module}"
            for alias in node.names:
                file = root.joinpath(*module.split("."), f"{alias.name}.py")
                yield f"{module}.{alias.name}" if file.exists() else module


def wrong_imports(root):
    """Lists the imports that point the wrong way, as `file imports module`."""
    wrong = []
    for package, allowed in MAY_IMPORT.items():
        for path in sorted((root / package).rglob("*.py")):
            for module in imported_modules(path):
                ours = module.split(".")[0] in MAY_IMPORT
                permitted = any(f"{module}.".startswith(f"{a}.") for a in (*allowed, package))
                if ours and not permitted:
                    wrong.append(f"{path.relative_to(root)} imports {module}")
    return wrong


def wrong_names(root):
    """Lists files and directories without a subject, and packages inside packages."""
    wrong = []
    for package in (*MAY_IMPORT, "tests"):
        for path in sorted((root / package).rglob("*")):
            if path.suffix == ".pyc" or path.name == "__pycache__":
                continue
            if path.suffix == ".py" and path.parent != root / package:
                wrong.append(f"{path.relative_to(root)} is in a subpackage")
            if BANNED_NAMES & set(path.stem.lower().split("_")):
                wrong.append(f"{path.relative_to(root)} has no subject")
    return wrong


def test_imports_point_one_way():
    assert wrong_imports(REPOSITORY) == []


def test_packages_are_flat_and_files_have_subjects():
    assert wrong_names(REPOSITORY) == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_are_there(package):
    assert list((REPOSITORY / package).glob("*.py"))


@pytest.mark.parametrize(
    ("file", "line", "module"),
    [
        ("heads/fc.py", "import tasks", "tasks"),
        ("heads/fc.py", "def f():\n    from trainers.losses import LOSSES", "trainers.losses"),
        ("tasks/nsmc.py", "import heads.fc as fc", "heads.fc"),
        ("trainers/losses.py", "from tasks import TASKS", "tasks"),
        ("experiments/runner.py", "import reports.table", "reports.table"),
        ("experiments/runner.py", "from scripts import run", "scripts.run"),
        ("reports/table.py", "from experiments import load_experiment", "experiments"),
        ("reports/table.py", "from experiments.runner import x", "experiments.runner"),
        ("reports/table.py", "import experiments.record_of_old", "experiments.record_of_old"),
        ("reports/table.py", "from experiments import runner", "experiments.runner"),
    ],
)
def test_an_import_against_the_rule_is_found(tmp_path, file, line, module):
    for name in ("scripts/run.py", "experiments/runner.py", file):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / file).write_text(line + "\n")
    assert wrong_imports(tmp_path) == [f"{file} imports {module}"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("heads/cnn.py", "import torch\nfrom heads.base import Head\nfrom . import base\n"),
        ("reports/table.py", "from experiments import record\nfrom .rows import Row\n"),
        ("reports/table.py", "import experiments.record\nimport reports.rows\n"),
        ("scripts/run.py", "import heads, tasks, trainers, experiments, reports.table\n"),
        ("tasks/nsmc.py", "import headship\n"),
    ],
)
def test_an_import_by_the_rule_is_not_found(tmp_path, file, text):
    for name in ("experiments/record.py", file):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / file).write_text(text)
    assert wrong_imports(tmp_path) == []


@pytest.mark.parametrize("file", ["heads/utils.py", "tasks/text_utils.py", "tests/helpers.py"])
def test_a_file_without_a_subject_is_found(tmp_path, file):
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).touch()
    assert wrong_names(tmp_path) == [f"{file} has no subject"]


def test_a_subpackage_is_found_and_an_experiment_is_none(tmp_path):
    for file in ("heads/convolutional/cnn.py", "experiments/cnn_nsmc/experiment.json"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    assert wrong_names(tmp_path) == ["heads/convolutional/cnn.py is in a subpackage"]
