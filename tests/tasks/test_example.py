"""The example of a task of one's own can be loaded and learns."""

from pathlib import Path

from stepsize.tasks import load, make_task

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_task.py"


def test_the_example_learns(torch):
    with torch.random.fork_rng(devices=[]):
        task = make_task(load(f"{EXAMPLE}:make"), 0)
        again = make_task(load(f"{EXAMPLE}:make"), 0)
    assert torch.equal(task.model[0].weight, again.model[0].weight)
    task.optimizer.param_groups[0]["lr"] = 1e-2
    for _ in range(15):
        for batch in task.train:
            task.optimizer.zero_grad()
            task.loss(task.model, batch).backward()
            task.optimizer.step()
    (batch,) = task.val
    assert task.metrics["accuracy"](task.model, batch) > 0.9


def test_the_example_is_short():
    assert len(EXAMPLE.read_text().splitlines()) < 50
