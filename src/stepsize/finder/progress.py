"""A progress bar with the current rate and loss, on standard error, when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from stepsize.finder.options import FindOptions
from stepsize.progress import need_tqdm


@contextmanager
def shown(options: FindOptions, progress: bool) -> Iterator[FindOptions]:
    """The options with a bar that follows them; unchanged, and silent, without ``progress``.

    Raises:
        MissingDependencyError: a bar is wanted and tqdm is not installed.
    """
    if not progress:
        yield options
        return
    tqdm = need_tqdm()
    rungs = options.ladder.rungs()
    updates = sum(rung.updates for rung in rungs)
    points = updates // options.held_out_every if options.held_out_every else len(rungs)
    total = options.repeats * max(1, points)
    before = options.on_point
    with tqdm(total=total, desc="range test", unit="rate", leave=False) as bar:

        def on_point(lr: float, loss: float) -> None:
            if bar.n == bar.total:
                bar.total += 1  # the test extends itself
            bar.set_postfix_str(f"lr {lr:.2e}, loss {loss:.4g}", refresh=False)
            bar.update()
            if before is not None:
                before(lr, loss)

        yield replace(options, on_point=on_point)
