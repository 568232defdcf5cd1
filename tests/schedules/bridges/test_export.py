"""Exported calls: built as real objects where the library is installed, and read back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedules.kinds_strategies import TABLE

from stepsize import schedules as ss
from stepsize.errors import InputError
from stepsize.schedules import KINDS
from stepsize.schedules.bridges import LIBRARIES, read, write
from stepsize.schedules.bridges.record import Exported

STEPS = 50
ALL = tuple(LIBRARIES)


def tenth(step):
    return 0.1


#: One schedule of every kind, for a run of STEPS updates, and who has its equal.
KINDS_AND_LIBRARIES = {
    "constant": (ss.Constant(0.1), ("torch", "optax", "timm", "transformers")),
    "linear": (ss.Linear(0.1, steps=STEPS), ALL),
    "cosine": (ss.Cosine(0.1, 0.001, steps=STEPS), ALL),
    "polynomial": (ss.Polynomial(0.1, power=2.0, steps=STEPS), ALL),
    "ramp": (ss.Ramp(0.1, 0.001, steps=STEPS, shape="1-sqrt"), ("timm", "transformers")),
    "rex": (ss.Rex(0.1, steps=STEPS), ()),
    "rise": (ss.Rise(0.0, 0.1, steps=STEPS), ("torch", "keras", "optax", "timm")),
    "exponential": (ss.Exponential(0.1, k=0.03), ("torch", "keras", "optax", "timm")),
    "geometric": (ss.Geometric(0.01, 0.1, steps=STEPS), ("torch", "keras", "optax", "timm")),
    "step": (ss.Step(0.1, every=7, factor=0.5), ("torch", "keras", "optax", "timm")),
    "multi_step": (ss.MultiStep(0.1, (10, 10, 30), 0.5), ("torch", "keras", "optax", "timm")),
    "inverse_time": (ss.InverseTime(0.1, 0.01), ("keras",)),
    "compounding_time": (ss.CompoundingTime(0.1, 0.01), ()),
    "inverse_sqrt": (ss.InverseSqrt(0.1, 10, first="0"), ("transformers",)),
    "noam": (ss.Noam(1.0, 512, 10), ()),
    "power": (ss.Power(0.1, 0.2), ()),
    "warm_restarts": (
        ss.WarmRestarts(0.1, 0.001, first_steps=10, t_mul=2.0),
        ("torch", "keras", "optax", "timm"),
    ),
    "triangular": (ss.Triangular(0.01, 0.1, 10, 5), ("torch", "optax")),
    "triangular2": (ss.Triangular2(0.01, 0.1, 10), ("torch", "optax")),
    "exp_range": (ss.ExpRange(0.01, 0.1, 10, gamma=0.99), ("torch",)),
    "cyclic": (ss.Cyclic(0.01, 0.1, 10, scale=ss.Linear(1.0, steps=3)), ()),
    "one_cycle": (ss.OneCycle(0.1, steps=STEPS), ("torch", "optax")),
    "slanted_triangular": (
        ss.SlantedTriangular(0.1, steps=STEPS),
        ("torch", "optax", "timm", "transformers"),
    ),
    "flat_cosine": (
        ss.FlatCosine(0.1, flat_steps=30, decay_steps=20),
        ("torch", "optax", "timm", "transformers"),
    ),
    "wsd": (
        ss.WarmupStableDecay(0.1, 0.001, 10, 20, 20, first="0", init_value=0.001),
        ("timm", "transformers"),
    ),
    "infinite": (ss.Infinite(0.1, 0.05, 0.0, 10, 10, 10, 20), ()),
    "points": (ss.Points((0, 10, 50), (0.1, 0.05, 0.01)), ("torch", "optax")),
    "refined": (ss.Refined(0.1, (4.0, 2.0, 1.0), steps=STEPS), ()),
    "function": (ss.Function(tenth), ()),
    "warmup": (ss.Warmup(ss.Cosine(0.1, 0.001, steps=40), steps=10), ALL),
    "chain": (
        ss.Chain((ss.Linear(0.01, 0.1, 10), ss.Constant(0.1, 20), ss.Linear(0.1, 0.01, 20))),
        ("torch", "optax", "timm", "transformers"),
    ),
    "repeat": (ss.Repeat(ss.Cosine(0.1, 0.001, steps=10)), ("torch", "optax")),
    "shift": (
        ss.Shift(ss.Cosine(0.1, 0.001, steps=40), 10),
        ("torch", "optax", "timm", "transformers"),
    ),
    "cut": (ss.Cut(ss.Step(0.1, every=10), steps=STEPS), ("torch", "keras", "optax", "timm")),
    "stretch": (ss.Stretch(ss.Linear(0.1, steps=7), STEPS), ALL),
    "stairs": (ss.Stairs(ss.InverseTime(0.1, 0.5, every=10), every=10), ("keras",)),
    "scale": (ss.Scale(ss.Cosine(0.2, 0.002, steps=STEPS), 0.5), ALL),
    "clip": (ss.Clip(ss.Exponential(0.1, 0.5, every=10), low=0.01), ("optax",)),
    "multiply": (ss.Step(0.1, every=10) * ss.Exponential(1.0, 0.99), ("torch",)),
    "inverse": (ss.Inverse(ss.Linear(0.0, 0.1, steps=STEPS)), ()),
}
HAVE = [
    (kind, library) for kind, (_, have) in KINDS_AND_LIBRARIES.items() for library in sorted(have)
]
HAVE_NOT = [
    (kind, library)
    for kind, (_, have) in KINDS_AND_LIBRARIES.items()
    for library in sorted(set(ALL) - set(have))
]


def stepped(call: Exported, namespace, steps: int):
    """The rates of a real scheduler, stepped after every update."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=call.lr)
    scheduler = call.build(namespace, optimizer)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def torch_rates(call, steps):
    return stepped(call, pytest.importorskip("torch").optim.lr_scheduler, steps)


def transformers_rates(call, steps):
    return stepped(call, pytest.importorskip("transformers"), steps)


def keras_rates(call, steps):
    keras = pytest.importorskip("keras")
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        schedule = call.build(keras.optimizers.schedules)
        return [float(keras.ops.convert_to_numpy(schedule(t))) for t in range(steps)]
    finally:
        keras.config.set_floatx(before)


def optax_rates(call, steps):
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    with jax.enable_x64(True):
        schedule = call.build(optax)
        return [float(schedule(t)) for t in range(steps)]


#: timm itself needs torchvision, so its schedulers are read back only.
REAL = {
    "torch": torch_rates,
    "keras": keras_rates,
    "optax": optax_rates,
    "transformers": transformers_rates,
}


def close(values):
    return pytest.approx(values, rel=1e-9, abs=1e-12 * max(values, default=0.0) + 1e-18)


def read_back(call, steps):
    schedule = read(call.library, call.name, lr=call.lr, steps=steps, **call.kwargs).schedule
    return [schedule(t) for t in range(steps)]


def test_every_kind_has_a_row():
    assert KINDS_AND_LIBRARIES.keys() == KINDS.keys()
    assert all(schedule.kind == kind for kind, (schedule, _) in KINDS_AND_LIBRARIES.items())


@pytest.mark.parametrize(("kind", "library"), HAVE)
def test_an_exported_call_means_the_same_values(kind, library):
    schedule, _ = KINDS_AND_LIBRARIES[kind]
    call = write(schedule, library, STEPS)
    ours = [schedule(t) for t in range(STEPS)]
    assert read_back(call, STEPS) == close(ours)


@pytest.mark.parametrize(("kind", "library"), [pair for pair in HAVE if pair[1] in REAL])
def test_the_librarys_own_object_gives_the_same_values(kind, library):
    schedule, _ = KINDS_AND_LIBRARIES[kind]
    call = write(schedule, library, STEPS)
    assert REAL[library](call, STEPS) == close([schedule(t) for t in range(STEPS)])


@pytest.mark.parametrize(("kind", "library"), HAVE_NOT)
def test_a_kind_without_an_equal_is_refused_with_the_way_out(kind, library):
    schedule, _ = KINDS_AND_LIBRARIES[kind]
    way_out = r"(stepsize\.(torch|keras|jax)\.|learning_rate=0\.1)"
    with pytest.raises(InputError, match=f"{library} has no equal of .*: .*{way_out}"):
        write(schedule, library, STEPS)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"function"}))
@settings(max_examples=15)
@given(data=st.data())
def test_whatever_can_be_written_is_read_back_as_the_same_values(kind, data):
    schedule = data.draw(TABLE[kind].schedules)
    steps = data.draw(st.none() | st.integers(1, 80))
    library = data.draw(st.sampled_from(ALL))
    try:
        call = write(schedule, library, steps)
    except InputError as error:
        assert "has no equal of" in str(error) or "write(..., steps=...)" in str(error)  # noqa: PT017
        return
    run = max(1, steps or schedule.length or 60)
    assert read_back(call, run) == close([schedule(t) for t in range(run)])


@pytest.mark.parametrize("library", ["torch", "optax"])
@pytest.mark.parametrize(
    "schedule",
    [
        # levels whose last one is not used, a hold inside, a cut before the end, a scaled list
        ss.Chain((ss.Points((0, 5, 10), (0.1, 0.05, 0.02), "constant"), ss.Linear(0.1, steps=5))),
        ss.Chain((ss.Cut(ss.Linear(0.1, 0.05, steps=5), 10), ss.Linear(0.1, steps=5))),
        ss.Chain((ss.Cut(ss.Linear(0.1, steps=10), 5), ss.Linear(0.1, steps=5))),
        2.0 * ss.Points((0, 5, 10), (0.1, 0.05, 0.02)),
    ],
    ids=str,
)
def test_pieces_of_a_composition_last_as_long_as_here(schedule, library):
    call = write(schedule, library, 20)
    ours = [schedule(t) for t in range(20)]
    assert read_back(call, 20) == close(ours)
    assert REAL[library](call, 20) == close(ours)


#: What compositions are made of: pieces with an end, and anything at the end.
FINITE = st.one_of(
    *(TABLE[kind].schedules for kind in ("linear", "cosine", "points", "cut", "multi_step", "wsd"))
).filter(lambda schedule: schedule.length is not None)
LAST = FINITE | st.one_of(*(TABLE[kind].schedules for kind in ("step", "warm_restarts")))
COMPOSED = st.one_of(
    st.builds(lambda pieces, last: ss.Chain((*pieces, last)), st.lists(FINITE, min_size=1), LAST),
    st.builds(ss.Repeat, FINITE.filter(lambda schedule: schedule.length > 0), st.integers(1, 4)),
    st.builds(ss.Cut, LAST, st.integers(1, 100)),
    st.builds(ss.Shift, LAST, st.integers(1, 30)),
    st.builds(ss.Warmup, LAST, st.integers(1, 30)),
)


@pytest.mark.parametrize("library", sorted(LIBRARIES))
@settings(max_examples=60)
@given(schedule=COMPOSED, steps=st.none() | st.integers(1, 150))
def test_compositions_that_can_be_written_are_read_back_too(library, schedule, steps):
    try:
        call = write(schedule, library, steps)
    except InputError:
        return
    run = max(1, steps or schedule.length or 60)
    assert read_back(call, run) == close([schedule(t) for t in range(run)])
    if library == "torch":
        assert torch_rates(call, run) == close([schedule(t) for t in range(run)])


@pytest.mark.parametrize("kind", sorted(kind for kind, library in HAVE if library == "torch"))
@settings(max_examples=15)
@given(data=st.data())
def test_whatever_can_be_written_torch_runs(kind, data):
    schedule = data.draw(TABLE[kind].schedules)
    steps = data.draw(st.integers(1, 80))
    try:
        call = write(schedule, "torch", steps)
    except InputError:
        return
    assert torch_rates(call, steps) == close([schedule(t) for t in range(steps)])


@pytest.mark.parametrize(
    ("schedule", "library", "steps", "call", "lr"),
    [
        (
            ss.Warmup(ss.Cosine(0.1, 0.001, steps=90), steps=9),
            "torch",
            None,
            "SequentialLR(optimizer, schedulers=[LinearLR(optimizer, start_factor=0.1, "
            "end_factor=1.0, total_iters=9), CosineAnnealingLR(optimizer, T_max=90, "
            "eta_min=0.001)], milestones=[9])",
            0.1,
        ),
        (
            ss.Warmup(ss.Linear(0.1, steps=90), steps=10, first="1/W"),
            "torch",
            None,
            "SequentialLR(optimizer, schedulers=[LinearLR(optimizer, start_factor=0.1, "
            "end_factor=1.0, total_iters=9), LinearLR(optimizer, start_factor=1.0, end_factor=0.0, "
            "total_iters=90)], milestones=[10])",
            0.1,
        ),
        (
            ss.Cosine(0.1, steps=50),
            "torch",
            60,
            "SequentialLR(optimizer, schedulers=[CosineAnnealingLR(optimizer, T_max=50, "
            "eta_min=0.0), ConstantLR(optimizer, factor=0.0, total_iters=2147483647)], "
            "milestones=[50])",
            0.1,
        ),
        (
            ss.Step(0.1, every=10) * ss.Exponential(1.0, 0.99),
            "torch",
            None,
            "ChainedScheduler([StepLR(optimizer, step_size=10, gamma=0.1), "
            "ExponentialLR(optimizer, gamma=0.99)], optimizer)",
            0.1,
        ),
        (
            ss.OneCycle(0.1, steps=49, up_fraction=0.29),
            "torch",
            None,
            "OneCycleLR(optimizer, max_lr=0.1, total_steps=50, pct_start=0.3, "
            "anneal_strategy='cos', cycle_momentum=False, div_factor=25.0, "
            "final_div_factor=10000.0, three_phase=False)",
            0.004,
        ),
        (
            ss.Warmup(ss.Cosine(0.1, 0.001, steps=90), steps=9),
            "keras",
            None,
            "CosineDecay(initial_learning_rate=0.01, decay_steps=90, alpha=0.01, "
            "warmup_target=0.1, warmup_steps=9)",
            None,
        ),
        (
            ss.MultiStep(0.1, (0, 10, 10, 30), 0.5),
            "keras",
            None,
            "PiecewiseConstantDecay(boundaries=[9, 29], values=[0.05, 0.0125, 0.00625])",
            None,
        ),
        (
            ss.Points((0, 11, 31), (0.1, 0.03, 0.005), "constant"),
            "keras",
            60,
            "PiecewiseConstantDecay(boundaries=[10, 30], values=[0.1, 0.03, 0.005])",
            None,
        ),
        (
            ss.Warmup(ss.Cosine(0.1, 0.001, steps=90), steps=10, first="0"),
            "optax",
            None,
            "warmup_cosine_decay_schedule(init_value=0.0, peak_value=0.1, warmup_steps=10, "
            "decay_steps=100, end_value=0.001)",
            None,
        ),
        (
            ss.WarmRestarts(0.1, first_steps=10, peak_decay=0.5, warmup_steps=3, cycles=2),
            "optax",
            None,
            "sgdr_schedule(cosine_kwargs=[{'init_value': 0.025, 'peak_value': 0.1, "
            "'warmup_steps': 3, 'decay_steps': 13, 'end_value': 0.0}, {'init_value': 0.0125, "
            "'peak_value': 0.05, 'warmup_steps': 3, 'decay_steps': 13, 'end_value': 0.0}])",
            None,
        ),
        (
            ss.MultiStep(0.1, (10, 30)),
            "timm",
            None,
            "MultiStepLRScheduler(optimizer, decay_t=[11, 31], decay_rate=0.1, t_in_epochs=False)",
            0.1,
        ),
        (
            ss.WarmupStableDecay(0.1, 0.001, 9, 60, 30),
            "timm",
            None,
            "WSDLRScheduler(optimizer, t_initial=90, decay_t=30, lr_min=0.001, decay_fn='1-sqrt', "
            "warmup_t=9, warmup_lr_init=0.01, t_in_epochs=False)",
            0.1,
        ),
        (
            ss.Warmup(ss.Cosine(0.1, 0.001, steps=90), steps=10),
            "transformers",
            None,
            "get_cosine_with_min_lr_schedule_with_warmup_lr_rate(optimizer, num_warmup_steps=11, "
            "num_training_steps=101, min_lr=0.001)",
            0.1,
        ),
        (
            ss.Warmup(ss.Cosine(0.1, steps=90), steps=10, first="0"),
            "transformers",
            150,
            "get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, num_warmup_steps=10, "
            "num_training_steps=100, num_cycles=1)",
            0.1,
        ),
    ],
)
def test_a_call_is_written_as_the_source_it_is(schedule, library, steps, call, lr):
    written = write(schedule, library, steps)
    assert (str(written), written.lr) == (call, lr)


@pytest.mark.parametrize(
    ("schedule", "library", "steps", "said"),
    [
        (
            ss.Cosine(0.1, 0.001, steps=40),
            "torch",
            None,
            "After update 40 torch climbs again, back to 0.1 at update 80; this holds 0.001.",
        ),
        (
            ss.WarmRestarts(0.1, first_steps=10, cycles=3),
            "torch",
            None,
            "After update 30 torch restarts again; this holds 0.",
        ),
        (
            ss.Warmup(ss.Cosine(0.1, steps=40), steps=10, first="0"),
            "transformers",
            None,
            "After update 50 transformers climbs again, back to 0.1 at update 90; this holds 0.",
        ),
        (
            ss.MultiStep(0.1, (10, 30)),
            "timm",
            None,
            "timm drops one early: the milestones [10, 30] are its decay_t [11, 31].",
        ),
    ],
)
def test_what_follows_the_run_is_said(schedule, library, steps, said):
    call = write(schedule, library, steps)
    assert said in call.differences
    if library in ("torch", "transformers"):
        steps = schedule.length
        beyond = read_back(call, 2 * steps)
        assert beyond[steps + 3] != pytest.approx(schedule(steps + 3))


def test_the_end_of_a_one_cycle_is_where_the_difference_says():
    schedule = ss.OneCycle(0.1, steps=50)
    call = write(schedule, "torch")
    assert "torch's total_steps is 51: its end is used by update 50" in call.differences[0]
    rates = torch_rates(call, 51)
    assert rates[50] == close([schedule(50)]).expected[0] == pytest.approx(4e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: write(ss.Cosine(0.1, steps=9), "caffe"), "no bridge to 'caffe'"),
        (lambda: write("cosine(0.1)", "torch"), "schedule must be a schedule"),
        (lambda: write(ss.Cosine(0.1), "torch"), r"schedule\.resolve\(steps=\.\.\."),
        (lambda: write(ss.Repeat(ss.Linear(0.1, steps=9)), "optax"), r"write\(\.\.\., steps="),
        (lambda: write(ss.OneCycle(0.1, steps=50), "torch", 60), "raises an error after its 51"),
        (
            lambda: write(ss.Warmup(ss.Cosine(0.1, steps=9), 9, first="0"), "torch"),
            "refuses start_factor=0",
        ),
        (
            lambda: write(ss.Chain((ss.Cosine(0.1, steps=9), ss.Cosine(0.05, steps=9))), "torch"),
            "begin at 0.05 and 0.1",
        ),
        (
            lambda: write(ss.Repeat(ss.Cosine(0.1, steps=2)), "torch", 1000),
            "more than 200 pieces",
        ),
        (
            lambda: write(ss.WarmRestarts(0.1, first_steps=11, cycles=49), "transformers"),
            "would miss the restart at update 11",
        ),
    ],
)
def test_what_cannot_be_written_says_why(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_lengths_are_resolved_for_the_run():
    call = write(ss.Warmup(ss.Linear(0.1), steps="10%", first="0"), "transformers", 200)
    assert call.kwargs == {"num_warmup_steps": 20, "num_training_steps": 200}


def test_a_name_that_a_version_lacks_is_said():
    call = write(ss.Cosine(0.1, steps=9), "torch")
    with pytest.raises(InputError, match="has no CosineAnnealingLR: it may be too old"):
        call.build(object())
