// One chart of a comparison. uPlot makes the axes; lines and bands are drawn here, so that all charts
// can follow one state: `board` has data, hidden, focus, zoom, cursor, every, log.
"use strict";
const LEFT = 58; // pixels: the same room beside every chart, so that charts above each other agree

class Chart {
  constructor(board, spec, figure) {
    this.board = board;
    this.spec = spec;
    this.figure = figure;
    this.chart = figure.querySelector(".chart");
    this.note = figure.querySelector(".note");
    this.all = curves.read(spec);
    this.levels = new Map([[1, this.all]]);
    this.level = this.all;
    this.by = 1;
    this.plot = null;
  }

  // ---- what is shown -------------------------------------------------------------------------

  get window() {
    return this.board.zoom || [0, this.board.data.updates];
  }

  get log() {
    const { toggle, axis } = this.spec;
    return toggle && this.board.log[toggle] !== null ? this.board.log[toggle] : axis.log;
  }

  get visible() {
    return this.level.arms.flatMap((arm, i) => (arm && !this.board.hidden.has(i) ? [i] : []));
  }

  x(i) {
    return this.level.arms[i].x || this.level.x;
  }

  // Training losses are joined until about two pixels are left for each point.
  chooseLevel(width) {
    if (this.spec.kind !== "buckets") return;
    const [from, to] = this.window;
    const room = Math.max(40, (width - LEFT) / 2);
    const shown = (to - from) / this.spec.width;
    this.by = 1;
    while (shown / this.by > room) this.by *= 2;
    if (!this.levels.has(this.by)) this.levels.set(this.by, curves.joined(this.spec, this.all, this.by));
    this.level = this.levels.get(this.by);
  }

  columns(i) {
    const arm = this.level.arms[i];
    const bands = this.spec.kind !== "buckets" && arm.low ? [arm.low, arm.high] : [];
    const runs = this.board.every ? arm.runs : this.untold(arm);
    return [arm.mean, ...bands, ...runs.map((run) => run.values)];
  }

  // Runs that the mean does not tell of: it stops where one of them did.
  untold(arm) {
    return arm.runs.filter((run) => run.lost || run.values.some((v, k) => v === v && arm.mean[k] !== arm.mean[k]));
  }

  // Brings the level and the vertical axis up to date; to call before the plot asks for them.
  measure() {
    this.chooseLevel(this.width);
    this.ends = this.range();
  }

  // The vertical axis: the one decided in Python for the whole run, else what fits the curves.
  range() {
    const { low, high, log } = this.spec.axis;
    const [from, to] = this.window;
    const floor = this.log ? 0 : -Infinity;
    const fit = (arms) => arms
      .map((i) => curves.extent(this.x(i), this.columns(i), from, to, floor))
      .reduce((a, b) => (a && b ? [Math.min(a[0], b[0]), Math.max(a[1], b[1])] : a || b), null);
    const visible = this.visible;
    const home = visible.filter((i) => {
      const ends = curves.extent(this.x(i), [this.level.arms[i].mean], from, to, floor);
      return ends && ends[1] >= low && ends[0] <= high;
    });
    this.empty = !fit(visible);
    const whole = !this.board.zoom && (home.length > 0 || this.empty);
    if (whole && log === this.log) return [low, high];
    const ends = fit(home.length ? home : visible) || [low, high];
    if (this.log) return this.logRange(whole ? [Math.max(ends[0], low), high] : ends);
    if (whole) return [this.spec.kind === "rates" ? 0 : low, high];
    const room = 0.06 * (ends[1] - ends[0]) || 0.05 * Math.abs(ends[1]) || 0.5;
    return [ends[0] - room, ends[1] + room];
  }

  logRange([low, high]) {
    low = Math.max(low, high / 1e5);
    const room = (high / low) ** 0.06 * 1.01;
    return [low / room, high * room];
  }

  // ---- drawing -------------------------------------------------------------------------------

  build() {
    if (this.plot) this.plot.destroy();
    this.chart.replaceChildren();
    const width = this.chart.clientWidth;
    this.width = width;
    const main = this.figure.classList.contains("main");
    const height = main ? (width < 560 ? 270 : 330) : width < 330 ? 210 : 240;
    this.measure();
    this.plot = new uPlot({
      width,
      height,
      padding: [8, 20, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: () => this.window },
        y: { distr: this.log ? 3 : 1, range: () => this.ends },
      },
      axes: [this.xAxis(), this.yAxis()],
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: { draw: [() => this.paint()] },
    }, [[0, this.board.data.updates], [null, null]], this.chart);
    this.say();
  }

  // After a zoom or a change of what is visible.
  scale() {
    this.measure();
    this.plot.setData(this.plot.data);
    this.say();
  }

  redraw() {
    this.plot.redraw(false);
  }

  xAxis() {
    const epochs = this.spec.kind === "epochs";
    const unit = epochs ? this.board.data.updates / this.board.data.epochs : 1;
    const write = (v) => Math.abs(Math.round(v)).toLocaleString("en");
    const places = () => {
      const [from, to] = this.window.map((v) => v / unit);
      const most = Math.min(11, Math.ceil((this.width - LEFT) / (epochs ? 44 : 70)));
      return curves.ticks(from, to, most, write).filter(([v]) => Math.abs(v - Math.round(v)) < 1e-6);
    };
    return page.axis([], epochs ? "epoch" : "update", {
      size: 28,
      splits: () => places().map(([v]) => v * unit),
      values: () => places().map(([, text]) => text),
    });
  }

  yAxis() {
    const places = () => {
      const [low, high] = this.ends;
      const { axis } = this.spec;
      if (low === axis.low && high === axis.high && this.log === axis.log) return axis.ticks;
      return this.log ? curves.logTicks(low, high, 6) : curves.ticks(low, high, 7);
    };
    return page.axis([], null, {
      size: LEFT,
      splits: () => places().map(([v]) => v),
      values: () => places().map(([, text]) => text),
    });
  }

  paint() {
    const { ctx, bbox: box } = this.plot;
    const px = uPlot.pxRatio;
    const pen = {
      ctx,
      px,
      x: (v) => this.plot.valToPos(v, "x", true),
      y: (v) => this.plot.valToPos(this.log && v <= 0 ? Number.MIN_VALUE : v, "y", true),
    };
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.left, box.top, box.width, box.height);
    ctx.clip();
    ctx.lineJoin = "round";
    const { focus } = this.board;
    const order = this.visible.reverse().sort((a, b) => (a === focus) - (b === focus));
    order.forEach((i) => this.paintArm(pen, i, focus !== null && focus !== i));
    ctx.restore();
    ctx.save();
    order.forEach((i) => this.paintEnds(pen, i, box));
    if (this.empty) this.paintEmpty(box, px);
    ctx.restore();
  }

  paintArm(pen, i, faded) {
    const { ctx } = pen;
    const arm = this.level.arms[i];
    const style = this.board.data.arms[i];
    const focused = this.board.focus === i;
    const colour = this.board.colour(i);
    const width = (focused ? 2.8 : style.strong ? 2 : 1.4) * (this.spec.kind === "buckets" ? 0.8 : 1);
    const line = (values, w, alpha = 1) => {
      ctx.globalAlpha = faded ? 0.12 : alpha;
      ctx.strokeStyle = ctx.fillStyle = colour;
      ctx.lineWidth = w * pen.px;
      ctx.setLineDash(style.dash.map((part) => part * w * pen.px));
      this.stroke(pen, this.x(i), values, w);
    };
    if (arm.low && this.spec.kind !== "rates" && this.bandShown(focused) && !faded) {
      ctx.globalAlpha = focused || this.visible.length === 1 ? 0.25 : style.strong ? 0.15 : 0.07;
      ctx.fillStyle = colour;
      this.fill(pen, this.x(i), arm);
    }
    if (this.spec.kind === "rates") return arm.low ? this.strokeRange(pen, arm, line, width) : line(arm.mean, width);
    const single = arm.runs.length < 2;
    if (this.board.every && !single) arm.runs.forEach((run) => line(run.values, 0.55 * width, 0.75));
    else this.untold(arm).forEach((run) => line(run.values, 0.5 * width));
    if (!this.board.every || single) line(arm.mean, width);
  }

  // Bands of single updates are wide: one at a time. Those of epochs give way to the seeds.
  bandShown(focused) {
    if (this.spec.kind === "buckets") return focused || this.visible.length === 1;
    return !this.board.every;
  }

  stroke({ ctx, px, x, y }, xs, values, width) {
    const [first, last] = this.inside(xs);
    let open = false;
    ctx.beginPath();
    for (let k = first; k <= last; k++) {
      const v = values[k];
      if (v !== v) {
        open = false;
        continue;
      }
      if (open) ctx.lineTo(x(xs[k]), y(v));
      else ctx.moveTo(x(xs[k]), y(v));
      const alone = !open && !(values[k + 1] === values[k + 1] && k < values.length - 1);
      if (alone) ctx.fillRect(x(xs[k]) - (width + 1) * px, y(v) - (width + 1) * px, 2 * (width + 1) * px, 2 * (width + 1) * px);
      open = true;
    }
    ctx.stroke();
  }

  // Rates in buckets: up and down between the lowest and the highest of each, so that no restart
  // is lost.
  strokeRange(pen, arm, line, width) {
    const values = new Float64Array(2 * arm.low.length);
    const xs = new Float64Array(values.length);
    for (let k = 0; k < arm.low.length; k++) {
      const before = k ? values[2 * k - 1] : arm.high[0];
      const down = Math.abs(before - arm.high[k]) <= Math.abs(before - arm.low[k]);
      values[2 * k] = down ? arm.high[k] : arm.low[k];
      values[2 * k + 1] = down ? arm.low[k] : arm.high[k];
      xs[2 * k] = xs[2 * k + 1] = arm.x[k];
    }
    const x = this.x;
    this.x = () => xs;
    line(values, width);
    this.x = x;
  }

  fill({ ctx, x, y }, xs, arm) {
    const [first, last] = this.inside(xs);
    for (let k = first; k <= last; k++) {
      if (arm.low[k] !== arm.low[k]) continue;
      const start = k;
      ctx.beginPath();
      for (; k <= last && arm.low[k] === arm.low[k]; k++) ctx.lineTo(x(xs[k]), y(arm.low[k]));
      for (let back = k - 1; back >= start; back--) ctx.lineTo(x(xs[back]), y(arm.high[back]));
      ctx.fill();
    }
  }

  // The points in the window and one more on either side.
  inside(xs) {
    const [from, to] = this.window;
    return [Math.max(0, curves.nearest(xs, from) - 1), Math.min(xs.length - 1, curves.nearest(xs, to) + 1)];
  }

  // A cross where a run diverged, at the edge of the picture if it left it.
  paintEnds({ ctx, px, x, y }, i, box) {
    const arm = this.level.arms[i];
    arm.runs.filter((run) => run.lost).forEach((run) => {
      const last = run.values.findLastIndex((v) => v === v);
      const [from, to] = this.window;
      const xs = this.x(i);
      if (last < 0 || xs[last] < from || xs[last] > to) return;
      const at = Math.min(Math.max(y(run.values[last]), box.top), box.top + box.height);
      ctx.strokeStyle = this.board.colour(i);
      ctx.lineWidth = 1.8 * px;
      ctx.globalAlpha = this.board.focus === null || this.board.focus === i ? 1 : 0.12;
      ctx.beginPath();
      [[-1, -1, 1, 1], [-1, 1, 1, -1]].forEach(([a, b, c, d]) => {
        ctx.moveTo(x(xs[last]) + 4 * a * px, at + 4 * b * px);
        ctx.lineTo(x(xs[last]) + 4 * c * px, at + 4 * d * px);
      });
      ctx.stroke();
    });
  }

  paintEmpty(box, px) {
    const { ctx } = this.plot;
    ctx.fillStyle = page.colour("soft");
    ctx.font = `${14 * px}px ${page.FONT}`;
    ctx.textAlign = "center";
    const hidden = this.board.hidden.size ? "every schedule here is hidden" : "no values yet";
    ctx.fillText(hidden, box.left + box.width / 2, box.top + box.height / 2);
  }

  // What one point is, beside the title.
  say() {
    const parts = [];
    if (this.log) parts.push("log");
    if (this.spec.kind === "buckets") {
      const updates = this.by * this.spec.width;
      parts.push(updates === 1 ? "every update" : `${updates.toLocaleString("en")} updates a point`);
    }
    this.note.textContent = parts.join(" · ");
  }
}
