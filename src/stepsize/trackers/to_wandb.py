"""Weights & Biases: a project, with a group for each comparison."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from stepsize.errors import InputError
from stepsize.records import OVER, Comparison
from stepsize.trackers.base import ComparisonInfo, RunInfo, Summary
from stepsize.trackers.names import PLAIN, fit, line
from stepsize.trackers.ranking import COLUMNS, headline, rows
from stepsize.trackers.registry import need

DEFAULT_PROJECT = "stepsize"
#: W&B's limit of what names a project, a group or a run.
_LONGEST = 120


def make(where: str) -> WeightsAndBiases:
    """The tracker; ``where`` is a project.

    Raises:
        MissingDependencyError: wandb is not installed.
        InputError: W&B allows no such name.
    """
    project = where or os.environ.get("WANDB_PROJECT", "") or DEFAULT_PROJECT
    if len(project) > 128 or set(project) & set("/\\#?%:"):
        raise InputError(
            f"A project of W&B has at most 128 characters and none of / \\ # ? % :, got "
            f"{project!r:.150}."
        )
    return WeightsAndBiases(project)


@final
class WeightsAndBiases:
    r"""Runs of W&B: online where an API key is configured, else offline, and never a question.

    A run has ``lr``, ``train/loss``, ``train/epoch_loss``, ``val/loss``, ... by step (the update),
    its definition as config, and the job type ``train``; one more run of the group, of the job
    type ``compare``, has the ranking as a table, the pictures, the page and the files.
    """

    name = "wandb"

    def __init__(self, project: str) -> None:
        self._wandb = need("wandb", self.name)
        self._project = project
        self._mode = os.environ.get("WANDB_MODE", "") or ("online" if _has_key() else "offline")
        self._folder = Path(os.environ.get("WANDB_DIR", "") or ".").absolute()
        place = self._folder if self._mode == "offline" else "online"
        self.target = f"{self.name}:{project} {place}"

    def has(self, info: RunInfo) -> bool:
        """Whether an offline run has that id; an online one is taken to be there."""
        if self._mode != "offline":
            return True
        return any((self._folder / "wandb").glob(f"offline-run-*-{_id(info)}"))

    def open(self, info: RunInfo, sent: int) -> _Run:
        """A run whose id is made from what it is: opened again it is the same one."""
        config = {"arm": info.arm, **info.definition, "environment": dict(info.environment)}
        run = self._init(
            info.comparison, id=_id(info), name=line(info.name, _LONGEST), job_type="train",
            config=config,
        )  # fmt: skip
        return _Run(run)

    def finish(self, info: ComparisonInfo, result: Comparison, files: Mapping[str, bytes]) -> None:
        """The ranking and the files in a run of their own."""
        wandb = self._wandb
        run = self._init(
            info, id=fit(f"{info.key}-compare", PLAIN, 60), name=line(info.label, _LONGEST),
            job_type="compare", config=dict(info.plan),
        )  # fmt: skip
        shown: dict[str, Any] = {"ranking": wandb.Table(columns=list(COLUMNS), data=rows(result))}
        folder = Path(run.dir)
        for name, data in files.items():
            path = folder / fit(name)
            path.write_bytes(data)
            run.save(str(path), base_path=str(folder), policy="now")
            if path.suffix == ".png":
                shown[path.stem] = wandb.Image(str(path))
            elif path.suffix == ".html":
                shown[f"{path.stem}_page"] = wandb.Html(str(path))
        run.log(shown)
        run.summary.update(headline(result))
        run.finish()

    def close(self) -> None:
        """End the process that W&B started."""
        self._wandb.teardown()

    def _init(self, info: ComparisonInfo, **about: Any) -> Any:
        settings = self._wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,  # of this process they would say nothing about the training
            x_disable_meta=True,
        )
        return self._wandb.init(
            project=self._project,
            dir=str(self._folder),
            mode=self._mode,
            group=line(info.label, _LONGEST),
            resume="allow",
            reinit="create_new",
            settings=settings,
            **about,
        )


@final
class _Run:
    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, update: int, values: Mapping[str, float]) -> None:
        """One row of the run's history."""
        self._run.log({metric(name): value for name, value in values.items()}, step=update)

    def flush(self) -> None:
        """W&B writes by itself."""

    def end(self, status: str, summary: Summary) -> None:
        """The summary, and whether it went well."""
        self._run.summary.update(summary)
        self._run.finish(exit_code=0 if status in OVER else 1)


def metric(name: str) -> str:
    """A metric's name as W&B and Trackio group it: what is before the slash is a section.

    >>> [metric(name) for name in ("lr", "loss", "train_loss", "val_accuracy")]
    ['lr', 'train/loss', 'train/epoch_loss', 'val/accuracy']
    """
    if name == "loss":
        return "train/loss"
    part, _, what = name.partition("_")
    if part in ("train", "val") and what:
        what = fit(what, PLAIN, 100)
        return f"val/{what}" if part == "val" else f"train/epoch_{what}"
    return fit(name, PLAIN, 100)


def _id(info: RunInfo) -> str:
    return fit(f"{info.comparison.key[:8]}-{info.key}-{fit(info.arm, PLAIN, 20)}", PLAIN, 60)


def _has_key() -> bool:
    """Whether W&B can log in without asking."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    auth = need("wandb.sdk.lib.wbauth", "wandb")
    try:
        host = os.environ.get("WANDB_BASE_URL", "") or "https://api.wandb.ai"
        return auth.read_netrc_auth(host=host) is not None
    except Exception:  # noqa: BLE001 - a file of the user's that W&B cannot read
        return False
