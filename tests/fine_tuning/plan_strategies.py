"""Hypothesis strategies for transfer plans."""

from hypothesis import strategies as st

from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan

SCHEDULES = ("cosine(lr)", "warmup(linear(lr), steps=10%)", "0.5 * constant(lr)", "one_cycle(lr)")
rates = st.floats(1e-8, 100.0)
shares = st.integers(1, 6).map(lambda i: f"{i * 5}%")


@st.composite
def phases(draw, name, epochs, first):
    trainable = draw(st.sampled_from(["all", "head", "gradual", 1, 2, 3]))
    found = ["find"] + ["tune"] * (trainable != "gradual") + ["previous"] * (not first)
    return Phase(
        name,
        epochs,
        trainable,
        draw(st.sampled_from(SCHEDULES)),
        draw(rates | st.sampled_from(found)),
        draw(st.sampled_from(["equal", "measured"]) | st.floats(1.0, 20.0)),
        precompute=trainable not in ("all", "gradual") and draw(st.booleans()),
        frozen=draw(st.sampled_from(["eval", "train"])),
        otherwise=draw(rates),
        unfreeze_epochs=draw(st.integers(1, 3)),
        budget=draw(rates),
    )


@st.composite
def plans(draw):
    """A plan of one to three phases, one of which takes the rest."""
    count = draw(st.integers(1, 3))
    rest = draw(st.integers(0, count - 1))
    lengths = st.integers(1, 4) | shares | shares.map(lambda share: f"{share}, at most 2")
    made = tuple(
        draw(phases(f"phase {i}", "rest" if i == rest else draw(lengths), i == 0))
        for i in range(count)
    )
    groups = draw(st.none() | st.integers(1, 6))
    start = draw(st.sampled_from(["pretrained", "scratch"]))
    return TransferPlan(draw(st.text(min_size=1).filter(str.strip)), made, groups, start, "about")
