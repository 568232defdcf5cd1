"""Tasks sent to other processes by definition."""

import functools
import importlib
import os
import pickle
import subprocess
import sys

import pytest

from stepsize.engines import Call, carried_out
from stepsize.engines.processes import ProcessCrew
from stepsize.errors import InputError
from stepsize.tasks import LoadedTask, Task, load
from stepsize.tasks.code import code_of, content_of
from stepsize.tasks.packing import packing
from stepsize.tasks.sending import definition_of

TASK = """
from stepsize.tasks import Task
from {beside} import rows

def make(seed):
    import {late}
    return Task("model", "optimizer", max, rows(seed) + [{late}.LATE])
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a task and two modules beside it, which is the current one."""
    folder = tmp_path / "project"
    folder.mkdir()
    names = {"beside": f"beside_{tmp_path.name}", "late": f"late_{tmp_path.name}"}
    names = {what: name.replace("-", "_") for what, name in names.items()}
    (folder / f"task_{names['beside']}.py").write_text(TASK.format(**names))
    (folder / f"{names['beside']}.py").write_text("def rows(seed):\n    return [seed, 2]\n")
    (folder / f"{names['late']}.py").write_text("LATE = 3\n")
    monkeypatch.chdir(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if names["beside"] in name or names["late"] in name:
            del sys.modules[name]


def task_file(folder):
    return next(folder.glob("task_*.py"))


def batches(definition, seed):
    """What a worker makes of a definition; kept, so a second load is the same."""
    loaded = definition.load()
    assert definition.load() is loaded
    assert pickle.loads(pickle.dumps(definition)).load() is loaded
    code = [content_of(file) for file in code_of(loaded)]
    return loaded.name, list(loaded.make(seed).train), code


def there(definition, seed=5):
    """The same in a worker process that has just been started."""
    call = Call("tasks.test_sending:batches", (definition, seed))
    with ProcessCrew(1, threads=1) as crew:
        ((_, value),) = carried_out(crew, [call])
    return value


def line(seed, more=0):
    return Task("model", "optimizer", max, [seed, more])


class Line:
    def __init__(self, more):
        self.more = more

    def __call__(self, seed):
        return line(seed, self.more)

    def method(self, seed):
        return line(seed, -self.more)


def closing(more):
    return lambda seed: line(seed, more)


@pytest.mark.parametrize(
    ("make", "made"),
    [
        (line, [5, 0]),
        (functools.partial(line, more=1), [5, 1]),
        (Line(2), [5, 2]),
        (Line(2).method, [5, -2]),
        (closing(3), [5, 3]),
        (lambda seed: line(seed, 4), [5, 4]),
    ],
)
def test_every_kind_of_callable_is_the_same_task_there(make, made):
    loaded = LoadedTask("mine", make)
    assert there(definition_of(loaded)) == ("mine", made, [*map(content_of, code_of(loaded))])


def test_a_file_is_found_from_another_folder_and_keeps_its_name(project, tmp_path, monkeypatch):
    name = f"{task_file(project).name}:make"
    loaded = load(name)
    assert list(loaded.make(5).train) == [5, 2, 3]
    monkeypatch.chdir(tmp_path)
    assert there(definition_of(loaded))[:2] == (name, [5, 2, 3])


def test_a_module_of_the_current_folder_is_found_there(project):
    name = f"{task_file(project).stem}:make"
    assert there(definition_of(load(name)))[:2] == (name, [5, 2, 3])


@pytest.mark.parametrize("form", ["file", "module", "callable"])
def test_the_users_files_go_where_they_are_not(project, tmp_path, monkeypatch, form):
    """As on another machine: neither the folder nor anything in it is there any more."""
    task = task_file(project)
    if form == "callable":
        monkeypatch.syspath_prepend(str(project))
        loaded = LoadedTask("mine", importlib.import_module(task.stem).make)
    else:
        loaded = load(f"{task if form == 'file' else task.stem}:make")
    loaded.make(5)  # from now on it is known what it imports late
    definition = definition_of(loaded)
    expected = loaded.name, [5, 2, 3], [content_of(file) for file in code_of(loaded)]
    monkeypatch.chdir(tmp_path)
    if form == "callable":
        sys.path.remove(str(project))
    project.rename(tmp_path / "elsewhere")
    assert there(definition) == expected


def test_a_file_that_was_edited_since_is_sent_as_it_was(project):
    loaded = load(f"{task_file(project)}:make")
    loaded.make(5)
    definition = definition_of(loaded)
    for beside in project.glob("beside_*.py"):
        beside.write_text("def rows(seed):\n    return ['edited']\n")
    assert there(definition)[1] == [5, 2, 3]


def test_a_module_that_was_edited_is_imported_anew_by_a_worker_that_knew_it(project, monkeypatch):
    monkeypatch.syspath_prepend(str(project))
    task, (beside,) = task_file(project), project.glob("beside_*.py")
    found = []
    with ProcessCrew(1, threads=1) as crew:
        for rows in ("[seed, 2]", "[seed, 2, 'edited']"):
            beside.write_text(f"def rows(seed):\n    return {rows}\n")
            for name in (task.stem, beside.stem):
                sys.modules.pop(name, None)
            importlib.invalidate_caches()
            loaded = LoadedTask("mine", importlib.import_module(task.stem).make)
            loaded.make(5)
            call = Call("tasks.test_sending:batches", (definition_of(loaded), 5))
            found += [value[1] for _, value in carried_out(crew, [call])]
    assert found == [[5, 2, 3], [5, 2, "edited", 3]]


_SCRIPT = """
from stepsize.engines import Call, carried_out
from stepsize.engines.processes import ProcessCrew
from stepsize.tasks import LoadedTask, Task
from stepsize.tasks.sending import definition_of

OF_THE_SCRIPT = 7

class Make:
    def __call__(self, seed):
        return make(seed)

def make(seed):
    return Task("model", "optimizer", max, [seed, OF_THE_SCRIPT])

print("the script runs")
with ProcessCrew(1, threads=1) as crew:
    calls = [Call("tasks.test_sending:batches", (definition_of(LoadedTask("m", f)), 5))
             for f in (make, Make())]
    for _, value in carried_out(crew, calls):
        print(value[1])
"""


def test_a_script_without_a_guard_sends_its_own_functions(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": path}, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["the script runs", "[5, 7]", "[5, 7]"], done.stderr


def test_what_only_cloudpickle_can_send_is_refused_without_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(InputError, match=r"stepsize\[processes\]"):
        definition_of(LoadedTask("mine", closing(1)))
    assert definition_of(LoadedTask("mine", importlib.import_module("math").sqrt)).packed


def test_what_nothing_can_send_is_told_with_a_way_out():
    lines = (line for line in "abc")
    with pytest.raises(InputError, match="mine"):
        definition_of(LoadedTask("mine", lambda seed: line(seed, next(lines))))


def test_only_what_cannot_be_imported_is_spelled_out():
    assert "functools" in packing(functools.partial(os.path.join, "a"), "a partial").modules
    assert b"stepsize.tasks.task" in packing(Task, "a class").content
