"""What the tools' own readers find, as one line of JSON: run in a process of its own."""

import json
import sys
from pathlib import Path


def mlflow(uri):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri, registry_uri=uri)
    experiments = client.search_experiments()
    history = client.get_metric_history
    runs = client.search_runs([each.experiment_id for each in experiments])
    return {
        "experiments": [each.name for each in experiments],
        "runs": [
            {
                "id": run.info.run_id,
                "status": run.info.status,
                "params": run.data.params,
                "tags": run.data.tags,
                "metrics": {
                    name: [(each.step, each.value) for each in history(run.info.run_id, name)]
                    for name in run.data.metrics
                },
                "artifacts": {
                    each.path: Path(client.download_artifacts(run.info.run_id, each.path))
                    .read_bytes()
                    .decode("latin-1")
                    for each in client.list_artifacts(run.info.run_id)
                },
            }
            for run in runs
        ],
    }  # fmt: skip


def wandb(folder):
    """The transaction logs: LevelDB's log format, in it W&B's own records."""
    from wandb.proto.wandb_internal_pb2 import Record

    runs = []
    for path in sorted(Path(folder).glob("offline-run-*/*.wandb")):
        found = {"path": str(path), "history": [], "summary": {}, "files": []}
        for data in _leveldb(path.read_bytes()):
            record = Record.FromString(data)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                run = record.run
                found |= {"id": run.run_id, "project": run.project, "group": run.run_group}
                found |= {"job_type": run.job_type, "name": run.display_name}
                found["config"] = {i.key: json.loads(i.value_json) for i in run.config.update}
            elif kind == "history":
                row = {
                    "/".join(i.nested_key) or i.key: json.loads(i.value_json)
                    for i in record.history.item
                }
                found["history"].append((record.history.step.num, row))
            elif kind == "summary":
                for i in record.summary.update:
                    found["summary"]["/".join(i.nested_key) or i.key] = json.loads(i.value_json)
            elif kind == "files":
                found["files"] += [each.path for each in record.files.files]
        runs.append(found)
    return {"runs": runs}


def _leveldb(data):
    """The records of a log in blocks of 32 KiB, each piece behind checksum, length and type."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length = int.from_bytes(data[at + 4 : at + 6], "little")
        kind = data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        if kind in (1, 4):
            yield whole
            whole = b""
        at += 7 + length


def trackio(project):
    import trackio as tool
    from trackio.sqlite_storage import SQLiteStorage

    tool.Api().runs(project)
    return {
        "runs": [
            {
                "name": name,
                "config": SQLiteStorage.get_run_config(project, name),
                "logs": SQLiteStorage.get_logs(project, name),
            }
            for name in SQLiteStorage.get_runs(project)
        ]
    }


if __name__ == "__main__":
    tool, *words = sys.argv[1:]
    sys.path = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent]
    print(json.dumps(globals()[tool](*words)))
