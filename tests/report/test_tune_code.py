"""The code to paste is run as it stands, with the real packages, and gives the schedule's rates."""

import ast
import logging
from contextlib import contextmanager
from dataclasses import replace

import pytest
from report.tune_examples import EXAMPLES, flat, other_optimizer, sgd

from stepsize.report.tune_code import one_line, snippets
from stepsize.schedules import parse

UPDATES, EPOCHS, BATCHES = 24, 4, 6
#: What is raced and compared: text forms, as a recommendation has them.
SCHEDULES = {
    "cosine": "warmup(cosine(0.02), steps=5%)",
    "linear": "warmup(linear(0.02, 0.001), steps=10%)",
    "wsd": "wsd(0.02, warmup_steps=5%, decay_steps=20%)",
    "one cycle": "one_cycle(0.02)",
    "constant": "constant(0.02)",
    "resolved": "wsd(0.02, warmup_steps=2, stable_steps=14, decay_steps=8, shape='linear')",
}
#: With which other optimizer: every schedule with none, one schedule with each.
CASES = [(name, "") for name in SCHEDULES] + [("cosine", name) for name in ("AdamW", "SGD", "Lion")]


@pytest.fixture(params=CASES, ids=" ".join)
def given(request):
    """A recommendation for a run of 24 updates."""
    name, optimizer = request.param
    text = SCHEDULES[name]
    return replace(
        sgd(), schedule=text, optimizer=optimizer, updates=UPDATES, epochs=EPOCHS, lr=0.02
    )


def lines_of(given, library):
    """Both forms of a library's code, as far as there are both."""
    one = next(each for each in snippets(given) if each.name == library)
    assert one.plain or one.remarks
    return [lines for lines in (one.code, one.plain) if lines]


def wanted(given):
    schedule = parse(given.schedule, steps=UPDATES)
    return pytest.approx([schedule(t) for t in range(UPDATES)], rel=2e-5, abs=1e-9)


@contextmanager
def watched():
    """The first group's rate at every update of any torch optimizer."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    used = []

    def note(optimizer, *_):
        used.append(float(optimizer.param_groups[0]["lr"]))

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield used
    finally:
        handle.remove()


def test_pytorch(given):
    torch = pytest.importorskip("torch")
    for lines in lines_of(given, "torch"):
        model = torch.nn.Linear(2, 1)
        names = {
            "model": model,
            "optimizer": torch.optim.SGD(model.parameters(), lr=0.5),
            "loader": [torch.ones(3, 2)] * BATCHES,
            "loss_fn": lambda model, batch: model(batch).square().mean(),
        }
        with watched() as used:
            exec(lines, names)
        assert used == wanted(given)
        known = given.optimizer if given.optimizer != "Lion" else "SGD"
        assert type(names["optimizer"]).__name__ == (known or "SGD")


def test_the_groups_keep_their_ratios():
    torch = pytest.importorskip("torch")
    given = replace(sgd(), schedule="linear(0.02)", updates=UPDATES, epochs=EPOCHS, optimizer="")
    parts = [torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)]
    model = torch.nn.Sequential(*parts)
    groups = [
        {"params": part.parameters(), "lr": lr} for part, lr in zip(parts, (1, 0.1), strict=True)
    ]
    names = {
        "model": model,
        "optimizer": torch.optim.SGD(groups),
        "loader": [],
        "loss_fn": None,
    }
    exec(lines_of(given, "torch")[0], names)
    assert [group["lr"] for group in names["optimizer"].param_groups] == pytest.approx(
        [0.02, 0.002]
    )


def test_keras(given):
    keras = pytest.importorskip("keras")
    import numpy as np

    class Watched(keras.Sequential):
        def __init__(self, layers):
            super().__init__(layers)
            self.used = []

    class Watcher(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.used.append(float(self.model.optimizer.learning_rate))

    for lines in lines_of(given, "keras"):
        model = Watched([keras.Input((2,)), keras.layers.Dense(1)])
        fit = model.fit

        def quiet(*data, callbacks=(), fit=fit, **options):
            return fit(*data, callbacks=[*callbacks, Watcher()], verbose=0, **options)

        model.fit = quiet
        names = {
            "model": model,
            "optimizer": keras.optimizers.SGD(0.5),
            "loss": "mse",
            "x": np.ones((BATCHES * 32, 2), "float32"),
            "y": np.ones((BATCHES * 32, 1), "float32"),
        }
        exec(lines, names)
        assert model.used == wanted(given)


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*isinstance.treespec, LeafSpec",  # Lightning 2.6 with torch 2.13
)
def test_lightning(given, tmp_path):
    torch, lightning = pytest.importorskip("torch"), pytest.importorskip("lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for lines in lines_of(given, "lightning"):
        names = {}
        exec(lines, names)

        class Module(lightning.LightningModule):
            configure_optimizers = names["configure_optimizers"]

            def __init__(self):
                super().__init__()
                self.model = torch.nn.Linear(2, 1)

            def training_step(self, batch, _):
                return self.model(batch).square().mean()

        trainer = lightning.Trainer(
            max_epochs=EPOCHS,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            default_root_dir=tmp_path,
        )
        data = torch.utils.data.DataLoader(torch.ones(2 * BATCHES, 2), batch_size=2)
        with watched() as used:
            trainer.fit(Module(), data)
        assert used == wanted(given)


def test_transformers(given, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, x):
            return {"loss": self.layer(x).square().mean()}

    for lines in lines_of(given, "transformers"):
        arguments = transformers.TrainingArguments(
            str(tmp_path),
            max_steps=UPDATES,
            per_device_train_batch_size=2,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
            remove_unused_columns=False,
        )
        names = {
            "model": Model(),
            "arguments": arguments,
            "dataset": [{"x": torch.ones(2)}] * (2 * BATCHES),
        }
        with watched() as used:
            exec(lines, names)
        assert used == wanted(given)


def test_optax(given):
    jax, _ = pytest.importorskip("jax"), pytest.importorskip("optax")
    params = jax.numpy.ones(3)
    for lines in lines_of(given, "optax"):
        names = {}
        exec(lines, names)
        assert [float(names["rate"](t)) for t in range(UPDATES)] == wanted(given)
        optimizer = names["optimizer"]
        changes, _ = optimizer.update(params, optimizer.init(params), params)
        assert float(abs(changes).sum()) >= 0


@pytest.mark.parametrize("name", EXAMPLES)
def test_all_code_is_python(name):
    for one in snippets(EXAMPLES[name]()):
        for lines in (one.code, one.plain):
            ast.parse(lines)
    ast.parse(one_line(EXAMPLES[name]()))


def test_every_library_is_told_the_same_weight_decay():
    """Their defaults differ by a factor of a hundred."""
    decayed = [one.code for one in snippets(other_optimizer()) if one.name in ("keras", "optax")]
    assert all("weight_decay=0.01" in lines for lines in decayed)


def test_an_abstention_has_no_code():
    assert snippets(flat()) == ()
    assert one_line(flat()) == ""


def test_the_one_line_is_the_schedule():
    torch = pytest.importorskip("torch")
    given = replace(sgd(), schedule=SCHEDULES["cosine"], updates=UPDATES)
    import stepsize as ss

    weight = torch.nn.Parameter(torch.zeros(1))
    names = {"ss": ss, "optimizer": torch.optim.SGD([weight], lr=1.0)}
    exec(one_line(given), names)
    assert names["scheduler"].get_last_lr() == [parse(given.schedule, steps=UPDATES)(0)]
