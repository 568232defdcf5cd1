// The page of a comparison: one state for all charts, one legend, and tables that can be sorted.
"use strict";
(() => {
  const data = page.data("compare");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const legend = [...document.querySelectorAll("#legend li")];
  const button = (name) => document.getElementById(name);

  const board = {
    data,
    hidden: new Set(), // arms, by their number
    focus: null, // the arm pointed at in a list
    zoom: null, // [from, to] in updates
    cursor: null, // the update pointed at
    every: false, // all seeds instead of their mean
    log: { loss: null, rate: null }, // null: as decided in Python
    colour: (i) => data.arms[i].colours[dark.matches ? 1 : 0],

    point(source, at, height, aloud = false) {
      board.cursor = at === null ? null : source.snap(at);
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => {
        const rows = panels.map((panel) => panel.showCursor(at, panel === source, height));
        if (aloud) announce(source, rows[panels.indexOf(source)]);
      });
    },

    zoomTo(window) {
      const whole = [0, data.updates];
      const least = data.updates / 400;
      let [from, to] = window || whole;
      if (to - from < least) [from, to] = [(from + to - least) / 2, (from + to + least) / 2];
      [from, to] = [Math.max(whole[0], from), Math.min(whole[1], to)];
      board.zoom = from <= whole[0] && to >= whole[1] ? null : [from, to];
      change((panel) => panel.scale());
    },
  };
  let frame = 0;

  const panels = [...document.querySelectorAll(".panel")].map((figure, i) => new Panel(board, data.panels[i], figure));

  // Draws all charts anew and brings lists and buttons up to date.
  function change(draw) {
    legend.forEach((item, i) => {
      item.classList.toggle("off", board.hidden.has(i));
      item.querySelector(".arm").setAttribute("aria-pressed", String(!board.hidden.has(i)));
    });
    button("every").setAttribute("aria-pressed", String(board.every));
    ["loss", "rate"].forEach((name) => {
      const on = panels.some((panel) => panel.spec.toggle === name && panel.log);
      button(`log-${name}`).setAttribute("aria-pressed", String(on));
    });
    button("all").disabled = board.hidden.size === 0;
    button("reset").disabled = board.zoom === null;
    panels.forEach(draw);
    board.point(panels[0], null, null);
  }

  function announce(panel, rows) {
    const said = rows.slice(0, 4).map((row) => `${data.arms[row.i].name}: ${row.text}`);
    document.getElementById("spoken").textContent = [panel.placeText(panel.snap(board.cursor)), ...said].join(", ");
  }

  function only(i) {
    const others = data.arms.map((_, k) => k).filter((k) => k !== i);
    const alone = !board.hidden.has(i) && others.every((k) => board.hidden.has(k));
    board.hidden = new Set(alone ? [] : others);
    change((panel) => panel.scale());
  }

  function toggle(i) {
    if (!board.hidden.delete(i)) board.hidden.add(i);
    change((panel) => panel.scale());
  }

  function highlight(i) {
    if (board.focus === i) return;
    board.focus = i;
    document.querySelectorAll("[data-arm]").forEach((one) => one.classList.toggle("lit", one.dataset.arm === String(i)));
    panels.forEach((panel) => panel.redraw());
  }

  legend.forEach((item, i) => {
    const name = item.querySelector(".arm");
    name.addEventListener("click", (event) => (event.shiftKey || event.altKey ? only(i) : toggle(i)));
    item.querySelector(".only").addEventListener("click", () => only(i));
    name.addEventListener("focus", () => name.matches(":focus-visible") && highlight(i));
    name.addEventListener("blur", () => highlight(null));
  });
  document.querySelectorAll("[data-arm]").forEach((one) => {
    const i = Number(one.dataset.arm);
    one.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && highlight(i));
    one.addEventListener("pointerleave", () => highlight(null));
  });

  button("every").addEventListener("click", () => {
    board.every = !board.every;
    change((panel) => panel.scale());
  });
  ["loss", "rate"].forEach((name) => {
    const concerned = panels.filter((panel) => panel.spec.toggle === name);
    button(`log-${name}`).hidden = concerned.length === 0;
    button(`log-${name}`).addEventListener("click", () => {
      board.log[name] = !concerned.some((panel) => panel.log);
      change((panel) => (concerned.includes(panel) ? panel.build() : null));
    });
  });
  button("all").addEventListener("click", () => {
    board.hidden.clear();
    change((panel) => panel.scale());
  });
  button("reset").addEventListener("click", () => board.zoomTo(null));
  button("every").hidden = !data.panels.some((panel) => panel.kind !== "rates" && panel.arms.some((arm) => arm.runs.length > 1));

  // Tables: a click on a heading sorts by that column, another one turns it round.
  document.querySelectorAll("table.sortable").forEach((table) => {
    const body = table.tBodies[0];
    const key = (row, column) => {
      const cell = row.cells[column];
      const text = cell.dataset.sort ?? cell.textContent;
      const number = Number(text.replaceAll(",", ""));
      return text.trim() === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
    };
    const order = (a, b) =>
      a === null || b === null ? (a === null) - (b === null) : typeof a === typeof b ? (a > b) - (a < b) : typeof a === "number" ? -1 : 1;
    table.querySelectorAll("thead th").forEach((head, column) => {
      const press = document.createElement("button");
      press.textContent = head.textContent;
      head.replaceChildren(press);
      press.addEventListener("click", () => {
        const turn = head.ariaSort === "ascending" ? -1 : 1;
        table.querySelectorAll("thead th").forEach((one) => one.removeAttribute("aria-sort"));
        head.ariaSort = turn > 0 ? "ascending" : "descending";
        const rows = [...body.rows].map((row) => [key(row, column), row]);
        rows.sort(([a], [b]) => (a === null || b === null ? order(a, b) : turn * order(a, b)));
        body.append(...rows.map(([, row]) => row));
      });
    });
  });

  const build = () => change((panel) => panel.build());
  document.querySelectorAll(".live").forEach((element) => (element.hidden = false));
  build();
  dark.addEventListener("change", build);
  let width = panels[0].chart.clientWidth;
  new ResizeObserver(() => {
    if (panels[0].chart.clientWidth === width) return;
    width = panels[0].chart.clientWidth;
    requestAnimationFrame(build);
  }).observe(panels[0].chart);
  requestAnimationFrame(() => performance.mark("drawn"));
})();
