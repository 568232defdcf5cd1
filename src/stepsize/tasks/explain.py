"""An exception out of the user's own code, told in one line with its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stepsize.errors import StepsizeError, TaskError
from stepsize.tasks.blame import blame
from stepsize.tasks.load import LoadedTask


@contextmanager
def explained(task: LoadedTask, when: str = "while it was trained") -> Iterator[None]:
    """Turn what the task's code raises inside the block into a :class:`TaskError`.

    An error of a built-in task is ours and keeps its traceback.

    Args:
        task: whose code runs.
        when: ends the sentence "The task raised ...".
    """
    try:
        yield
    except StepsizeError:
        raise
    except Exception as error:
        if task.is_builtin:
            raise
        raise TaskError(
            f"The task {task.name} raised {blame(error, task.files)} {when}."
        ) from error
