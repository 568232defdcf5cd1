import struct

import pytest
from trackers.stored import FILES, METRIC, UPDATES, Stored, rows, same, send_in_two_parts

from stepsize.trackers import Mirror, open_tracker

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
pytest.importorskip("tensorboard")


def read(folder):
    found = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    return found.Reload()


def scalars(found):
    tags = found.Tags()["scalars"]
    return {tag: [(each.step, each.value) for each in found.Scalars(tag)] for tag in tags}


def rounded(value):
    """To the 24 bits that TensorBoard keeps of a number."""
    return struct.unpack("f", struct.pack("f", value))[0]


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorboard")
    return send_in_two_parts(folder, f"tensorboard:{folder / 'runs'}")


def places(sent):
    (top,) = (sent.folder / "runs").iterdir()
    return top, sorted(path for path in top.iterdir() if path.is_dir())


def test_every_value_of_the_store_is_there_once(sent):
    _, folders = places(sent)
    assert len(folders) == 2
    for folder, seed in zip(sorted(folders, key=lambda path: path.name[-1]), (0, 1), strict=True):
        found = scalars(read(folder))
        expected = rows(seed)
        for tag, name in {
            "lr": "lr",
            "loss/update": "loss",
            "loss/train": "train_loss",
            "loss/val": "val_loss",
            "epoch": "epoch",
        }.items():
            values = {t: row[name] for t, row in expected.items() if name in row}
            assert [step for step, _ in found[tag]] == list(values)
            assert all(same(value, rounded(values[step])) for step, value in found[tag])
        (odd,) = set(found) - {"lr", "loss/update", "loss/train", "loss/val", "epoch"}
        assert [v for _, v in found[odd]] == [
            rounded(r[METRIC]) for r in expected.values() if METRIC in r
        ]


def test_a_hostile_name_stays_below_the_folder(sent):
    top, folders = places(sent)
    assert all(path.parent == top for path in folders)
    assert {path.name for path in sent.folder.iterdir()} <= {
        "runs", "stepsize.db", "stepsize.db-files", "stepsize.db-wal", "stepsize.db-shm",
    }  # fmt: skip


def test_the_hparams_tab_shows_what_was_chosen(sent):
    from tensorboard.plugins.hparams import api_pb2, metadata

    for folder in places(sent)[1]:
        data = read(folder)
        start = metadata.parse_session_start_info_plugin_data(
            data.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        )
        assert {"arm", "schedule", "seed", "task", "updates"} == set(start.hparams)
        assert start.hparams["updates"].number_value == UPDATES
        end = metadata.parse_session_end_info_plugin_data(
            data.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
        )
        assert end.status == api_pb2.STATUS_SUCCESS


def test_a_run_that_may_go_on_has_no_end(tmp_path):
    """TensorBoard believes the first end that it finds."""
    from tensorboard.plugins.hparams import metadata

    stored = Stored(tmp_path)
    mirror = Mirror(stored.store, open_tracker(f"tensorboard:{tmp_path / 'runs'}"), stored.id)
    mirror.end(stored.make(0, 25, "interrupted"))
    ((folder,),) = [list(top.iterdir()) for top in (tmp_path / "runs").iterdir()]
    with pytest.raises(KeyError):
        read(folder).SummaryMetadata(metadata.SESSION_END_INFO_TAG)


def test_ranking_and_picture_are_there(sent):
    top, _ = places(sent)
    found = read(top)
    (text,) = found.Tensors("ranking/text_summary")
    table = text.tensor_proto.string_val[0].decode()
    assert "cosine(0.1)" in table
    assert "<b>" not in table
    (image,) = found.Images("compare")
    assert (image.encoded_image_string, image.width, image.height) == (FILES["compare.png"], 3, 2)


def test_a_folder_that_is_a_file_is_told_at_once(tmp_path):
    from stepsize.errors import OutputError

    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        open_tracker(f"tensorboard:{tmp_path / 'file'}")
