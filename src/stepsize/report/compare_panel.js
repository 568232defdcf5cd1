// A chart that can be read, zoomed and reached by keyboard.
"use strict";
const MOST_IN_TIP = 8;

class Panel extends Chart {
  constructor(board, spec, figure) {
    super(board, spec, figure);
    this.listenToKeys();
  }

  build() {
    super.build();
    this.makeCursor();
    this.listenToPointer();
  }

  // ---- what is to be read --------------------------------------------------------------------

  placeText(at) {
    const count = (v) => Math.round(v).toLocaleString("en");
    if (this.spec.kind === "epochs") {
      const { updates, epochs } = this.board.data;
      return `epoch ${count((at * epochs) / updates)} · update ${count(at)}`;
    }
    const span = this.by * this.spec.width;
    if (span === 1) return `update ${count(Math.floor(at))}`;
    const k = Math.floor(at / span);
    return `updates ${count(k * span)} to ${count(Math.min((k + 1) * span, this.spec.updates) - 1)}`;
  }

  // What is to be read at a place: arm, height of its point, text, and what it scatters between.
  readings(at) {
    const short = curves.digits;
    return this.visible.flatMap((i) => {
      const arm = this.level.arms[i];
      const xs = this.x(i);
      const k = this.spec.kind === "rates" && !arm.low ? this.before(xs, at) : curves.nearest(xs, at);
      const value = this.spec.kind === "rates" && !arm.low ? this.between(xs, arm.mean, k, at) : arm.mean[k];
      if (value === value) {
        const [low, high] = arm.low && arm.low[k] === arm.low[k] ? [short(arm.low[k]), short(arm.high[k])] : ["", ""];
        if (this.spec.kind === "rates" && low === high) return [{ i, value, text: short(value), band: "" }];
        return [{ i, value, text: short(value), band: low === high ? "" : `${low} to ${high}` }];
      }
      const run = arm.runs.find((one) => one.values[k] === one.values[k]);
      return run ? [{ i, value: run.values[k], text: short(run.values[k]), band: `seed ${run.seed}` }] : [];
    });
  }

  before(xs, at) {
    const k = curves.nearest(xs, at);
    return xs[k] > at && k > 0 ? k - 1 : k;
  }

  between(xs, values, k, at) {
    if (k + 1 >= xs.length || xs[k] >= at) return values[k];
    return values[k] + ((values[k + 1] - values[k]) * (at - xs[k])) / (xs[k + 1] - xs[k]);
  }

  // ---- the cursor ----------------------------------------------------------------------------

  makeCursor() {
    const make = (name) => {
      const element = document.createElement("div");
      element.className = name;
      element.hidden = true;
      this.plot.over.append(element);
      return element;
    };
    this.hair = make("hair");
    this.selection = make("selection");
    this.tip = make("tip");
    this.dots = this.board.data.arms.map((_, i) => make(`dot arm-${i}`));
  }

  // Where the cursor stands: on one of the panel's points, if one is in the window. Schedules are
  // known at every update.
  snap(at) {
    if (this.spec.kind === "rates" && !this.spec.made) return Math.round(at);
    const { x } = this.level;
    const [from, to] = this.window;
    let k = curves.nearest(x, at);
    if (x[k] < from && k + 1 < x.length) k++;
    if (x[k] > to && k > 0) k--;
    return x[k];
  }

  showCursor(at, source, height) {
    const none = at === null || !this.level.x.length;
    const place = none ? 0 : this.snap(at);
    const [from, to] = this.window;
    const off = none || place < from || place > to;
    this.hair.hidden = off;
    this.dots.forEach((dot) => (dot.hidden = true));
    if (off || !source) this.tip.hidden = true;
    if (off) return [];
    const left = this.plot.valToPos(place, "x");
    this.hair.style.transform = `translateX(${left}px)`;
    const rows = this.readings(place).map((row) => ({ ...row, top: this.plot.valToPos(row.value, "y") }));
    const room = this.plot.over.clientHeight;
    rows.forEach((row) => {
      if (!(row.top >= -1 && row.top <= room + 1)) return;
      this.dots[row.i].hidden = false;
      this.dots[row.i].style.transform = `translate(${left}px, ${row.top}px)`;
    });
    if (source) this.showTip(place, rows, left, height);
    return rows;
  }

  showTip(place, rows, left, height) {
    const distance = (row) => (row.i === this.board.focus ? -1 : Math.abs(row.top - height));
    const near = height === null ? rows : [...rows].sort((a, b) => distance(a) - distance(b));
    const shown = near.slice(0, MOST_IN_TIP);
    const closest = height === null ? null : shown[0];
    shown.sort((a, b) => a.top - b.top);
    const head = document.createElement("b");
    head.textContent = this.placeText(place);
    const lines = shown.map((row) => {
      const line = document.createElement("div");
      line.className = row === closest ? `row arm-${row.i} closest` : `row arm-${row.i}`;
      [["mark", ""], ["name", this.board.data.arms[row.i].name], ["value", row.text], ["band", row.band]].forEach(([name, text]) => {
        const cell = document.createElement("span");
        cell.className = name;
        cell.textContent = text;
        line.append(cell);
      });
      return line;
    });
    if (near.length > shown.length) {
      const more = document.createElement("div");
      more.className = "more";
      more.textContent = `and ${near.length - shown.length} more`;
      lines.push(more);
    }
    this.tip.replaceChildren(head, ...lines);
    this.tip.hidden = false;
    this.placeTip(left);
  }

  // Beside the cursor where there is room; above small charts, so that the tip does not hide them.
  placeTip(left) {
    const { over, tip } = { over: this.plot.over.getBoundingClientRect(), tip: this.tip };
    const [width, height] = [tip.offsetWidth, tip.offsetHeight];
    let [x, y] = [left + 14 + width <= over.width ? left + 14 : left - 14 - width, 6];
    if (over.width < 560) {
      x = left - width / 2;
      y = over.top > height + 12 ? -height - 6 : over.height + 6;
    }
    const most = document.documentElement.clientWidth - over.left - width - 6;
    tip.style.transform = `translate(${Math.max(6 - over.left, Math.min(x, most))}px, ${y}px)`;
  }

  // ---- pointer and keys ----------------------------------------------------------------------

  listenToPointer() {
    const { over } = this.plot;
    const at = (event) => {
      const box = over.getBoundingClientRect();
      const left = Math.min(Math.max(event.clientX - box.left, 0), box.width);
      return { left, top: event.clientY - box.top, value: this.plot.posToVal(left, "x") };
    };
    let start = null;
    const stop = () => {
      start = null;
      this.selection.hidden = true;
    };
    over.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      start = at(event);
      over.setPointerCapture(event.pointerId);
    });
    over.addEventListener("pointermove", (event) => {
      const here = at(event);
      this.board.point(this, here.value, here.top);
      if (start === null) return;
      const [left, right] = [Math.min(start.left, here.left), Math.max(start.left, here.left)];
      this.selection.hidden = right - left < 6;
      this.selection.style.transform = `translateX(${left}px)`;
      this.selection.style.width = `${right - left}px`;
    });
    over.addEventListener("pointerup", (event) => {
      const here = at(event);
      const from = start;
      stop();
      if (from !== null && Math.abs(here.left - from.left) >= 6) this.board.zoomTo([from.value, here.value].sort((a, b) => a - b));
      else this.board.point(this, here.value, here.top);
    });
    over.addEventListener("pointercancel", stop);
    over.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && start === null && this.board.point(this, null, null));
    over.addEventListener("dblclick", () => this.board.zoomTo(null));
  }

  listenToKeys() {
    this.chart.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const [from, to] = this.window;
      const cursor = this.board.cursor;
      const middle = cursor !== null && cursor >= from && cursor <= to ? cursor : (from + to) / 2;
      if (step && this.level.x.length) {
        const k = cursor === null ? (step > 0 ? curves.nearest(this.level.x, from) : curves.nearest(this.level.x, to)) : curves.nearest(this.level.x, cursor) + step * (event.shiftKey ? 10 : 1);
        const x = this.level.x[Math.min(this.level.x.length - 1, Math.max(0, k))];
        this.board.point(this, Math.min(to, Math.max(from, x)), null, true);
      } else if (event.key === "+" || event.key === "-") {
        const half = ((to - from) / 2) * (event.key === "+" ? 0.5 : 2);
        this.board.zoomTo([middle - half, middle + half]);
      } else if (event.key === "Escape") {
        this.board.zoomTo(null);
      } else return;
      event.preventDefault();
    });
    this.chart.addEventListener("blur", () => this.board.point(this, null, null));
  }
}
