"""Judge the default rule and all others on recorded curves; write results.md and regret.png.

    python benchmarks/default_rule/run.py [--draws 1000] [--out FOLDER]

Needs curves.json and grid.json beside this file (see make_data.py), matplotlib, and no training.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from pathlib import Path

import picture
import study

import stepsize

HERE = Path(__file__).resolve().parent


def sections(given: study.All, draws: int):
    """The report, part by part, as the parts are ready."""
    yield f"""# The default rule on the curves it was made on

Development data: twelve small workloads and short trainings, on which the rule's constants were
chosen. It is no judgement of the rule; read README.md first.

{datetime.date.today().isoformat()}, stepsize {stepsize.__version__}, Python \
{platform.python_version()}. Command: `python benchmarks/default_rule/run.py --draws {draws}`."""
    yield f"""## Every rule, cosine schedule

Normalised regret at n = 100: 0 is the best rate of the grid, 1 is nothing learned; no answer counts
as 1. Rules read the curve as the default finder leaves it (stopped at its rise, extended beyond 10
while it falls); *uncut*: up to 10 or the first loss that is not finite. `ours, 3 repeats` pools
three of the five seeds, in all ten ways (which overlap, so its spread and extremes are those of
dependent tries); all others read one seed at a time.

{study.by_rule(given)}

![Regret of every rule on every workload](regret.png)"""
    yield f"""## The same under other measures

{study.by_schedule(given)}"""
    yield f"""## Workload by workload (mean regret, cosine)

{study.by_workload(given)}"""
    settings, left_out = study.by_constants()
    yield f"""## The constants

Mean and worst workload (cosine regret). *Forced* takes away the abstentions `flat` and `too_noisy`,
so that only the rate is judged.

{settings}

Leave one workload out: the constants that do best on eleven are judged on the twelfth.

{left_out}"""
    yield f"""## The number of updates

Seeds 0 to 2, cosine regret. *moves*: log10 of the rate against the rate at 100 updates, median
(worst) over workloads.

{study.by_updates()}"""
    yield f"""## Does the interval hold?

Interval of three repeats, widened by sqrt(1 + 3/2) because it is compared with the noisy answer of
the two other seeds instead of the truth. Ten ways of choosing per workload, which overlap.

{study.held_out_seeds()}

Synthetic curves with a known noise-free answer; three repeats of 100 points, Gaussian noise,
{draws // 2} draws. *bias*: mean of log10(suggested / noise-free).

{study.known_truth(draws // 2)}"""
    yield f"""## How often noise is believed

{draws} curves that are nothing but noise.

{study.noise_believed(draws)}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000, help="simulated noise curves per row")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    options = parser.parse_args()
    started = time.perf_counter()
    given = study.answers()
    parts = []
    for part in sections(given, options.draws):
        print(part, end="\n\n", flush=True)
        parts.append(part)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    picture.draw(given, options.out / "regret.png")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
