// The curves of a comparison as numbers: unpacked, joined for the room there is, measured.
// A panel has `x` and for every arm `mean`, `low`, `high` and `runs`; what is missing is NaN.
"use strict";
const curves = (() => {
  // A column: JSON with null for what is missing, or 32-bit numbers in base64.
  function unpack(column) {
    if (column === null) return null;
    if (typeof column !== "string") return Float64Array.from(column, (v) => (v === null ? NaN : v));
    const text = atob(column);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new Float32Array(bytes.buffer);
  }

  function series(arm) {
    return {
      mean: unpack(arm.mean),
      low: unpack(arm.low),
      high: unpack(arm.high),
      runs: arm.runs.map((run) => ({ ...run, values: unpack(run.values) })),
    };
  }

  const middle = (panel, from, to) => (from * panel.width + Math.min(to * panel.width, panel.updates)) / 2;

  function rates(panel, arm) {
    if (arm === null) return null;
    if (arm.x) return { x: Float64Array.from(arm.x), mean: unpack(arm.values), low: null, high: null, runs: [] };
    const [low, high] = [unpack(arm.low), unpack(arm.high)];
    const x = Float64Array.from(low, (_, i) => middle(panel, i, i + 1));
    return { x, mean: high, low, high, runs: [] };
  }

  // The panels as they came, and each arm's columns ready to draw.
  function read(panel) {
    if (panel.kind === "rates") {
      const arms = panel.arms.map((arm) => rates(panel, arm));
      const x = Float64Array.from(new Set(arms.flatMap((arm) => (arm ? [...arm.x] : [])))).sort();
      return { x, arms };
    }
    const arms = panel.arms.map(series);
    if (panel.kind === "epochs") return { x: Float64Array.from(panel.x), arms };
    const count = Math.ceil(panel.updates / panel.width);
    return { x: Float64Array.from({ length: count }, (_, i) => middle(panel, i, i + 1)), arms };
  }

  // Buckets joined `by` at a time: the mean of the means, the lowest and the highest.
  function joined(panel, all, by) {
    const count = Math.ceil(all.x.length / by);
    const x = Float64Array.from({ length: count }, (_, i) => middle(panel, i * by, (i + 1) * by));
    const size = (i) => Math.min(panel.width, panel.updates - i * panel.width);
    const fold = (column, start, step, end) => {
      if (!column) return null;
      const out = new Float64Array(count);
      for (let i = 0; i < count; i++) {
        let value = start, updates = 0;
        for (let k = i * by; k < Math.min((i + 1) * by, column.length); k++) {
          value = step(value, column[k], size(k));
          updates += size(k);
        }
        out[i] = end(value, updates);
      }
      return out;
    };
    const mean = (column) => fold(column, 0, (sum, v, n) => sum + v * n, (sum, n) => sum / n);
    const finite = (v) => (Number.isFinite(v) ? v : NaN);
    const low = (column) => fold(column, Infinity, (a, v) => (v < a ? v : a), finite);
    const high = (column) => fold(column, -Infinity, (a, v) => (v > a ? v : a), finite);
    const arms = all.arms.map((arm) => ({
      mean: mean(arm.mean),
      low: low(arm.low),
      high: high(arm.high),
      runs: arm.runs.map((run) => ({ ...run, values: mean(run.values) })),
    }));
    return { x, arms };
  }

  // The index of the point of ascending `x` nearest to `at`.
  function nearest(x, at) {
    let low = 0, high = x.length - 1;
    while (high - low > 1) {
      const half = (low + high) >> 1;
      if (x[half] < at) low = half;
      else high = half;
    }
    return x.length && at - x[low] > x[high] - at ? high : low;
  }

  // Lowest and highest of columns between two places, lifted to those above `floor`.
  function extent(x, columns, from, to, floor = -Infinity) {
    let low = Infinity, high = -Infinity;
    for (const column of columns) {
      for (let i = 0; i < x.length; i++) {
        const v = column[i];
        if (x[i] < from || x[i] > to || !(v > floor)) continue;
        if (v < low) low = v;
        if (v > high) high = v;
      }
    }
    return low <= high ? [low, high] : null;
  }

  // Round places in a range, with their texts.
  function ticks(low, high, most, text = null) {
    const power = 10 ** Math.floor(Math.log10((high - low) / most));
    const step = [1, 2, 5, 10, 20, 50].map((m) => m * power).find((s) => (high - low) / s <= most - 1 + 1e-9);
    const digits = Math.min(12, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
    const largest = Math.max(Math.abs(low), Math.abs(high));
    const write = text || ((v) => (largest < 1e-3 || largest >= 1e6 ? exponent(v, 3) : v.toFixed(digits)));
    const out = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) out.push([i * step, write(i * step)]);
    return out;
  }

  function logTicks(low, high, most) {
    const decades = Math.log10(high / low);
    if (decades < 0.7) return ticks(low, high, most);
    const steps = decades < 1.6 ? [1, 2, 5] : decades < 2.6 ? [1, 3] : [1];
    const stride = Math.max(1, Math.ceil(decades / most));
    const out = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) {
      if (p % stride) continue;
      for (const m of steps) {
        const v = Number(`${m}e${p}`);
        if (v >= low && v <= high) out.push([v, exponent(v, 2)]);
      }
    }
    return out;
  }

  const exponent = (v, digits) => {
    const short = Number(v.toPrecision(digits));
    return short === 0 || (Math.abs(short) >= 1e-3 && Math.abs(short) < 1e6) ? String(short) : short.toExponential().replace("+", "");
  };

  // Four digits, the same number for every value of a size.
  const digits = (v) => (v === 0 || (Math.abs(v) >= 1e-3 && Math.abs(v) < 1e5) ? v.toPrecision(4) : exponent(v, 4));

  return { digits, read, joined, nearest, extent, ticks, logTicks };
})();
