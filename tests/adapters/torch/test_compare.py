"""``compare``: the whole way from a task to a ranking."""

import dataclasses
import functools
import random

import pytest

torch = pytest.importorskip("torch")

import stepsize as ss  # noqa: E402
from stepsize.comparison import Watcher  # noqa: E402
from stepsize.errors import InputError, TaskError  # noqa: E402
from stepsize.store import Store  # noqa: E402
from stepsize.tasks import Task, TensorBatches  # noqa: E402

ARMS = ["constant(0.05)", "cosine(0.05)"]


class Counting(Watcher):
    """Remembers which runs were made."""

    def __init__(self):
        self.made, self.over = [], []

    def planned(self, trials, over):
        self.over.append(over)

    def ended(self, trial, run_id, status, error):
        self.made.append((trial.arm, trial.seed, status))


def line(seed, *, val=True, test=None, loss=None, metrics=None, batches=8, scale=1.0):
    """A line through noisy points."""
    torch.manual_seed(seed)
    model = torch.nn.Linear(3, 1)
    x = torch.randn(batches * 8, 3, generator=torch.Generator().manual_seed(99))
    y = x.sum(dim=1, keepdim=True) * scale

    def mean_squared(model, batch):
        return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

    return Task(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        loss=loss or mean_squared,
        train=TensorBatches(x, y, 8, shuffle=True, seed=seed),
        val=[(x[:16], y[:16])] if val else None,
        metrics=metrics or {},
        test=test,
    )


def make(seed):
    return line(seed)


def numbers(comparison):
    return [dataclasses.replace(run, seconds=0.0) for run in comparison.runs]


def test_a_comparison_of_real_digits(tmp_path):
    arms = ["one_cycle(lr)", "tiny: constant(1e-5)"]
    result = ss.compare("digits", arms, epochs=3, seeds=[0, 1, 2], store=tmp_path / "runs.db")
    assert [(run.arm, run.seed) for run in result.runs] == [
        (arm, seed) for arm in ("one_cycle(lr)", "tiny") for seed in (0, 1, 2)
    ]
    assert all(run.status == "finished" and run.done == 3 * 44 for run in result.runs)
    assert result.best.arm == "one_cycle(lr)"
    assert [row.place for row in result.ranking] == ["best", "worse"]
    low, high = result.ranking[1].difference_ci95
    assert low <= result.ranking[1].difference_to_best <= high
    assert result.best.effort > 0
    assert result.best.rates_from == "find"
    assert result.ranking[1].effort is None
    assert any("equal effort" in note for note in result.notes)
    assert ss.Comparison.from_dict(result.to_dict()) == result


def test_the_same_call_twice_gives_identical_numbers(tmp_path):
    one = ss.compare(make, ARMS, 2, store=tmp_path / "one.db")
    two = ss.compare(make, ARMS, 2, store=tmp_path / "two.db")
    assert numbers(one) == numbers(two)
    assert one.ranking == two.ranking


def test_arms_of_a_seed_start_alike_and_see_the_same_batches(tmp_path):
    ss.compare(make, ARMS, 2, store=tmp_path / "runs.db")
    with Store(tmp_path / "runs.db") as store:
        runs = store.runs()
        facts = {(run.definition["seed"], run.facts["initial_weights"]) for run in runs}
        orders = {(run.definition["seed"], run.facts["batches"]) for run in runs}
    assert len(runs) == 6
    assert len(facts) == len(orders) == 3


def test_arms_that_are_not_paired_are_told():
    drawn = random.Random(0)

    def unseeded(seed):
        task = line(seed)
        with torch.no_grad():
            task.model.weight.fill_(drawn.random())
        return task

    result = ss.compare(unseeded, ARMS, 1, store=None)
    assert any("different weights" in note for note in result.notes)


def test_finished_runs_are_kept_and_only_new_ones_are_made(tmp_path):
    store = tmp_path / "runs.db"
    first = ss.compare(make, ARMS, 2, store=store)
    again = Counting()
    assert ss.compare(make, ARMS, 2, store=store, watchers=[again]) == first
    assert (again.made, again.over) == ([], [6])
    more = Counting()
    ss.compare(make, [*ARMS, "linear(0.05)"], 2, store=store, watchers=[more])
    assert {arm for arm, _, _ in more.made} == {"linear(0.05)"}
    with Store(store) as opened:
        assert len(opened.comparisons()) == 2
        assert len(opened.runs()) == 9


def test_a_task_whose_validation_is_shuffled_is_known_again(tmp_path):
    def shuffled(seed):
        task = line(seed)
        val = torch.utils.data.DataLoader(list(task.val[0][0]), batch_size=4, shuffle=True)
        return dataclasses.replace(
            task, val=val, loss=lambda model, batch: model(batch[..., :3]).square().mean(),
            train=[x for x, _ in task.train],
        )  # fmt: skip

    store, seen = tmp_path / "runs.db", Counting()
    torch.manual_seed(1)
    ss.compare(shuffled, ARMS, 1, 0, store=store)
    torch.manual_seed(2)
    ss.compare(shuffled, ARMS, 1, 0, store=store, watchers=[seen])
    assert seen.made == []


def test_more_seeds_later_make_only_the_new_runs(tmp_path):
    store, seen = tmp_path / "runs.db", Counting()
    ss.compare(make, ARMS, 1, [0, 1], store=store)
    ss.compare(make, ARMS, 1, [3, 1, 2], store=store, watchers=[seen])
    assert {seed for _, seed, _ in seen.made} == {2, 3}


def test_a_task_that_was_edited_is_another_task(tmp_path):
    def other(factor):
        return lambda seed: line(seed, scale=factor)

    store, seen = tmp_path / "runs.db", Counting()
    ss.compare(other(1.0), ARMS, 1, 0, store=store)
    ss.compare(other(2.0), ARMS, 1, 0, store=store, watchers=[seen])
    assert len(seen.made) == 2


class Made:
    """A callable object that makes the task."""

    def __init__(self, noise):
        self.noise = noise

    def __call__(self, seed):
        return line(seed, scale=1.0 + self.noise)

    def method(self, seed):
        return self(seed)


def closing_over(value):
    def inner(seed):
        return line(seed, scale=1.0 + float(value[0]))

    return inner


def by_default(noise):
    def inner(seed, noise=noise):
        return line(seed, scale=1.0 + noise)

    return inner


FORMS = {
    "object": Made,
    "method": lambda noise: Made(noise).method,
    "partial": lambda noise: functools.partial(lambda noise, seed: Made(noise)(seed), noise),
    "list": lambda noise: closing_over([noise]),
    "array": lambda noise: closing_over(torch.full((5000,), noise)),
    "default": by_default,
}


@pytest.mark.parametrize("form", FORMS)
def test_another_task_never_gets_the_runs_of_this_one(tmp_path, form):
    """The weights and the length are the same; what is trained on is not."""
    store, seen = tmp_path / "runs.db", Counting()
    first = ss.compare(FORMS[form](0.0), ARMS, 1, 0, store=store)
    other = ss.compare(FORMS[form](0.5), ARMS, 1, 0, store=store, watchers=[seen])
    assert len(seen.made) == 2
    assert numbers(first) != numbers(other)
    again = Counting()
    ss.compare(FORMS[form](0.0), ARMS, 1, 0, store=store, watchers=[again])
    assert again.made == []


def test_arms_with_tasks_of_their_own_are_runs_of_their_own():
    arms = [ss.Arm("constant(0.05)", name="b", task=Made(0.5)), "a: constant(0.05)"]
    both = ss.compare(Made(0.0), arms, 2, 0, store=None)
    alone = ss.compare(Made(0.0), arms[1:], 2, 0, store=None)
    assert both.of("a")[0].final == alone.of("a")[0].final != both.of("b")[0].final


def test_the_users_random_states_are_untouched():
    torch.manual_seed(5)
    random.seed(5)
    expected = (torch.rand(3).tolist(), random.random())
    torch.manual_seed(5)
    random.seed(5)
    ss.compare(make, ARMS, 1, store=None)
    assert (torch.rand(3).tolist(), random.random()) == expected


def test_divergence_is_a_result():
    result = ss.compare(make, ["good: constant(0.05)", "bad: constant(1e9)"], 12, store=None)
    assert [row.place for row in result.ranking] == ["best", "diverged"]
    bad = result.of("bad")
    assert all(run.status == "diverged" and "update" in run.error for run in bad)
    assert all(run.done < run.updates for run in bad)


def test_a_task_that_raises_in_one_run_spoils_only_that(tmp_path):
    def breaking(seed):
        left = [20 if seed == 1 else 10_000]

        def loss(model, batch):
            left[0] -= 1
            if not left[0]:
                raise ValueError("a broken picture")
            return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

        return line(seed, loss=loss)

    result = ss.compare(breaking, ARMS, 3, store=tmp_path / "runs.db")
    assert [run.status for run in result.of(ARMS[0])] == ["finished", "failed", "finished"]
    assert "a broken picture" in result.of(ARMS[0])[1].error
    assert {row.place for row in result.ranking} == {"incomplete"}
    assert result.best is None


def test_the_test_set_is_read_once_and_for_the_chosen_arm_alone(tmp_path):
    reads = []

    class Held:
        def __iter__(self):
            reads.append(1)
            x = torch.ones(4, 3)
            return iter([(x, x.sum(dim=1, keepdim=True))])

    def held(seed):
        return line(seed, test=Held())

    store = tmp_path / "runs.db"
    arms = ["good: constant(0.05)", "slow: constant(1e-6)"]
    first = ss.compare(held, arms, 2, store=store)
    assert len(reads) == 3  # one seed's weights after the other
    assert first.test["arm"] == "good"
    assert sorted(first.test["seeds"]) == ["0", "1", "2"]
    assert ss.compare(held, arms, 2, store=store).test == first.test
    assert len(reads) == 3
    ss.compare(held, arms, 3, store=store, test=False)
    assert len(reads) == 3


@pytest.mark.parametrize("wrong", ["raises", "nan", "exits"])
def test_a_test_set_that_cannot_be_read_is_a_remark(tmp_path, wrong):
    class Held:
        def __iter__(self):
            if wrong == "raises":
                raise FileNotFoundError("test.csv")
            x = torch.full((4, 3), float("nan"))
            return iter([(x, x.sum(dim=1, keepdim=True))])

    def held(seed):
        return line(seed, test=Held() if wrong != "exits" else Exits())

    class Exits:
        def __iter__(self):
            raise SystemExit(3)

    for _ in range(2):
        result = ss.compare(held, ARMS, 2, store=tmp_path / "runs.db")
        assert result.best is not None
        assert result.test == {}
        assert any("test set" in note for note in result.notes)


def test_a_watcher_that_raises_spoils_nothing():
    class Broken(Watcher):
        def evaluated(self, trial, run_id, evaluation):
            raise ValueError("a bug of the watcher's")

    with pytest.warns(UserWarning, match="a bug of the watcher's"):
        result = ss.compare(make, ARMS, 1, store=None, watchers=[Broken()])
    assert all(run.status == "finished" for run in result.runs)


def test_a_task_that_exits_spoils_only_its_run():
    def exiting(model, batch):
        raise SystemExit(0)

    def leaving(seed):
        return line(seed, loss=exiting if seed == 1 else None)

    result = ss.compare(leaving, ARMS, 1, store=None)
    assert [run.status for run in result.of(ARMS[0])] == ["finished", "failed", "finished"]


def test_an_arm_whose_rates_all_fail_in_tuning_goes_on_and_ranks_last():
    arms = ["hot: constant(1e30)", "good: constant(0.05)"]
    result = ss.compare(make, arms, 12, store=None, rate_factors=(0.5, 1))
    assert [row.place for row in result.ranking] == ["best", "diverged"]
    assert "none" in result.ranking[1].rates_from


def test_all_arms_diverged_is_told_as_it_is():
    result = ss.compare(make, ["hot: constant(1e30)"], 12, store=None)
    assert [row.place for row in result.ranking] == ["diverged"]
    assert result.store == ""


def test_rates_are_tuned_with_equal_effort_and_other_seeds(tmp_path):
    store = tmp_path / "runs.db"
    arms = ["low: constant(0.001)", "high: constant(0.1)"]
    result = ss.compare(make, arms, 2, store=store, rate_factors=(0.1, 1, 10), tuning_seeds=(7, 8))
    by_arm = {row.arm: row for row in result.ranking}
    assert "10" in by_arm["low"].schedule
    assert {row.effort for row in result.ranking} == {3 * 2 * 16}
    assert result.notes == ()
    assert {run.seed for run in result.runs} == {0, 1, 2}


def test_an_arm_may_have_a_task_of_its_own():
    def adam(seed):
        task = line(seed)
        return dataclasses.replace(task, optimizer=torch.optim.Adam(task.model.parameters()))

    arms = ["constant(0.05)", ss.Arm("constant(0.001)", name="Adam", task=adam)]
    result = ss.compare(make, arms, 2, store=None)
    assert {row.arm for row in result.ranking} == {"constant(0.05)", "Adam"}
    short = ss.Arm("constant(0.001)", name="short", task=lambda seed: line(seed, batches=4))
    with pytest.raises(InputError, match="budget"):
        ss.compare(make, [short, "constant(0.05)"], 2, store=None)


def test_ranked_by_another_metric_more_is_better_where_it_is():
    def accuracy(model, batch):
        return float(((model(batch[0]) - batch[1]).abs() < 0.5).float().mean())

    def measured(seed):
        return line(seed, metrics={"accuracy": accuracy})

    arms = ["good: constant(0.05)", "slow: constant(1e-6)"]
    result = ss.compare(measured, arms, 4, store=None, metric="val_accuracy")
    assert result.best.arm == "good"
    assert result.ranking[0].mean > result.ranking[1].mean


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"epochs": None}, "epochs"),
        ({"schedules": ["cosin(0.1)"]}, "cosine"),
        ({"schedules": ["cosine(0.1, steps=3)"]}, "length"),
        ({"schedules": []}, "at least one"),
        ({"metric": "val_acc"}, "val_loss"),
        ({"seeds": []}, "seeds"),
        ({"metric": "train_loss"}, "val_loss"),
    ],
)
def test_bad_input_is_told_before_anything_is_trained(tmp_path, wrong, match):
    arguments = {"schedules": ARMS, "epochs": 1, "store": tmp_path / "runs.db", **wrong}
    with pytest.raises(InputError, match=match):
        ss.compare(make, **arguments)
    with Store(tmp_path / "runs.db") as store:
        assert store.runs() == []


def test_a_task_without_validation_is_refused():
    with pytest.raises(TaskError, match="validation"):
        ss.compare(lambda seed: line(seed, val=False), ARMS, 1, store=None)


def test_a_found_rate_that_cannot_be_found_is_told():
    def flat(seed):
        return line(seed, loss=lambda model, batch: 0.0 * model(batch[0]).mean() + 1.0)

    with pytest.raises(InputError, match="abstained"):
        ss.compare(flat, ["cosine(lr)"], 1, store=None)


def test_a_study_brings_its_arms_and_budget(tmp_path):
    study = ss.Study("mine", "one line", "digits", (ss.Arm("cosine(0.1)"),), epochs=1, seeds=(3,))
    result = ss.compare(study, store=tmp_path / "runs.db")
    assert (result.name, result.arms, result.epochs, result.seeds) == (
        "mine", ("cosine(0.1)",), 1, (3,),
    )  # fmt: skip
    assert ss.compare(study, epochs=2, store=tmp_path / "runs.db").epochs == 2
