"""The ``shakespeare-transfer`` task: a model of four plays, fine-tuned on five others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.errors import DataError
from stepsize.tasks.batches import TensorBatches
from stepsize.tasks.classification import PLACEHOLDER_LR
from stepsize.tasks.places import data_dir, given_root
from stepsize.tasks.pretraining import made_once, pretrained
from stepsize.tasks.task import Task
from stepsize.tasks.torch_import import need_torch

if TYPE_CHECKING:
    import torch

#: The name of the folder in :func:`stepsize.tasks.places.data_dir`.
NAME = "tinyshakespeare"
FILE = "input.txt"
#: Where Andrej Karpathy publishes the text.
SOURCE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"

#: The text is nine plays, or what there is of them: Coriolanus, Richard III, Richard II, Romeo and
#: Juliet | Henry VI part 3, The Winter's Tale, Measure for Measure, The Taming of the Shrew, The
#: Tempest. With these words the fifth begins, after 52 % of the letters.
SECOND_HALF = "WARWICK:\nI wonder how the king escaped our hands."

CONTEXT = 64  # letters
WIDTH, BLOCKS, HEADS = 64, 4, 4
BATCH_SIZE = 32
#: The second half is cut into stretches of so many letters, which are dealt out in turn, so that
#: each part has something of each play: of 16, two train, one validates, one tests, twelve rest.
STRETCH = 4096
DEALT = {"train": (0, 8), "validation": (4,), "test": (12,)}

PRETRAINING_EPOCHS = 4
PRETRAINING_LR = 3e-3


def find_text() -> Path:
    """The file with the text, fetched when it is nowhere yet.

    Raises:
        DataError: it is not in ``$STEPSIZE_DATA``, or it can be neither found nor fetched.
    """
    path = data_dir(NAME) / FILE
    if given_root() is None:
        from stepsize.tasks.fetch import fetch  # loads urllib, which only a download needs

        return fetch(SOURCE, path, SHA256)
    if not path.is_file():
        raise DataError(
            f"STEPSIZE_DATA is set, but there is no file {path}. Put {SOURCE} there, or unset "
            "STEPSIZE_DATA to have it downloaded."
        )
    return path


def make_shakespeare_transfer(seed: int) -> Task:
    """A transformer of four blocks that knows four plays, fine-tuned on 70 kB of five others.

    64 letters at once, AdamW, batches of 32. What the model knows before is the same for every
    seed; it is learned once (a minute or two) and kept in the cache folder. The letters are the
    same, so no layer is new when fine-tuning begins: ``seed`` decides the order of the batches.

    Raises:
        MissingDependencyError: PyTorch or safetensors is not installed.
        DataError: the text cannot be found, fetched or read.
    """
    torch = need_torch()
    text = _text(find_text())
    model = _model(text)
    model.load_state_dict(dict(_knowledge(text)))
    parts = {part: _windows(text, part) for part in DEALT}
    return Task(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=PLACEHOLDER_LR),
        loss=next_letter_loss,
        train=TensorBatches(*parts["train"], BATCH_SIZE, shuffle=True, seed=seed),
        val=TensorBatches(*parts["validation"], 128, shuffle=False),
        metrics={"accuracy": next_letter_accuracy},
        test=TensorBatches(*parts["test"], 128, shuffle=False),
    )


def next_letter_loss(model: Any, batch: Any) -> torch.Tensor:
    """The mean cross-entropy of the letter after each one, in nats."""
    text, following = batch
    outputs = model(text).flatten(0, 1)
    return need_torch().nn.functional.cross_entropy(outputs, following.flatten())  # type: ignore[no-any-return]


def next_letter_accuracy(model: Any, batch: Any) -> float:
    """The fraction of letters that get the largest output."""
    text, following = batch
    with need_torch().no_grad():
        hits = model(text).argmax(dim=-1) == following
    return float(hits.float().mean())


@lru_cache(maxsize=1)  # a comparison makes the task once per seed
def _text(path: Path) -> str:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise DataError(f"{path} is not the text of {SOURCE}: its SHA-256 is wrong.")
    return data.decode("ascii")


def _model(text: str) -> Any:
    """The model as it is before it learns anything, always the same."""
    torch = need_torch()
    from stepsize.tasks.character_model import CharacterModel

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # torch.manual_seed would seed the GPUs too
        return CharacterModel(len(set(text)), CONTEXT, WIDTH, BLOCKS, HEADS)


def _knowledge(text: str) -> Mapping[str, torch.Tensor]:
    """What the model has learned from the first half of the plays."""
    torch = need_torch()
    recipe = [SHA256, CONTEXT, WIDTH, BLOCKS, HEADS, PRETRAINING_EPOCHS, PRETRAINING_LR, BATCH_SIZE]

    def learn() -> Mapping[str, Any]:
        model = _model(text)
        windows = _cut(text, text[: text.index(SECOND_HALF)])
        return pretrained(
            model,
            torch.optim.AdamW(model.parameters(), lr=PRETRAINING_LR),
            next_letter_loss,
            TensorBatches(*windows, BATCH_SIZE, shuffle=True, seed=0),
            epochs=PRETRAINING_EPOCHS,
            peak=PRETRAINING_LR,
        )

    return made_once("shakespeare", repr(recipe), learn)


def _windows(text: str, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The windows of a part of the second half."""
    torch = need_torch()
    half = text[text.index(SECOND_HALF) :]
    starts = range(0, len(half), STRETCH)
    dealt = [half[at : at + STRETCH] for at in starts if at // STRETCH % 16 in DEALT[part]]
    pieces = [_cut(text, stretch) for stretch in dealt]
    inputs, following = (torch.cat(sides) for sides in zip(*pieces, strict=True))
    return inputs, following


def _cut(text: str, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of :data:`CONTEXT` letters of ``part``, and for each letter the one after it."""
    torch = need_torch()
    numbers = {letter: number for number, letter in enumerate(sorted(set(text)))}
    letters = torch.tensor([numbers[letter] for letter in part], device="cpu")
    windows = letters.unfold(0, CONTEXT + 1, CONTEXT)
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()
