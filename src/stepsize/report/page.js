// What the charts of all pages share.
"use strict";
const page = (() => {
  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif';
  const CHARACTER = 7.2; // pixels: a generous mean for 12 px of FONT

  const data = (name) => JSON.parse(document.getElementById(name + "-data").textContent);
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const short = (value, digits = 4) =>
    value === null || value === undefined ? "–" : String(Number(value.toPrecision(digits)));

  // A uPlot axis with these ticks: pairs of place and text.
  function axis(ticks, text, more) {
    return {
      stroke: colour("ink"),
      font: `12px ${FONT}`,
      labelFont: `13px ${FONT}`,
      label: text,
      labelSize: 22,
      grid: { stroke: colour("rule"), width: 1 },
      ticks: { stroke: colour("rule"), width: 1, size: 5 },
      splits: () => ticks.map(([value]) => value),
      filter: (u, splits) => splits, // uPlot would drop some on a logarithmic axis
      values: () => ticks.map(([, text]) => text),
      ...more,
    };
  }

  // Room for the texts of a vertical axis.
  const sideways = (ticks) => ({
    size: 16 + CHARACTER * Math.max(3, ...ticks.map(([, text]) => text.length)),
  });

  return { FONT, CHARACTER, data, colour, short, axis, sideways };
})();
