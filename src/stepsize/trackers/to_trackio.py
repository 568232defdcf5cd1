"""Trackio: a project in a local database, with a group for each comparison."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from stepsize.errors import InputError
from stepsize.records import Comparison
from stepsize.trackers.base import ComparisonInfo, RunInfo, Summary
from stepsize.trackers.names import fit, line
from stepsize.trackers.ranking import COLUMNS, headline, rows
from stepsize.trackers.registry import need
from stepsize.trackers.to_wandb import metric

DEFAULT_PROJECT = "stepsize"


def make(where: str) -> Trackio:
    """The tracker; ``where`` is a project.

    Raises:
        MissingDependencyError: Trackio is not installed.
        InputError: Trackio allows no such name.
    """
    return Trackio(where or os.environ.get("TRACKIO_PROJECT", "") or DEFAULT_PROJECT)


@final
class Trackio:
    """Runs as ``trackio show`` reads them.

    Names are W&B's: ``lr``, ``train/loss``, ``val/loss``, ... by step (the update). One more run
    of the group has the ranking as a table and the pictures.
    """

    name = "trackio"

    def __init__(self, project: str) -> None:
        self._trackio = need("trackio", self.name)
        self._storage = need("trackio.sqlite_storage", self.name).SQLiteStorage
        folder = Path(need("trackio.utils", self.name).TRACKIO_DIR).absolute()
        try:
            self._storage.validate_project_name(project)
        except ValueError as error:
            raise InputError(f"Trackio takes no such project: {error}") from error
        self._project = project
        self.target = f"{self.name}:{project} {folder}"

    def has(self, info: RunInfo) -> bool:
        """Whether the project has a run of that name."""
        if not Path(self._storage.get_project_db_path(self._project)).exists():
            return False
        return _name(info) in self._storage.get_runs(self._project)

    def open(self, info: RunInfo, sent: int) -> _Run:
        """A run that is found again by its name."""
        config = {"arm": info.arm, **info.definition, "environment": dict(info.environment)}
        return _Run(self._init(info.comparison, _name(info), config), info.updates)

    def finish(self, info: ComparisonInfo, result: Comparison, files: Mapping[str, bytes]) -> None:
        """The ranking and the pictures in a run of their own."""
        trackio = self._trackio
        run = self._init(info, fit(f"{line(info.name, 60)}, ranking, {info.key}"), dict(info.plan))
        cells = [["" if cell is None else cell for cell in row] for row in rows(result)]
        shown: dict[str, Any] = {"ranking": trackio.Table(columns=list(COLUMNS), data=cells)}
        with TemporaryDirectory() as folder:
            for name, data in files.items():
                path = Path(folder) / fit(name)
                path.write_bytes(data)
                if path.suffix == ".png":
                    shown[path.stem] = trackio.Image(str(path), caption=line(info.name))
                elif path.suffix == ".html":
                    run.log_artifact(str(path), name=fit(f"{path.stem}-{info.key}"), type="page")
            run.log({**shown, **headline(result)}, step=0)
            run.finish()

    def close(self) -> None:
        """Nothing is open."""

    def _init(self, info: ComparisonInfo, name: str, config: Mapping[str, Any]) -> Any:
        return self._trackio.init(
            project=self._project,
            name=name,
            group=line(info.label, 120),
            config={fit(key): value for key, value in config.items()},
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )


@final
class _Run:
    def __init__(self, run: Any, updates: int) -> None:
        self._run = run
        self._updates = updates

    def log(self, update: int, values: Mapping[str, float]) -> None:
        """One row of the run's history."""
        self._run.log({metric(name): value for name, value in values.items()}, step=update)

    def flush(self) -> None:
        """Trackio writes by itself, twice a second."""

    def end(self, status: str, summary: Summary) -> None:
        """The summary as a last row: Trackio has no place of its own for it."""
        final = {fit(name): value for name, value in summary.items()}
        self._run.log({"status": status, **final}, step=self._updates)
        self._run.finish()


def _name(info: RunInfo) -> str:
    """A name that finds the run again: no two runs of a comparison have the same."""
    arm = fit(info.arm, longest=60)
    return f"{arm}, seed {info.seed} ({info.comparison.key[:6]} {info.key[:6]})"
