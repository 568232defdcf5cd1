"""Training problems: the ``Task``, how a reference is loaded, and the tasks that come along.

Importing this folder loads no framework; a task's ``make`` does.
"""

from stepsize.tasks.batches import TensorBatches
from stepsize.tasks.builtin import BUILTIN, BuiltinTask, names
from stepsize.tasks.load import LoadedTask, load, make_task
from stepsize.tasks.places import cache_dir, data_dir
from stepsize.tasks.task import Task

__all__ = [
    "BUILTIN",
    "BuiltinTask",
    "LoadedTask",
    "Task",
    "TensorBatches",
    "cache_dir",
    "data_dir",
    "load",
    "make_task",
    "names",
]
