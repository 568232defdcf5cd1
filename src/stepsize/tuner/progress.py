"""A progress bar over the updates of a race, on standard error, when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from stepsize.progress import need_tqdm
from stepsize.records import Reading
from stepsize.tuner.options import TuneOptions
from stepsize.tuner.trainer import ArmTrainer, Entry


@contextmanager
def shown(options: TuneOptions, trainer: ArmTrainer, progress: bool) -> Iterator[TuneOptions]:
    """The options with a bar that follows them; unchanged, and silent, without ``progress``.

    Args:
        options: the search's.
        trainer: its updates are counted.
        progress: whether there is a bar.

    Raises:
        MissingDependencyError: a bar is wanted and tqdm is not installed.
    """
    if not progress:
        yield options
        return
    before = options.on_reading
    total = round(options.budget * trainer.updates)
    with need_tqdm()(total=total, desc="race", unit="update", leave=False) as bar:

        def on_reading(entry: Entry, reading: Reading) -> None:
            bar.set_postfix_str(f"{entry.lr:.3g}: val_loss {reading.val_loss:.4g}", refresh=False)
            bar.update(min(trainer.spent, total) - bar.n)
            if before is not None:
                before(entry, reading)

        yield replace(options, on_reading=on_reading)
