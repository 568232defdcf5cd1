"""An exception out of the user's own code, told in one line with its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stepsize.errors import StepsizeError, TaskError
from stepsize.tasks import LoadedTask
from stepsize.tasks.blame import blame


@contextmanager
def explained(task: LoadedTask) -> Iterator[None]:
    """Turn what the task's code raises while it trains into a :class:`TaskError`.

    An error of a built-in task is ours and keeps its traceback.
    """
    try:
        yield
    except StepsizeError:
        raise
    except Exception as error:
        if not task.files:
            raise
        raise TaskError(
            f"The task {task.name} raised {blame(error, task.files)} while it was trained."
        ) from error
