"use strict";
// What the page adds where scripts run: a chart to look around in, tables that sort, and search. Names of data sets, classes and
// models are only ever written as text.
(() => {
  const make = (name, attributes, parent, text) => {
    const spaced = ["svg", "g", "line", "path", "circle", "text"].includes(name);
    const node = spaced ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };
  const percent = (v) => (100 * v).toFixed(1);
  const interval = (s) => (s.length > 1 ? `${percent(s[0])} [${percent(s[1])}, ${percent(s[2])}]` : percent(s[0]));

  const explore = () => {
    const section = document.getElementById("explore");
    const data = JSON.parse(document.getElementById("data").textContent);
    section.hidden = false;
    const controls = make("div", { class: "controls" }, section);
    const choice = (label, names) => {
      const box = make("label", {}, controls, `${label} `);
      const select = make("select", {}, box);
      for (const name of names) make("option", { value: name }, select, name);
      select.addEventListener("change", draw);
      return select;
    };
    const x = choice("across", ["speciality", ...data.probes]);
    const y = choice("up", ["generality", ...data.probes]);
    const logit = make("input", { type: "checkbox" }, make("label", {}, controls, "logit axes "));
    logit.addEventListener("change", draw);
    const bars = make("input", { type: "checkbox" }, make("label", {}, controls, "intervals "));
    bars.addEventListener("change", draw);
    const legend = make("div", { class: "controls" }, section);
    const shown = new Map();
    for (const curve of data.curves) {
      if (shown.has(curve.method)) continue;
      const label = make("label", {}, legend);
      const box = make("input", { type: "checkbox", checked: "" }, label);
      make("span", { style: `color:${curve.colour}` }, label, ` ${curve.method}`);
      box.addEventListener("change", draw);
      shown.set(curve.method, box);
    }
    const svg = make("svg", { viewBox: "0 0 900 560", role: "img", "aria-label": "scores of all models" }, section);
    const tip = make("div", { id: "tip", hidden: "" }, document.body);
    const score = (point, name) => (name === "speciality" ? point.s : name === "generality" ? point.g : point.scores[name]);

    function draw() {
      svg.replaceChildren();
      const visible = new Set(data.curves.filter((c) => shown.get(c.method).checked).map((c) => c.id));
      const on = (p) => score(p, x.value) && score(p, y.value) && (!p.curves.length || p.curves.some((c) => visible.has(c)));
      const points = data.points.filter(on);
      if (!points.length) return;
      const scale = (v) => (logit.checked ? Math.log(Math.min(Math.max(v, 1e-3), 1 - 1e-3) / (1 - Math.min(Math.max(v, 1e-3), 1 - 1e-3))) : v);
      const axis = (name, from, to) => {
        const all = points.flatMap((p) => (bars.checked ? score(p, name) : [score(p, name)[0]]));
        const [low, high] = [Math.min(...all), Math.max(...all)];
        const margin = Math.max(high - low, 0.01) * 0.06;
        const [a, b] = [scale(Math.max(low - margin, 0)), scale(Math.min(high + margin, 1))];
        const place = (v) => from + ((scale(v) - a) / (b - a)) * (to - from);
        const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((s) => (high - low + 2 * margin) / s <= 9) || 0.25;
        const ticks = [];
        for (let v = Math.ceil((low - margin) / step) * step; v <= high + margin + 1e-9; v += step) if (v >= 0 && v <= 1) ticks.push(v);
        return { place, ticks };
      };
      const across = axis(x.value, 60, 880);
      const up = axis(y.value, 510, 15);
      for (const v of across.ticks) {
        make("line", { class: "grid", x1: across.place(v), x2: across.place(v), y1: 15, y2: 510 }, svg);
        make("text", { x: across.place(v), y: 528, "text-anchor": "middle" }, svg, (100 * v).toFixed(0));
      }
      for (const v of up.ticks) {
        make("line", { class: "grid", x1: 60, x2: 880, y1: up.place(v), y2: up.place(v) }, svg);
        make("text", { x: 52, y: up.place(v) + 4, "text-anchor": "end" }, svg, (100 * v).toFixed(0));
      }
      make("text", { x: 470, y: 553, "text-anchor": "middle" }, svg, `${x.value}, %`);
      make("text", { x: -262, y: 14, "text-anchor": "middle", transform: "rotate(-90)" }, svg, `${y.value}, %`);
      const at = (p) => [across.place(score(p, x.value)[0]), up.place(score(p, y.value)[0])];
      const by = new Map(points.map((p) => [p.variant, p]));
      for (const curve of data.curves.filter((c) => visible.has(c.id))) {
        const along = curve.points.map((v) => by.get(v)).filter(Boolean);
        make("path", { d: `M${along.map((p) => at(p).join(",")).join("L")}`, fill: "none", stroke: curve.colour, "stroke-width": 2 }, svg);
      }
      for (const p of points) {
        const curve = data.curves.find((c) => p.curves.includes(c.id) && visible.has(c.id));
        const colour = curve && p.alpha !== 0 ? curve.colour : "var(--ink)";
        const [cx, cy] = at(p);
        if (bars.checked) {
          const [s, g] = [score(p, x.value), score(p, y.value)];
          if (s.length > 1) make("line", { x1: across.place(s[1]), x2: across.place(s[2]), y1: cy, y2: cy, stroke: colour, opacity: 0.4 }, svg);
          if (g.length > 1) make("line", { x1: cx, x2: cx, y1: up.place(g[1]), y2: up.place(g[2]), stroke: colour, opacity: 0.4 }, svg);
        }
        const end = p.alpha === 0 || p.alpha === 1 || p.alpha === null;
        const dot = make("circle", { class: "point", cx, cy, r: end ? 6 : 4, fill: colour, tabindex: 0 }, svg);
        const show = () => {
          const lines = [p.label, `${x.value} ${interval(score(p, x.value))}`, `${y.value} ${interval(score(p, y.value))}`];
          if (p.alpha !== null) lines.push(`alpha ${p.alpha}`);
          if (p.on !== null) lines.push(`P(on frontier) ${p.on.toFixed(2)}`);
          tip.textContent = lines.join("\n");
          tip.hidden = false;
          const box = dot.getBoundingClientRect();
          tip.style.left = `${Math.min(box.right + 8 + window.scrollX, window.scrollX + window.innerWidth - tip.offsetWidth - 8)}px`;
          tip.style.top = `${box.top + window.scrollY - 10}px`;
        };
        for (const event of ["mouseenter", "focus", "click"]) dot.addEventListener(event, show);
        for (const event of ["mouseleave", "blur"]) dot.addEventListener(event, () => (tip.hidden = true));
      }
    }
    draw();
  };

  const sorting = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, i) => {
      const text = row.cells[i].textContent.trim();
      const number = parseFloat(text.replace("\u2212", "-"));
      return Number.isNaN(number) ? [1, text] : [0, number];
    };
    heads.forEach((head, i) => {
      head.dataset.sorts = "";
      head.tabIndex = 0;
      const sort = () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const compare = (a, b) => {
          const [[ka, va], [kb, vb]] = [value(a, i), value(b, i)];
          const order = ka - kb || (va < vb ? -1 : va > vb ? 1 : 0);
          return down ? -order : order;
        };
        body.append(...[...body.rows].sort(compare));
      };
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (e) => e.key === "Enter" && sort());
    });
  };

  const search = (before, what, apply) => {
    const box = make("div", { class: "controls" });
    const input = make("input", { type: "search", placeholder: `search ${what}`, "aria-label": `search ${what}` }, box);
    before.before(box);
    input.addEventListener("input", () => apply(input.value.toLowerCase()));
    return box;
  };
  const has = (item, wanted) => item.textContent.toLowerCase().includes(wanted);

  // Examples by what they say, and by which model has them wrong.
  const browse = (views) => {
    let [wanted, variant] = ["", ""];
    const apply = () => {
      for (const view of views) {
        const place = JSON.parse(view.dataset.variants).indexOf(variant);
        let left = 0;
        for (const item of view.querySelectorAll(".examples > *")) {
          item.hidden = !has(item, wanted) || (variant !== "" && item.dataset.along[place] !== "0");
          left += item.hidden ? 0 : 1;
        }
        view.hidden = left === 0;
        view.open = left > 0 && (wanted !== "" || variant !== "");
      }
    };
    const box = search(views[0], "examples: class, curve, prompt", (text) => {
      wanted = text;
      apply();
    });
    const select = make("select", { "aria-label": "wrong by" }, make("label", {}, box, "wrong by "));
    make("option", { value: "" }, select, "the fine-tuned end");
    const all = views.flatMap((view) => JSON.parse(view.dataset.variants).slice(1));
    for (const name of new Set(all)) make("option", { value: name }, select, name);
    select.addEventListener("change", () => {
      variant = select.value;
      apply();
    });
  };

  if (document.getElementById("data")) explore();
  for (const table of document.querySelectorAll("table.data")) {
    sorting(table);
    if (table.tBodies[0].rows.length <= 8) continue;
    search(table.parentElement, "rows", (wanted) => {
      for (const row of table.tBodies[0].rows) row.hidden = !has(row, wanted);
    });
  }
  const views = [...document.querySelectorAll("details.view")];
  if (views.length) browse(views);
})();
