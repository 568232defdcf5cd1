// Draws the two charts of a find report with uPlot. All decisions (ranges, ticks, rows of marks)
// were made in Python, so that this picture and the PNG agree; see find_view.py.
"use strict";
(() => {
  const { FONT, CHARACTER, colour, short, axis, sideways } = page;
  const data = page.data("find");
  const ROW = 17; // pixels: one row of rule marks

  function pen(u) {
    const ctx = u.ctx;
    const scale = uPlot.pxRatio;
    return {
      ctx,
      px: scale,
      x: (value) => u.valToPos(value, "x", true),
      y: (value) => u.valToPos(value, "y", true),
      box: u.bbox,
      font: (size, weight = "") => (ctx.font = `${weight} ${size * scale}px ${FONT}`),
    };
  }

  // Everything drawn by hand stays inside the panel unless `inside` is false.
  function onCanvas(u, draw, inside = true) {
    const p = pen(u);
    p.ctx.save();
    if (inside) {
      p.ctx.beginPath();
      p.ctx.rect(p.box.left, p.box.top, p.box.width, p.box.height);
      p.ctx.clip();
    }
    draw(p);
    p.ctx.restore();
  }

  function hatch({ ctx, px, box }, left, right) {
    if (right <= left) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, box.top, right - left, box.height);
    ctx.clip();
    ctx.fillStyle = colour("lost");
    ctx.fillRect(left, box.top, right - left, box.height);
    ctx.strokeStyle = colour("hatch");
    ctx.lineWidth = px;
    ctx.beginPath();
    for (let at = left - box.height; at < right; at += 11 * px) {
      ctx.moveTo(at, box.top + box.height);
      ctx.lineTo(at + box.height, box.top);
    }
    ctx.stroke();
    ctx.restore();
  }

  function label(p, text, x, y, { size = 12, weight = "", align = "left", ink = "ink", paper = "paper", turn = 0 }) {
    const { ctx, px } = p;
    ctx.save();
    p.font(size, weight);
    ctx.translate(x, y);
    ctx.rotate(turn);
    ctx.textAlign = align;
    ctx.textBaseline = "middle";
    const width = ctx.measureText(text).width;
    const start = align === "left" ? 0 : align === "right" ? -width : -width / 2;
    if (paper) {
      ctx.globalAlpha = 0.85;
      ctx.fillStyle = colour(paper);
      ctx.fillRect(start - 3 * px, -0.65 * size * px, width + 6 * px, 1.3 * size * px);
      ctx.globalAlpha = 1;
    }
    ctx.fillStyle = colour(ink);
    ctx.fillText(text, 0, 0);
    ctx.restore();
    return width;
  }

  function stroke({ ctx, px }, points, ink, width) {
    ctx.strokeStyle = colour(ink);
    ctx.lineWidth = width * px;
    ctx.beginPath();
    points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
    ctx.stroke();
  }

  function shape({ ctx, px }, corners, x, y, fill, edge) {
    ctx.beginPath();
    corners.forEach(([dx, dy], i) => (i ? ctx.lineTo(x + dx * px, y + dy * px) : ctx.moveTo(x + dx * px, y + dy * px)));
    ctx.closePath();
    ctx.fillStyle = colour(fill);
    ctx.fill();
    if (edge) {
      ctx.strokeStyle = colour(edge);
      ctx.lineWidth = 1.2 * px;
      ctx.stroke();
    }
  }
  const UP = [[-3, 2.5], [3, 2.5], [0, -2.5]];
  const DOWN = [[-4, -3], [4, -3], [0, 3]];
  const DIAMOND = [[0, -4.5], [4.5, 0], [0, 4.5], [-4.5, 0]];

  function lossBackground(u) {
    onCanvas(u, (p) => {
      const { ctx, box } = p;
      if (data.divergesFrom !== null) hatch(p, p.x(data.divergesFrom), box.left + box.width);
      if (data.interval) {
        ctx.fillStyle = colour("band");
        const [low, high] = data.interval.map(p.x);
        ctx.fillRect(low, box.top, high - low, box.height);
      }
      if (data.lr !== null) {
        stroke(p, [[p.x(data.lr), box.top], [p.x(data.lr), box.top + box.height]], "answer", 2);
      }
    });
  }

  function lossForeground(u) {
    onCanvas(u, (p) => {
      const { box, px } = p;
      const bottom = box.top + box.height;
      data.above.forEach((rate) => shape(p, UP, p.x(rate), box.top + 6 * px, "soft"));
      data.below.forEach((rate) => shape(p, UP.map(([x, y]) => [x, -y]), p.x(rate), bottom - 6 * px, "soft"));
      data.marks.forEach(({ rate, height }) => {
        if (height !== null) shape(p, DIAMOND, p.x(rate), p.y(height), "paper", "ink");
      });
      if (data.divergesFrom !== null) divergesWord(p);
      if (data.empty) label(p, data.empty, box.left + 0.3 * box.width, box.top + 0.45 * box.height, { size: 14, align: "center" });
      if (data.clr) bracket(p, bottom);
      if (data.lr !== null) answer(p);
    });
    onCanvas(u, (p) => ruleMarks(p, u.marks), false);
  }

  function divergesWord(p) {
    const left = p.x(data.divergesFrom);
    const right = p.box.left + p.box.width;
    const turn = right - left > 80 * p.px ? 0 : -Math.PI / 2;
    label(p, "diverges", (left + right) / 2, p.box.top + 0.62 * p.box.height, { size: 13, align: "center", paper: "lost", turn });
  }

  function bracket(p, bottom) {
    const [low, high] = data.clr.map(p.x);
    const at = bottom - 14 * p.px;
    stroke(p, [[low, at], [high, at]], "ink", 1.3);
    [low, high].forEach((x) => stroke(p, [[x, at - 5 * p.px], [x, at + 5 * p.px]], "ink", 1.3));
    p.font(12);
    const half = p.ctx.measureText(data.clrLabel).width / 2 + 4 * p.px;
    const middle = Math.min(Math.max((low + high) / 2, p.box.left + half), p.box.left + p.box.width - half);
    label(p, data.clrLabel, middle, at - 14 * p.px, { align: "center" });
  }

  function answer(p) {
    const height = data.lrHeight;
    if (height !== null) {
      const { ctx, px } = p;
      ctx.beginPath();
      ctx.arc(p.x(data.lr), p.y(height), 5.5 * px, 0, 2 * Math.PI);
      ctx.fillStyle = colour("answer");
      ctx.fill();
      ctx.strokeStyle = colour("paper");
      ctx.lineWidth = 1.5 * px;
      ctx.stroke();
    }
    const [low, high] = (data.interval || [data.lr, data.lr]).map(p.x);
    const size = p.box.width > 500 * p.px ? 17 : 14;
    p.font(size, "bold");
    const toLeft = low - p.box.left > p.ctx.measureText(data.answer).width + 14 * p.px;
    label(p, data.answer, toLeft ? low - 9 * p.px : high + 9 * p.px, p.box.top + 22 * p.px, { size, weight: "bold", align: toLeft ? "right" : "left" });
  }

  function ruleMarks(p, marks) {
    const { box, px } = p;
    const height = (row) => box.top - (11 + ROW * row) * px;
    if (marks.length) label(p, data.caption, box.left, height(0), { ink: "soft", paper: null });
    marks.forEach(({ rate, row }) => {
      stroke(p, [[p.x(rate), box.top], [p.x(rate), height(row)]], "hatch", 1);
    });
    marks.forEach(({ rate, row, left, label: text }) => {
      const x = p.x(rate);
      shape(p, DOWN, x, height(row), "soft");
      label(p, text, x + (left ? -9 : 9) * px, height(row), { align: left ? "right" : "left", ink: "soft" });
    });
  }

  // Every n-th tick, so that each has room for its text.
  function thinned(ticks, width) {
    const longest = Math.max(1, ...ticks.map(([, text]) => text.length));
    const stride = Math.max(1, Math.ceil((ticks.length * (longest * CHARACTER + 8)) / width));
    return ticks.filter((_, i) => i % stride === 0);
  }

  // Pointing, tapping or the arrow keys move the cursor; the line above the chart says what is there.
  function reading(chart, readout, count, describe) {
    const element = document.getElementById(readout);
    element.hidden = false;
    const rest = count ? "Point at the chart, or use the arrow keys, to read values." : "";
    const show = (u) => {
      const i = u.cursor.idx;
      element.replaceChildren();
      if (i === null || i === undefined) return element.append(rest);
      describe(i).forEach(([name, value], k) => {
        const strong = document.createElement("b");
        strong.textContent = value;
        element.append(k ? " · " : "", name + " ", strong);
      });
    };
    element.textContent = rest;
    return show;
  }

  function keys(element, current) {
    element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const u = current();
      if (!step || !u || !u.data[0].length) return;
      event.preventDefault();
      const last = u.data[0].length - 1;
      const idx = Math.min(last, Math.max(0, (u.cursor.idx ?? (step > 0 ? -1 : last + 1)) + step));
      u.setCursor({ left: u.valToPos(u.data[0][idx], "x"), top: 10 });
    });
  }

  const base = (width, height, axes, show) => ({
    width,
    height,
    axes,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    hooks: { setCursor: [show] },
  });

  function lossChart(element, show) {
    const width = element.clientWidth;
    const left = sideways(data.yTicks);
    const columns = (width - left.size - 40) / CHARACTER;
    const layout = data.layouts.filter((one) => one.columns <= columns).pop() || data.layouts[0];
    const rows = Math.max(0, ...layout.marks.map((mark) => mark.row + 1));
    const top = 8 + ROW * rows;
    const points = { show: true, size: data.rates.length > 300 ? 3 : 5, width: 0, fill: colour("point") + "99" };
    const options = base(width, (width < 600 ? 300 : 420) + top, [
      axis(thinned(data.xTicks, width - left.size - 60), "learning rate (logarithmic)", { size: 30 }),
      axis(data.yTicks, data.yLabel, left),
    ], show);
    options.padding = [top, 14, 0, 0];
    options.scales = {
      x: { time: false, distr: 3, range: () => data.x },
      y: { range: () => data.y },
    };
    options.series = [
      {},
      ...data.repeats.map(() => ({ stroke: colour("point") + "66", width: 1, points: { show: false } })),
      { paths: () => null, stroke: colour("point"), points },
      { stroke: colour("line"), width: 3, points: { show: false } },
    ];
    options.hooks.drawClear = [lossBackground];
    options.hooks.draw = [lossForeground];
    options.hooks.init = [(u) => (u.marks = layout.marks)];
    return new uPlot(options, [data.rates, ...data.repeats, data.losses, data.line], element);
  }

  function ladderChart(element, show) {
    const width = element.clientWidth;
    const left = sideways(data.ladderRateTicks);
    const options = base(width, 200, [
      axis(thinned(data.ladderTicks, width - left.size - 60), "update", { size: 30 }),
      axis(data.ladderRateTicks, "learning rate", left),
    ], show);
    options.padding = [8, 14, 0, 0];
    options.scales = {
      x: { time: false, range: () => [0, Math.max(1, data.feet[data.feet.length - 1] || 0)] },
      y: { distr: 3, range: () => data.x },
    };
    options.series = [
      {},
      { stroke: colour("line"), width: 2, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) },
    ];
    options.hooks.drawClear = [(u) => onCanvas(u, (p) => {
      const { ctx, box } = p;
      if (data.lostUpdate !== null) hatch(p, p.x(data.lostUpdate), box.left + box.width);
      if (data.interval) {
        ctx.fillStyle = colour("band");
        const [low, high] = data.interval.map(p.y);
        ctx.fillRect(box.left, high, box.width, low - high);
      }
      if (data.lr !== null) stroke(p, [[box.left, p.y(data.lr)], [box.left + box.width, p.y(data.lr)]], "answer", 2);
    })];
    return new uPlot(options, [data.feet, data.ladder], element);
  }

  function live(id, make, readout, count, describe) {
    const element = document.getElementById(id);
    const show = reading(element, readout, count, describe);
    let chart = null;
    let width = 0;
    const draw = () => {
      if (chart) chart.destroy();
      element.replaceChildren();
      width = element.clientWidth;
      chart = make(element, show);
    };
    draw();
    keys(element, () => chart);
    new ResizeObserver(() => element.clientWidth !== width && requestAnimationFrame(draw)).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }

  live("loss-chart", lossChart, "loss-readout", data.rates.length, (i) => [
    ["rate", short(data.rates[i], 3)],
    ["loss", data.losses[i] === null ? "diverged" : short(data.losses[i])],
    ["smoothed", short(data.line[i])],
  ]);
  live("ladder-chart", ladderChart, "ladder-readout", data.feet.length, (i) => [
    ["from update", String(data.feet[i])],
    ["rate", short(data.ladder[i], 3)],
  ]);
})();
