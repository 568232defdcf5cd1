"""MLflow: an experiment for each comparison, in it a parent run with the runs below it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from stepsize.records import OVER, Comparison
from stepsize.trackers.base import ComparisonInfo, RunInfo, Summary
from stepsize.trackers.names import fit, line
from stepsize.trackers.ranking import COLUMNS, headline, rows
from stepsize.trackers.registry import need

#: What MLflow allows in names; the slash would make a section of a chart's name.
_NAME = r"A-Za-z0-9_. -"
#: The most that MLflow takes in one call.
_BATCH = 1000


def make(where: str) -> MLflow:
    """The tracker; ``where`` is a URI as MLflow knows it, or a folder.

    Raises:
        MissingDependencyError: MLflow is not installed.
    """
    uri = where or os.environ.get("MLFLOW_TRACKING_URI", "") or "."
    if "://" in uri or uri in ("databricks", "uc"):
        return MLflow(uri)
    return MLflow(f"sqlite:///{Path(os.path.abspath(uri)).as_posix()}/mlflow.db")


@final
class MLflow:
    """A tracking server, or MLflow's database file.

    Each run has its rates and losses as metrics by update, its definition as parameters, and tags
    ``stepsize.*``; the parent run has the ranking and the files as artifacts.
    """

    name = "mlflow"

    def __init__(self, uri: str) -> None:
        self._entities = need("mlflow.entities", self.name)
        client = need("mlflow.tracking", self.name).MlflowClient
        self._folder: Path | None = None
        if uri.startswith("sqlite:///"):
            need("alembic", self.name)
            need("sqlalchemy", self.name)
            self._folder = Path(uri.removeprefix("sqlite:///")).absolute().parent
            self._folder.mkdir(parents=True, exist_ok=True)
        self._client = client(tracking_uri=uri, registry_uri=uri)
        self.target = f"{self.name}:{uri}"
        self._client.search_experiments(max_results=1)  # a place that cannot be used shows now

    def has(self, info: RunInfo) -> bool:
        """Whether there is a run with that tag."""
        return self._find(info.comparison, _tag(info)) is not None

    def open(self, info: RunInfo, sent: int) -> _Run:
        """The run below the comparison's parent run, made unless it is there."""
        found = self._find(info.comparison, _tag(info)) if sent else None
        if found is None:
            found = self._make(info)
        else:
            self._client.update_run(found, status="RUNNING")
        return _Run(self._client, self._entities, found)

    def finish(self, info: ComparisonInfo, result: Comparison, files: Mapping[str, bytes]) -> None:
        """The ranking as parameters, metrics and ``ranking.json``, the files as artifacts."""
        parent = self._parent(info)
        best = headline(result)
        for name, value in best.items():
            if isinstance(value, str):
                self._client.set_tag(parent, f"stepsize.{name}", value)
            else:
                self._client.log_metric(parent, _metric(name), value)
        # What MLflow's log_table writes, which would need pandas.
        table = {"columns": list(COLUMNS), "data": rows(result)}
        self._client.log_dict(parent, table, "ranking.json")
        logged = [{"path": "ranking.json", "type": "table"}]
        self._client.set_tag(parent, "mlflow.loggedArtifacts", json.dumps(logged))
        with TemporaryDirectory() as folder:
            for name, data in files.items():
                path = Path(folder) / fit(name)
                path.write_bytes(data)
                self._client.log_artifact(parent, str(path))
        self._client.set_terminated(parent, "FINISHED")

    def close(self) -> None:
        """Nothing is open."""

    def _make(self, info: RunInfo) -> str:
        tags = {
            "mlflow.parentRunId": self._parent(info.comparison),
            "mlflow.runName": line(info.name),
            "stepsize.run": _tag(info),
            "stepsize.key": info.key,
            "stepsize.comparison": info.comparison.key,
        }
        experiment = self._experiment(info.comparison)
        made = self._client.create_run(experiment, tags=tags, run_name=line(info.name))
        run = str(made.info.run_id)
        facts = {"arm": info.arm, **_flat(info.definition), **_flat(info.environment)}
        param = self._entities.Param
        params = [param(fit(name, _NAME, 200), line(str(v), 5000)) for name, v in facts.items()]
        for start in range(0, len(params), 100):
            self._client.log_batch(run, params=params[start : start + 100])
        return run

    def _parent(self, info: ComparisonInfo) -> str:
        found = self._find(info, info.key)
        if found is not None:
            return found
        tags = {"stepsize.run": info.key, "stepsize.comparison": info.key}
        experiment = self._experiment(info)
        made = self._client.create_run(experiment, tags=tags, run_name=line(info.label))
        run = str(made.info.run_id)
        facts = {"task": info.task, **{n: v for n, v in info.plan.items() if n != "arms"}}
        param = self._entities.Param
        params = [param(fit(n, _NAME, 200), line(str(v), 5000)) for n, v in facts.items()]
        self._client.log_batch(run, params=params[:100])
        return run

    def _experiment(self, info: ComparisonInfo) -> str:
        name = line(info.name, 400).strip() or "stepsize"
        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        place = None if self._folder is None else (self._folder / "mlartifacts" / fit(name))
        location = None if place is None else place.as_uri()
        return str(self._client.create_experiment(name, artifact_location=location))

    def _find(self, info: ComparisonInfo, mark: str) -> str | None:
        name = line(info.name, 400).strip() or "stepsize"
        known = self._client.get_experiment_by_name(name)
        if known is None:
            return None
        found = self._client.search_runs(
            [known.experiment_id], f"tags.`stepsize.run` = '{mark}'", max_results=1
        )
        return str(found[0].info.run_id) if found else None


@final
class _Run:
    def __init__(self, client: Any, entities: Any, run: str) -> None:
        self._client = client
        self._entities = entities
        self._id = run
        self._waiting: list[Any] = []

    def log(self, update: int, values: Mapping[str, float]) -> None:
        """Metrics by update, a thousand in a call."""
        at = int(time.time() * 1000)
        metric = self._entities.Metric
        self._waiting += [metric(_metric(name), v, at, update) for name, v in values.items()]
        if len(self._waiting) >= _BATCH:
            self._hand_over(_BATCH)

    def flush(self) -> None:
        """Hand over what waits."""
        while self._waiting:
            self._hand_over(_BATCH)

    def end(self, status: str, summary: Summary) -> None:
        """MLflow's own status, ours as a tag, the summary as metrics and tags."""
        at = int(time.time() * 1000)
        for name, value in summary.items():
            if isinstance(value, str):
                self._client.set_tag(self._id, f"stepsize.{name}", line(value, 1000))
            else:
                metric = self._entities.Metric(_metric(name), float(value), at, 0)
                self._waiting.append(metric)
        self.flush()
        ends = dict.fromkeys(OVER, "FINISHED") | {"interrupted": "KILLED", "crashed": "KILLED"}
        self._client.set_terminated(self._id, ends.get(status, "FAILED"))

    def _hand_over(self, count: int) -> None:
        self._client.log_batch(self._id, metrics=self._waiting[:count])
        del self._waiting[:count]


def _tag(info: RunInfo) -> str:
    """A mark that finds the run again: no two runs of a comparison have the same."""
    return f"{info.comparison.key} {info.key} {fit(info.arm, longest=60)}".replace("'", "")


def _metric(name: str) -> str:
    return fit(name, _NAME, 200)


def _flat(data: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested data as ``outer.inner`` names."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat
