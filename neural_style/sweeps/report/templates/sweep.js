"use strict";
// Sorting, filtering and comparing. All data is on the page; nothing is fetched.
(() => {
  const byId = (id) => document.getElementById(id);
  const body = document.querySelector("#table tbody");
  if (!body) return;
  const data = JSON.parse(byId("data").textContent);
  const rows = [...body.rows];
  const rowOf = new Map(rows.map((row) => [row.dataset.run, row]));
  const headers = [...document.querySelectorAll("#table thead th")];
  const words = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  // --- sorting: missing numbers come last in both directions, equal ones keep the sweep's order ---
  function sortBy(header) {
    const column = headers.indexOf(header);
    const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const numeric = "numeric" in header.dataset;
    const keyed = rows.map((row) => {
      const cell = row.cells[column];
      const key = numeric ? (cell.dataset.v === "" ? NaN : Number(cell.dataset.v)) : cell.textContent;
      return { row, key, missing: numeric && Number.isNaN(key) };
    });
    keyed.sort((a, b) => {
      if (a.missing || b.missing) return a.missing - b.missing;
      return sign * (numeric ? a.key - b.key : words.compare(a.key, b.key));
    });
    body.append(...keyed.map((entry) => entry.row));
    for (const other of headers) {
      if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    }
    header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  }
  for (const header of headers) {
    const button = header.querySelector("button");
    if (button) button.addEventListener("click", () => sortBy(header));
  }

  // --- filtering: by all words in the box and the value chosen for each axis ---
  const filter = byId("filter");
  const axes = [...document.querySelectorAll("select[data-axis]")];
  const places = new Map(rows.map((row) => [row, row.dataset.place.split(" ")]));
  function applyFilter() {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.dataset.text;
      const fits =
        wanted.every((word) => text.includes(word)) &&
        axes.every((axis) => axis.value === "" || places.get(row)[axis.dataset.axis] === axis.value);
      row.hidden = !fits;
      shown += fits;
    }
    byId("shown").textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
    byId("empty").hidden = shown > 0;
  }
  filter.addEventListener("input", applyFilter);
  for (const axis of axes) axis.addEventListener("change", applyFilter);
  byId("clear").addEventListener("click", () => {
    filter.value = "";
    for (const axis of axes) axis.value = "";
    applyFilter();
    filter.focus();
  });

  // --- columns ---
  for (const box of document.querySelectorAll("input[data-column]")) {
    box.addEventListener("change", () => {
      const column = Number(box.dataset.column) + 2; // after the checkbox and the picture
      headers[column].hidden = !box.checked;
      for (const row of rows) row.cells[column].hidden = !box.checked;
    });
    box.checked = !headers[Number(box.dataset.column) + 2].hidden; // a reload may have kept another state
  }
  const chooser = document.querySelector(".chooser");
  document.addEventListener("click", (event) => {
    if (!chooser.contains(event.target)) chooser.open = false;
  });
  chooser.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    chooser.open = false;
    chooser.querySelector("summary").focus();
  });

  // --- comparing: `left` is a run, or empty for the content image of the right run ---
  const picked = { left: "", right: data.first };
  const slider = byId("slider");
  const stage = byId("stage");

  function showSource(layer, run) {
    const source = document.createElement("div");
    source.className = `source source-${data.runs[run].content}`;
    source.setAttribute("role", "img");
    source.setAttribute("aria-label", "content image");
    layer.replaceChildren(source);
  }
  function showRun(layer, run) {
    const image = new Image();
    image.src = rowOf.get(run).querySelector("img").src;
    image.alt = data.runs[run].name;
    layer.replaceChildren(image);
  }
  function showComparison() {
    const right = rowOf.get(picked.right).querySelector("img");
    const ratio = right.getAttribute("width") / right.getAttribute("height");
    stage.style.aspectRatio = ratio;
    stage.style.maxWidth = `${Math.round(70 * ratio)}vh`;
    if (picked.left === "") showSource(byId("left-layer"), picked.right);
    else showRun(byId("left-layer"), picked.left);
    showRun(byId("right-layer"), picked.right);
    byId("left-caption").textContent = picked.left === "" ? "content image" : data.runs[picked.left].name;
    byId("right-caption").textContent = data.runs[picked.right].name;
    byId("left").value = picked.left;
    byId("right").value = picked.right;
    byId("swap").disabled = picked.left === "";
    for (const row of rows) {
      const run = row.dataset.run;
      row.classList.toggle("left", run === picked.left);
      row.classList.toggle("right", run === picked.right && run !== picked.left);
      row.querySelector("input").checked = run === picked.left || run === picked.right;
    }
    moveDivider();
    drawCurves();
  }
  function moveDivider() {
    stage.style.setProperty("--cut", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} % left picture`);
  }
  slider.addEventListener("input", moveDivider);
  for (const side of ["left", "right"]) {
    byId(side).addEventListener("change", () => {
      picked[side] = byId(side).value;
      if (picked.left === picked.right) picked.left = "";
      showComparison();
    });
  }
  byId("swap").addEventListener("click", () => {
    [picked.left, picked.right] = [picked.right, picked.left];
    showComparison();
  });
  for (const row of rows) {
    const box = row.querySelector("input");
    box.disabled = false;
    box.addEventListener("change", () => {
      const run = row.dataset.run;
      if (box.checked) [picked.left, picked.right] = [picked.right, run];
      else if (picked.left === run) picked.left = "";
      else if (picked.left !== "") [picked.left, picked.right] = ["", picked.left];
      showComparison(); // one run always stays selected
      if (!compareInView) byId("jump").hidden = false;
    });
  }
  let compareInView = true;
  new IntersectionObserver(([entry]) => {
    compareInView = entry.isIntersecting;
    if (compareInView) byId("jump").hidden = true;
  }).observe(byId("compare"));

  // --- loss curves ---
  const svgName = "http://www.w3.org/2000/svg";
  function add(parent, name, attributes, text) {
    const element = document.createElementNS(svgName, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  }
  function chosenCurves() {
    const chosen = [];
    if (byId("all-curves").checked) {
      for (const run of Object.keys(data.runs)) {
        if (run !== picked.left && run !== picked.right) chosen.push([run, "other"]);
      }
    }
    if (picked.left !== "") chosen.push([picked.left, "left"]);
    chosen.push([picked.right, "right"]);
    return chosen.filter(([run]) => data.runs[run].curve.some((loss) => loss > 0));
  }
  function logTicks(low, high) {
    const ticks = [];
    const decades = Math.log10(high / low);
    const steps = decades > 2 ? [1] : decades > 0.9 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
    const every = Math.max(1, Math.ceil(decades / 7));
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += every) {
      for (const step of steps) {
        const tick = step * 10 ** power;
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    }
    return ticks;
  }
  function tickText(value) {
    if (value >= 0.001 && value < 1e4) return String(Number(value.toPrecision(2)));
    const [digits, power] = value.toExponential(1).split("e");
    return `${digits.replace(".0", "")}e${Number(power)}`;
  }
  function linearTicks(last, room) {
    const rough = last / Math.max(1, Math.floor(room / 64));
    const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const ticks = [];
    for (let tick = 0; tick <= last; tick += step) ticks.push(tick);
    return ticks;
  }
  function drawCurves() {
    const plot = byId("plot");
    const chosen = chosenCurves();
    plot.replaceChildren();
    byId("legend").replaceChildren();
    byId("curves").hidden = !Object.values(data.runs).some((run) => run.curve.length);
    if (!chosen.length || !plot.clientWidth) return;
    const width = plot.clientWidth;
    const height = Math.max(240, Math.min(plot.clientHeight, 420));
    const edge = { left: 46, right: 8, top: 8, bottom: 40 };
    const losses = chosen.flatMap(([run]) => data.runs[run].curve.filter((loss) => loss > 0));
    // Not Math.min(...losses), as the curves of many runs exceed the limit of arguments.
    const low = losses.reduce((a, b) => Math.min(a, b)) / 1.08;
    const high = losses.reduce((a, b) => Math.max(a, b)) * 1.08;
    const last = Math.max(1, ...chosen.map(([run]) => data.runs[run].iterates - 1));
    const x = (i) => edge.left + ((width - edge.left - edge.right) * i) / last;
    const y = (loss) => edge.top + ((height - edge.top - edge.bottom) * Math.log(high / loss)) / Math.log(high / low);
    const names = chosen.filter(([, side]) => side !== "other").map(([run]) => data.runs[run].name);
    const svg = add(plot, "svg", { width, height, role: "img", "aria-label": `Total loss at every iteration of ${names.join(" and of ")}` });
    for (const tick of logTicks(low, high)) {
      add(svg, "line", { x1: edge.left, x2: width - edge.right, y1: y(tick), y2: y(tick), class: "grid" });
      add(svg, "text", { x: edge.left - 7, y: y(tick), "text-anchor": "end", "dominant-baseline": "central" }, tickText(tick));
    }
    for (const tick of linearTicks(last, width)) {
      add(svg, "text", { x: x(tick), y: height - edge.bottom + 17, "text-anchor": "middle" }, tick);
    }
    add(svg, "text", { x: (edge.left + width) / 2, y: height - 4, "text-anchor": "middle" }, "iteration");
    const faint = Math.max(0.06, Math.min(0.5, 12 / chosen.length)); // else many lines merge into an area
    for (const [run, side] of chosen) {
      const { curve, iterates } = data.runs[run];
      let pen = "M";
      const path = curve.map((loss, i) => {
        if (!(loss > 0)) { pen = "M"; return ""; }
        const at = curve.length > 1 ? (i * (iterates - 1)) / (curve.length - 1) : 0;
        const point = `${pen}${x(at).toFixed(1)} ${y(loss).toFixed(1)}`;
        pen = "L";
        return point;
      });
      add(svg, "path", { d: path.join(""), class: side, "data-run": run, opacity: side === "other" ? faint : 1 });
    }
    drawLegend(chosen);
  }
  function drawLegend(chosen) {
    for (const side of ["left", "right", "other"]) {
      const runs = chosen.filter((entry) => entry[1] === side);
      if (!runs.length) continue;
      const item = document.createElement("li");
      item.className = side;
      item.textContent = side === "other" ? `${runs.length} other run${runs.length > 1 ? "s" : ""}` : data.runs[runs[0][0]].name;
      byId("legend").append(item);
    }
  }
  byId("all-curves").addEventListener("change", drawCurves);
  let drawnWidth = 0;
  new ResizeObserver(() => {
    if (byId("plot").clientWidth === drawnWidth) return;
    drawnWidth = byId("plot").clientWidth;
    drawCurves();
  }).observe(byId("curves"));

  byId("tools").hidden = false;
  byId("compare").hidden = false;
  applyFilter(); // a reload may have kept the text of the box
  showComparison();
})();
