"""TensorBoard: a folder of event files for each run."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from stepsize.errors import OutputError
from stepsize.records import OVER, Comparison
from stepsize.trackers.base import ComparisonInfo, RunInfo, Summary
from stepsize.trackers.names import fit, line
from stepsize.trackers.ranking import headline, markdown
from stepsize.trackers.registry import need

#: TensorBoard's own default.
DEFAULT_FOLDER = "runs"
_QUEUE = 1000


def make(where: str) -> TensorBoard:
    """The tracker; ``where`` is a folder.

    Raises:
        MissingDependencyError: TensorBoard is not installed.
        OutputError: the folder cannot be made.
    """
    return TensorBoard(Path(os.path.abspath(where or DEFAULT_FOLDER)))


@final
class TensorBoard:
    """Event files, as ``tensorboard --logdir FOLDER`` reads them.

    ``FOLDER/comparison/arm, seed 0/`` holds the scalars ``lr``, ``loss/update``, ``loss/train``,
    ``loss/val``, ``accuracy/val``, ... and what the HParams tab shows;
    ``FOLDER/comparison/`` itself the ranking as text and the pictures.
    """

    name = "tensorboard"

    def __init__(self, folder: Path) -> None:
        self._tools = _Tools()
        self._folder = folder
        self.target = f"{self.name}:{folder}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make {folder} for TensorBoard: {error.strerror}.") from error

    def has(self, info: RunInfo) -> bool:
        """Whether the run's folder has event files."""
        place = self._place(info)
        return place.is_dir() and any(".tfevents." in name for name in os.listdir(place))

    def open(self, info: RunInfo, sent: int) -> _Run:
        """Another event file in the run's folder; what older ones have beyond ``sent`` is void."""
        return _Run(self._tools, self._place(info), info, sent)

    def finish(self, info: ComparisonInfo, result: Comparison, files: Mapping[str, bytes]) -> None:
        """The ranking and its headline as text, the PNG files as images."""
        file = self._tools.file(self._folder / fit(info.label))
        file.text("ranking", markdown(result))
        best = headline(result)
        file.text("best", "\n".join(f"- {name}: {value}" for name, value in best.items()))
        for name, data in files.items():
            if name.endswith(".png"):
                file.png(name.removesuffix(".png"), data)
        file.close()

    def close(self) -> None:
        """Nothing is open."""

    def _place(self, info: RunInfo) -> Path:
        return self._folder / fit(info.comparison.label) / f"{fit(info.arm)}, seed {info.seed}"


@final
class _Run:
    def __init__(self, tools: _Tools, place: Path, info: RunInfo, sent: int) -> None:
        self._file = tools.file(place)
        if sent:
            self._file.void(sent)
        else:
            chosen: dict[str, str | int] = {
                "arm": line(info.arm),
                "schedule": line(info.schedule, 1000),
                "seed": info.seed,
                "task": line(info.comparison.task),
                "updates": info.updates,
            }
            self._file.session(start=chosen)

    def log(self, update: int, values: Mapping[str, float]) -> None:
        """One event with all values of an update."""
        self._file.scalars(update, {tag(name): value for name, value in values.items()})

    def flush(self) -> None:
        """Write what waits to the file."""
        self._file.flush()

    def end(self, status: str, summary: Summary) -> None:
        """The status for the HParams tab, the summary as text."""
        lines = [f"- {name}: {line(str(value))}" for name, value in summary.items()]
        self._file.text("summary", "\n".join(lines), int(summary["updates_done"]))
        if status in OVER:  # TensorBoard believes the first end that it reads
            self._file.session()
        self._file.close()


def tag(name: str) -> str:
    """A metric's name as TensorBoard groups it: what is before the slash is a section.

    >>> [tag(name) for name in ("lr", "loss", "train_loss", "val_accuracy")]
    ['lr', 'loss/update', 'loss/train', 'accuracy/val']
    """
    if name == "loss":
        return "loss/update"
    part, _, what = name.partition("_")
    if part in ("train", "val") and what:
        return f"{fit(what, longest=120)}/{part}"
    return fit(name, longest=120)


@final
class _Tools:
    """What is needed of TensorBoard, which alone is loaded: no torch, no TensorFlow of its own."""

    def __init__(self) -> None:
        self.events = need("tensorboard.compat.proto.event_pb2", "tensorboard")
        self.summary = need("tensorboard.compat.proto.summary_pb2", "tensorboard")
        self.tensor = need("tensorboard.compat.proto.tensor_pb2", "tensorboard")
        self.types = need("tensorboard.compat.proto.types_pb2", "tensorboard")
        self.shape = need("tensorboard.compat.proto.tensor_shape_pb2", "tensorboard")
        self.hparams = need("tensorboard.plugins.hparams.plugin_data_pb2", "tensorboard")
        self.names = need("tensorboard.plugins.hparams.metadata", "tensorboard")
        self.api = need("tensorboard.plugins.hparams.api_pb2", "tensorboard")
        self.writer = need("tensorboard.summary.writer.event_file_writer", "tensorboard")

    def file(self, folder: Path) -> _File:
        """A new event file in ``folder``."""
        return _File(self, self.writer.EventFileWriter(str(folder), max_queue_size=_QUEUE))


@final
class _File:
    """One event file."""

    def __init__(self, tools: _Tools, writer: Any) -> None:
        self._tools = tools
        self._writer = writer
        self.flush = writer.flush
        self.close = writer.close

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Scalars with the 24 bits of TensorBoard's own; its fast server shows no others."""
        value_of = self._tools.summary.Summary.Value
        self._values(
            [value_of(tag=name, simple_value=value) for name, value in values.items()], step
        )

    def text(self, name: str, text: str, step: int = 0) -> None:
        """A text in Markdown."""
        data = self._tools.summary.SummaryMetadata.PluginData(plugin_name="text")
        shape = self._tools.shape.TensorShapeProto
        tensor = self._tools.tensor.TensorProto(
            dtype=self._tools.types.DT_STRING,
            string_val=[text.encode("utf-8", "backslashreplace")],
            tensor_shape=shape(dim=[shape.Dim(size=1)]),
        )
        metadata = self._tools.summary.SummaryMetadata(plugin_data=data)
        value = self._tools.summary.Summary.Value(
            tag=f"{name}/text_summary", metadata=metadata, tensor=tensor
        )
        self._values([value], step)

    def png(self, name: str, data: bytes) -> None:
        """A picture; its size is in the first 24 bytes of every PNG file."""
        width, height = struct.unpack(">II", data[16:24])
        image = self._tools.summary.Summary.Image(
            width=width, height=height, colorspace=4, encoded_image_string=data
        )
        self._values([self._tools.summary.Summary.Value(tag=name, image=image)], 0)

    def void(self, step: int) -> None:
        """Older files' events from ``step`` on do not count: they are sent again."""
        session = self._tools.events.SessionLog
        log = session(status=session.START)
        self._event(session_log=log, step=step)

    def session(self, start: Mapping[str, str | int] | None = None) -> None:
        """For the HParams tab: what was chosen for the run; without it, that it is over."""
        tools = self._tools
        data = tools.hparams.HParamsPluginData(version=0)
        if start is not None:
            name = tools.names.SESSION_START_INFO_TAG
            data.session_start_info.start_time_secs = time.time()
            for key, value in start.items():
                kind = "string_value" if isinstance(value, str) else "number_value"
                setattr(data.session_start_info.hparams[key], kind, value)
        else:
            name = tools.names.SESSION_END_INFO_TAG
            data.session_end_info.status = tools.api.Status.STATUS_SUCCESS
            data.session_end_info.end_time_secs = time.time()
        content = data.SerializeToString()
        plugin = tools.summary.SummaryMetadata.PluginData(
            plugin_name=tools.names.PLUGIN_NAME, content=content
        )
        metadata = tools.summary.SummaryMetadata(plugin_data=plugin)
        nothing = tools.names.NULL_TENSOR
        self._values([tools.summary.Summary.Value(tag=name, metadata=metadata, tensor=nothing)], 0)

    def _values(self, values: list[Any], step: int) -> None:
        self._event(summary=self._tools.summary.Summary(value=values), step=step)

    def _event(self, **content: Any) -> None:
        self._writer.add_event(self._tools.events.Event(wall_time=time.time(), **content))
