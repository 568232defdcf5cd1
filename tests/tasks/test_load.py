"""Every way to name a task, every way in which it goes wrong, and no traces left."""

import dataclasses
import importlib
import os
import pickle
import subprocess
import sys
import textwrap

import pytest

from stepsize.errors import DataError, InputError, MissingDependencyError, TaskError
from stepsize.tasks import LoadedTask, Task, load, make_task, names

GOOD = """
    from stepsize.tasks import Task

    def loss(model, batch):
        return 0.0

    def make(seed):
        return Task(("model", seed), "optimizer", loss, [seed])
"""


@pytest.fixture
def write(tmp_path):
    def write(name, text=GOOD):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


@pytest.fixture(autouse=True)
def traces():
    """Whatever a test loads, the import system must look as before."""

    def state():
        return list(sys.path), list(sys.path_hooks), sys.dont_write_bytecode, sys.meta_path[:]

    with pytest.MonkeyPatch.context() as patch:  # the test's own one is undone before the check
        # Or nothing would be written anyway where PYTHONDONTWRITEBYTECODE is set.
        patch.setattr(sys, "dont_write_bytecode", False)
        patch.setattr(sys, "pycache_prefix", None)
        before, modules = state(), set(sys.modules)
        yield
        assert state() == before
    for name in set(sys.modules) - modules:
        if name.startswith("stepsize_task_"):
            del sys.modules[name]


def test_builtin_names():
    for name in names():
        assert load(name).name == name


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(TaskError, match="Did you mean digits") as caught:
        load("Digit")
    assert "fashion-mnist-mlp" in str(caught.value)


@pytest.mark.parametrize("reference", ["", " ", ":", "::", "digits:", ":make", "a b:c d", "x\0y:z"])
def test_what_is_no_reference_is_one_error(reference):
    with pytest.raises(TaskError):
        load(reference)


def test_a_file_by_absolute_path(write):
    loaded = load(f"{write('my_task.py')}:make")
    assert make_task(loaded, 3).model == ("model", 3)


@pytest.mark.parametrize("reference", ["my_task.py:make", "./my_task.py:make"])
def test_a_file_by_relative_path(write, monkeypatch, reference):
    monkeypatch.chdir(write("my_task.py").parent)
    loaded = load(reference)
    assert loaded.name == reference
    assert make_task(loaded, 1).train == [1]


def test_a_relative_file_still_makes_its_task_from_elsewhere(write, monkeypatch, tmp_path):
    write("helper.py", "value = 7")
    path = write("t.py", GOOD.replace('("model", seed)', "__import__('helper').value"))
    monkeypatch.chdir(path.parent)
    loaded = load("t.py:make")
    monkeypatch.chdir(os.sep)
    assert make_task(loaded, 1).model == 7


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no colons in names")
def test_a_path_with_colons(write):
    assert make_task(load(f"{write('a:b/c:d.py')}:make"), 0)


def test_a_windows_drive_is_part_of_the_path():
    with pytest.raises(TaskError, match=r"no file C:\\tasks\\mine\.py"):
        load(r"C:\tasks\mine.py:make")
    with pytest.raises(TaskError, match=r"no file C:\\tasks\\mine\.py"):
        load(r"C:\tasks\mine.py")


def test_the_home_folder(write, monkeypatch):
    path = write("my_task.py")
    monkeypatch.setenv("HOME", str(path.parent))
    monkeypatch.setenv("USERPROFILE", str(path.parent))
    assert make_task(load("~/my_task.py:make"), 0)


def test_a_file_with_any_ending(write):
    assert make_task(load(f"{write('my-task.txt')}:make"), 0)


def test_a_method_or_a_callable_object(write):
    path = write(
        "t.py",
        GOOD
        + """
    class Maker:
        def __call__(self, seed): return make(seed)
        @staticmethod
        def other(seed): return make(seed + 1)

    maker = Maker()
""",
    )
    assert make_task(load(f"{path}:maker"), 1).train == [1]
    assert make_task(load(f"{path}:Maker.other"), 1).train == [2]


def test_an_installed_module(write, monkeypatch):
    monkeypatch.syspath_prepend(write("pack_a/__init__.py", "").parent.parent)
    write("pack_a/tasks.py")
    loaded = load("pack_a.tasks:make")
    assert make_task(loaded, 2).train == [2]
    assert sys.modules["pack_a.tasks"].make is loaded.make.__wrapped__
    del sys.modules["pack_a.tasks"], sys.modules["pack_a"]


def test_a_module_in_the_current_folder(write, monkeypatch, tmp_path):
    write("here_b.py", GOOD.replace("return Task", "import there_b; return Task"))
    write("there_b.py", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])
    assert make_task(load("here_b:make"), 2).train == [2]
    assert not (tmp_path / "__pycache__").exists()
    del sys.modules["here_b"], sys.modules["there_b"]


@pytest.mark.parametrize("reference", ["no_such_module:make", "json.nothing:make", "nothing.x:y"])
def test_a_missing_module(reference):
    with pytest.raises(TaskError, match="no module"):
        load(reference)


def test_a_module_whose_own_import_fails_is_told_apart(write, monkeypatch, tmp_path):
    write("broken_c.py", "\nimport no_such_thing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TaskError, match=r"'no_such_thing' \(.*broken_c\.py, line 2\)"):
        load("broken_c:make")


def test_a_missing_file_suggests_a_near_one(write):
    path = write("my_task.py")
    with pytest.raises(TaskError, match=r"no file .*my_tsak\.py.*Did you mean .*my_task\.py"):
        load(f"{path.with_name('my_tsak.py')}:make")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(TaskError, match="no file"):
        load(f"{tmp_path}:make")


def test_a_file_without_a_callable_lists_the_functions_without_running_it(write):
    path = write("t.py", "raise SystemExit\ndef build(seed): ...\ndef _hidden(): ...")
    for reference in (f"{path}", f"{path}:"):
        with pytest.raises(TaskError, match=r"It defines build\."):
            load(reference)


def test_a_missing_callable_lists_what_is_there(write):
    path = write("t.py", GOOD + "\n    from os.path import join\n    x = 1")
    with pytest.raises(TaskError, match=r"has no 'mak'.*mean make\? It defines loss, make\."):
        load(f"{path}:mak")


@pytest.mark.parametrize("text", ["make = 3", "make = None", "make = (1, 2)"])
def test_something_that_cannot_be_called(write, text):
    with pytest.raises(TaskError, match="callable"):
        load(f"{write('t.py', text)}:make")


def test_a_task_instead_of_its_maker(write):
    path = write("t.py", GOOD + "\n    task = make(0)")
    with pytest.raises(TaskError, match="def make"):
        load(f"{path}:task")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n\n1 / 0", r"ZeroDivisionError: division by zero \(.*t\.py, line 3\)"),
        ("def f():\n  raise KeyError('k')\nf()", r"KeyError: 'k' \(.*t\.py, line 2, in f\)"),
        ("x = 1\nx = (", r"SyntaxError: .*never closed \(.*t\.py, line 2\)"),
        ("import no_such_thing", r"ModuleNotFoundError: .*no_such_thing.*line 1"),
        ("import sys\nsys.exit(3)", r"SystemExit: 3 \(.*t\.py, line 2\)"),
        ("assert False", r"AssertionError \(.*t\.py, line 1\)"),
        ("import json\njson.loads('{')", r"JSONDecodeError.*t\.py, line 2\)"),
        ("from stepsize.tasks import Task\nTask(1, 2, 3, 4)", r"TaskError.*t\.py, line 2"),
    ],
)
def test_a_file_that_raises_shows_what_and_where(write, text, told):
    path = write("t.py", text)
    with pytest.raises(TaskError, match=told) as caught:
        load(f"{path}:make")
    assert caught.value.__cause__ is not None
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "t.py").write_bytes(b"\x00\xff\xfe")
    with pytest.raises(TaskError):
        load(f"{tmp_path / 't.py'}:make")


def test_ctrl_c_passes_through(write):
    path = write("t.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load(f"{path}:make")
    path = write("u.py", "def make(seed): raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        make_task(load(f"{path}:make"), 0)


def test_a_file_that_failed_leaves_no_module(write):
    path = write("t.py", "1 / 0")
    with pytest.raises(TaskError):
        load(f"{path}:make")
    assert not [name for name in sys.modules if name.startswith("stepsize_task_t_")]


def test_the_modules_beside_the_file(write):
    write("helper_d.py", "value = 1")
    write("folder_d/__init__.py", "")
    write("folder_d/inner.py", "value = 2")
    write("bare_d/inner.py", "value = 3")  # a folder without __init__.py
    path = write(
        "t.py",
        """
        import helper_d, folder_d.inner, bare_d.inner
        from stepsize.tasks import Task

        def make(seed):
            import late_d, helper_d as again
            assert again is helper_d
            total = helper_d.value + folder_d.inner.value + bare_d.inner.value + late_d.value
            return Task(total, "o", max, [1])
        """,
    )
    write("late_d.py", "value = 4")
    loaded = load(f"{path}:make")
    assert make_task(loaded, 0).model == 10
    assert make_task(loaded, 0).model == 10
    left = {"helper_d", "folder_d", "folder_d.inner", "bare_d", "bare_d.inner", "late_d"}
    assert not left & set(sys.modules)
    assert not [entry for entry in sys.path_importer_cache if entry.startswith(str(path.parent))]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("helper_d")


def test_nothing_is_written_into_the_folder(write):
    write("helper_e.py", "")
    write("folder_e/__init__.py", "")
    path = write("t.py", GOOD + "\n    import helper_e, folder_e")
    before = sorted(path.parent.rglob("*"))
    make_task(load(f"{path}:make"), 0)
    assert sorted(path.parent.rglob("*")) == before


def test_two_tasks_with_helpers_of_the_same_name(write):
    text = """
        import utils_f
        from stepsize.tasks import Task

        def make(seed):
            import utils_f as late
            return Task((utils_f.value, late.value), "o", max, [1])
    """
    one, two = write("one/t.py", text), write("two/t.py", text)
    write("one/utils_f.py", "value = 1")
    write("two/utils_f.py", "value = 2")
    first, second = load(f"{one}:make"), load(f"{two}:make")
    assert make_task(first, 0).model == (1, 1)
    assert make_task(second, 0).model == (2, 2)
    assert make_task(first, 0).model == (1, 1)


def test_a_file_named_like_a_real_module_does_not_replace_it(write):
    import random

    make_task(load(f"{write('random.py')}:make"), 0)
    assert sys.modules["random"] is random


def test_loading_again_runs_the_file_as_it_is_now(write):
    path = write("t.py")
    load(f"{path}:make")
    write("t.py", GOOD.replace("[seed]", "[seed, seed]"))
    assert make_task(load(f"{path}:make"), 1).train == [1, 1]


def test_classes_of_the_file_can_be_pickled_and_dataclasses_work(write):
    path = write(
        "t.py",
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from stepsize.tasks import Task

        @dataclass
        class Point:
            x: int

        def make(seed):
            return Task(Point(seed), "o", max, [1])
        """,
    )
    point = make_task(load(f"{path}:make"), 5).model
    assert pickle.loads(pickle.dumps(point)) == point


def test_a_folder_that_is_on_the_path_anyway_keeps_its_modules(write, monkeypatch):
    path = write("t.py", GOOD + "\n    import shared_g")
    write("shared_g.py", "")
    monkeypatch.syspath_prepend(path.parent)
    load(f"{path}:make")
    assert sys.modules.pop("shared_g")


def test_an_environment_inside_the_folder_keeps_its_compiled_files(write, monkeypatch):
    path = write("t.py", GOOD + "\n    import installed_h")
    site = write("venv/lib/installed_h.py", "").parent
    monkeypatch.syspath_prepend(site)
    load(f"{path}:make")
    assert (site / "__pycache__").is_dir()
    assert sys.modules.pop("installed_h")


# --- make_task -----------------------------------------------------------------------------------


def test_what_the_callable_raises_is_told_with_its_place(write):
    path = write(
        "t.py",
        """
        import json

        def read():
            return json.loads("{")

        def make(seed):
            return read()
        """,
    )
    with pytest.raises(TaskError, match=r"JSONDecodeError.*t\.py, line 5, in read\)") as caught:
        make_task(load(f"{path}:make"), 0)
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.__cause__.__traceback__ is not None


def test_sys_exit_does_not_end_the_program(write):
    path = write("t.py", "def make(seed): raise SystemExit(0)")
    with pytest.raises(TaskError, match="SystemExit"):
        make_task(load(f"{path}:make"), 0)


def test_what_sigterm_raises_ends_the_program(write):
    path = write("t.py", "import signal\ndef make(seed): raise SystemExit(128 + signal.SIGTERM)")
    with pytest.raises(SystemExit):
        make_task(load(f"{path}:make"), 0)


def test_a_task_that_refuses_its_fields_is_told_with_its_place(write):
    path = write("t.py", GOOD.replace("[seed]", "iter([seed])"))
    with pytest.raises(TaskError, match=r"train.*t\.py, line 8, in make"):
        make_task(load(f"{path}:make"), 0)


@pytest.mark.parametrize("error", [DataError, MissingDependencyError])
def test_what_is_missing_keeps_its_own_error(error):
    def make(seed):
        raise error("get it there")

    with pytest.raises(error, match=r"^get it there$"):
        make_task(LoadedTask("mine", make), 0)


@pytest.mark.parametrize("signature", ["", "seed, model", "*, seed"])
def test_a_wrong_signature_is_told_with_the_definition(write, signature):
    path = write("t.py", f"\ndef make({signature}): ...")
    with pytest.raises(TaskError, match=r"signature is \(.*t\.py, line 2\)"):
        make_task(load(f"{path}:make"), 0)


@pytest.mark.parametrize("signature", ["seed", "anything", "*args", "seed=0, scale=1", "seed, /"])
def test_signatures_that_take_one_seed(write, signature):
    text = f"from stepsize.tasks import Task\ndef make({signature}): return Task(1, 2, max, [1])"
    assert make_task(load(f"{write('t.py', text)}:make"), 0)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("None", "None.*return"),
        ("(1, 'a')", r"tuple \(int, str\)"),
        ("{}", "dict"),
        ("int", "class int"),
    ],
)
def test_a_wrong_return_type_is_told_with_the_definition(write, returned, told):
    path = write("t.py", f"def make(seed): return {returned}")
    with pytest.raises(TaskError, match=told + r".*t\.py, line 1\)"):
        make_task(load(f"{path}:make"), 0)


def test_a_coroutine_is_refused_without_a_warning(write):
    path = write("t.py", "async def make(seed): ...")
    with pytest.raises(TaskError, match="coroutine"):
        make_task(load(f"{path}:make"), 0)


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(InputError, match="seed"):
        make_task(load("digits"), seed)


def test_the_seed_arrives_as_an_int(write):
    numpy = pytest.importorskip("numpy")
    made = make_task(load(f"{write('t.py')}:make"), numpy.int64(4))
    assert type(made.train[0]) is int


def test_a_broken_builtin_still_gives_one_message():
    def make(seed):
        raise ZeroDivisionError

    with pytest.raises(TaskError, match="mine raised ZeroDivisionError"):
        make_task(LoadedTask("mine", make), 0)


def test_loaded_tasks_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load("digits").name = "other"
    assert isinstance(load("digits"), LoadedTask)
    assert not isinstance(load("digits"), Task)


def test_importing_the_folder_loads_no_framework():
    heavy = ("torch", "numpy", "sklearn", "urllib.request", "ssl", "http.client", "logging")
    code = f"import sys, stepsize.tasks; print([m for m in {heavy} if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    got = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert got.stdout.strip() == "[]", got.stderr
