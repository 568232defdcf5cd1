"""How long does the page of 50 runs of 25,000 updates take to open, and does it stay smooth?

Needs playwright and a browser (chromium, chromium-browser, google-chrome, or STEPSIZE_BROWSER).
Writes results.md beside this file.
"""

import math
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from stepsize.records import Comparison, Evaluation, Run, Standing, Trace
from stepsize.report.compare_html import render

ARMS, SEEDS, EPOCHS, UPDATES, BUCKETS, TIMES = 25, (0, 1), 20, 25_000, 1000, 7
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Counts the time between frames; `stop` returns the longest one in milliseconds.
WATCH = """() => {
  window.frames = [];
  let last = performance.now();
  const tick = (now) => {
    frames.push(now - last);
    last = now;
    window.watch = requestAnimationFrame(tick);
  };
  window.watch = requestAnimationFrame(tick);
}"""
STOP = "() => { cancelAnimationFrame(watch); return frames.slice(1); }"


def comparison():
    """Runs whose losses fall, and their traces."""
    runs, traces = [], {}
    for arm in range(ARMS):
        for seed in SEEDS:
            noise = random.Random(f"{arm} {seed}")
            level = 0.3 + 0.005 * arm
            history = tuple(
                Evaluation(
                    e, e * UPDATES // EPOCHS, values(level + 0.2 / e + noise.gauss(0, 0.004))
                )
                for e in range(1, EPOCHS + 1)
            )
            name = f"schedule {arm}"
            key = f"{name} {seed}"
            text = f"cosine({0.1 + 0.01 * arm}, steps={UPDATES})"
            runs.append(Run(name, text, seed, "finished", UPDATES, UPDATES, history, key))
            traces[key] = trace(noise, level)
    rows = tuple(
        Standing(f"schedule {arm}", "", "worse" if arm else "best", 0.3 + 0.005 * arm, seeds=2)
        for arm in range(ARMS)
    )
    made = Comparison("synthetic", EPOCHS, UPDATES, SEEDS, "val_loss", tuple(runs), rows)
    return made, traces


def values(loss):
    return {"train_loss": loss - 0.05, "val_loss": loss, "val_accuracy": 1 - loss / 3}


def trace(noise, level):
    rates = [0.15 * (1 + math.cos(math.pi * i / BUCKETS)) for i in range(BUCKETS)]
    losses = [level + 2 * math.exp(-i / 8) + noise.gauss(0, 0.03) for i in range(BUCKETS)]
    low, high = [0.6 * loss for loss in losses], [1.7 * loss for loss in losses]
    return Trace(UPDATES // BUCKETS, UPDATES, *map(tuple, (rates, rates, low, losses, high)))


def measure(page, path):
    """Milliseconds: from navigation to charts on the screen, and the frames of each movement."""
    page.goto(path.as_uri())
    page.wait_for_function("() => performance.getEntriesByName('drawn').length")
    opened = page.evaluate("() => performance.getEntriesByName('drawn')[0].startTime")
    box = page.locator(".panel .u-over").first.bounding_box()
    middle = box["y"] + box["height"] / 2

    def at(share):
        return box["x"] + share * box["width"], middle

    def hover():
        for i in range(60):
            page.mouse.move(*at(0.05 + 0.015 * i))

    def drag():
        page.mouse.move(*at(0.3))
        page.mouse.down()
        for i in range(30):
            page.mouse.move(*at(0.3 + 0.015 * i))
        page.mouse.up()
        page.wait_for_timeout(100)
        page.mouse.dblclick(*at(0.5))

    def point_at_names():
        for i in range(12):
            page.locator("#legend li").nth(i).hover()

    return opened, *(frames(page, action) for action in (hover, drag, point_at_names))


def frames(page, action):
    page.evaluate(WATCH)
    action()
    page.wait_for_timeout(150)
    return page.evaluate(STOP)


def main():
    path = os.environ.get("STEPSIZE_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), "")
    if not path:
        sys.exit(f"needs a browser: {', '.join(BROWSERS)}, or a path in STEPSIZE_BROWSER")
    made, traces = comparison()
    start = time.perf_counter()
    text = render(made, traces)
    rendered = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "compare.html"
        file.write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        version = browser.version
        runs = []
        for _ in range(TIMES):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            runs.append(measure(context.new_page(), file))
            context.close()
        browser.close()
    report(runs, len(text.encode()), rendered, version)


def report(runs, size, rendered, version):
    lines = [
        "# The page of a comparison",
        "",
        f"{ARMS} schedules by {len(SEEDS)} seeds of {UPDATES:,} updates, {BUCKETS} buckets each; "
        f"Chromium {version} without a window and without a graphics card, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}; {TIMES} times.",
        "",
        "| what | median | worst |",
        "|---|---|---|",
        f"| size | {size / 1e6:.2f} MB | |",
        f"| written by Python | {rendered:.1f} s | |",
        row("from navigation to all charts drawn", [opened for opened, *_ in runs]),
    ]
    for i, name in enumerate(
        ("moving over a chart", "dragging, zooming, resetting", "pointing at names"), 1
    ):
        lines.append(row(f"longest frame while {name}", [max(run[i]) for run in runs]))
        lines.append(row(f"median frame while {name}", [statistics.median(run[i]) for run in runs]))
    text = "\n".join(lines) + "\n"
    (Path(__file__).parent / "results.md").write_text(text, encoding="utf-8")
    print(text)


def row(name, times):
    return f"| {name} | {statistics.median(times):.0f} ms | {max(times):.0f} ms |"


if __name__ == "__main__":
    main()
