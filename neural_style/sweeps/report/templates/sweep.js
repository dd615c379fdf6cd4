"use strict";
// Comparing, sorting and filtering. All data is on the page; nothing is fetched.
(() => {
  const byId = (id) => document.getElementById(id);
  const body = document.querySelector("#table tbody");
  if (!body) return;
  const data = JSON.parse(byId("data").textContent);
  const rows = [...body.rows];
  const rowOf = new Map(rows.map((row) => [row.dataset.run, row]));
  const tileOf = new Map([...document.querySelectorAll("#pictures .tile")].map((tile) => [tile.dataset.item, tile]));
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
    const column = Number(box.dataset.column);
    box.addEventListener("change", () => {
      headers[column].hidden = !box.checked;
      for (const row of rows) row.cells[column].hidden = !box.checked;
    });
    box.checked = !headers[column].hidden; // a reload may have kept another state
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

  // --- help: one line, for the measure that is pointed at, touched or focused ---
  function explain(button, title, line) {
    const meaning = byId(button.getAttribute("aria-describedby"));
    if (!meaning) return;
    const direction = meaning.previousElementSibling.querySelector(".direction").textContent;
    const show = () => {
      line.textContent = `${title} (${direction}): ${meaning.textContent}`;
      line.classList.add("told");
    };
    for (const kind of ["pointerenter", "focus", "click"]) button.addEventListener(kind, show);
  }
  for (const header of headers) explain(header.querySelector("button"), header.dataset.title, byId("help"));

  // --- the grid: arrow keys go to the next picture in their direction ---
  const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  function middle(element) {
    const box = element.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  }
  byId("pictures").addEventListener("keydown", (event) => {
    const direction = directions[event.key];
    const tile = event.target.closest(".tile");
    if (!direction || !tile) return;
    event.preventDefault();
    const [x, y] = middle(tile);
    let best = null;
    let least = Infinity;
    for (const other of tileOf.values()) {
      const [dx, dy] = middle(other).map((at, i) => at - [x, y][i]);
      const along = dx * direction[0] + dy * direction[1];
      const across = Math.abs(dx * direction[1]) + Math.abs(dy * direction[0]);
      if (along > 4 && along + 4 * across < least) [best, least] = [other, along + 4 * across];
    }
    best?.focus();
  });

  // --- comparing: an item is the number of a run, "s" and that of a source, or "" on the left
  // for the content image of the right run ---
  const dialog = byId("compare");
  const slider = byId("slider");
  const stage = byId("stage");
  const runs = Object.keys(data.runs);
  const picked = { left: "", right: runs[0] };
  const isRun = (item) => item in data.runs;

  function option(value, text) {
    const element = document.createElement("option");
    element.value = value;
    element.textContent = text;
    return element;
  }
  function addGroup(select, label, options) {
    if (!options.length) return;
    const group = document.createElement("optgroup");
    group.label = label;
    group.append(...options);
    select.append(group);
  }
  for (const side of ["left", "right"]) {
    const sources = data.sources.map((source, number) => [`s${number}`, source]);
    const contents = sources.filter(([, source]) => source.kind === "content");
    if (side === "left" && contents.length > 1) byId(side).append(option("", "its content image"));
    for (const kind of ["content", "style"]) {
      const own = sources.filter(([, source]) => source.kind === kind);
      addGroup(byId(side), `${kind} image${own.length > 1 ? "s" : ""}`, own.map(([item, source]) => option(item, source.name)));
    }
    addGroup(byId(side), "runs", runs.map((run) => option(run, data.runs[run].name)));
  }

  // The item that is seen on a side.
  function seen(side) {
    if (picked[side] !== "") return picked[side];
    const content = isRun(picked.right) ? data.runs[picked.right].content : null;
    const first = content ?? data.sources.findIndex((source) => source.kind === "content");
    return first >= 0 ? `s${first}` : picked.right; // no content image can be read
  }
  const nameOf = (item) => (isRun(item) ? data.runs[item].name : data.sources[item.slice(1)].name);

  function showItem(layer, item) {
    if (isRun(item)) {
      const image = new Image();
      image.src = tileOf.get(item).querySelector("img").src;
      image.alt = nameOf(item);
      layer.replaceChildren(image);
      return;
    }
    const source = document.createElement("div");
    source.className = `source source-${item.slice(1)}`;
    source.setAttribute("role", "img");
    source.setAttribute("aria-label", nameOf(item));
    layer.replaceChildren(source);
  }
  function ratioOf(item) {
    if (!isRun(item)) return data.sources[item.slice(1)].ratio;
    const image = tileOf.get(item).querySelector("img");
    return image.getAttribute("width") / image.getAttribute("height");
  }
  function hrefOf(item) {
    return isRun(item) ? rowOf.get(item).querySelector("a").getAttribute("href") : data.sources[item.slice(1)].href;
  }
  function showComparison() {
    const ratio = ratioOf(isRun(picked.right) || !isRun(seen("left")) ? picked.right : seen("left"));
    stage.style.aspectRatio = ratio;
    stage.style.setProperty("--ratio", ratio);
    for (const side of ["left", "right"]) {
      const item = seen(side);
      showItem(byId(`${side}-layer`), item);
      byId(side).value = picked[side];
      if (byId(side).selectedIndex < 0) byId(side).value = item; // there is one content image
      byId(`${side}-link`).textContent = nameOf(item);
      byId(`${side}-link`).href = hrefOf(item);
    }
    moveDivider();
    showFacts();
    if (dialog.open) drawCurves();
  }
  function moveDivider() {
    stage.style.setProperty("--cut", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} % left picture`);
  }
  slider.addEventListener("input", moveDivider);

  // The swept values and the shown measures of both sides.
  function showFacts() {
    const sides = [seen("left"), seen("right")];
    const objectives = new Set(sides.filter(isRun).map((item) => data.runs[item].objective));
    const lines = [];
    headers.forEach((header, column) => {
      if (column === 0 || header.hidden) return;
      const line = document.createElement("tr");
      const name = document.createElement("th");
      name.scope = "row";
      const meaning = header.querySelector("button").getAttribute("aria-describedby");
      const title = document.createElement(meaning ? "button" : "span");
      title.textContent = header.dataset.title;
      name.append(title);
      if (meaning) {
        title.type = "button";
        title.setAttribute("aria-describedby", meaning);
        explain(title, header.dataset.title, byId("facts-help"));
      }
      const direction = header.querySelector(".direction");
      const comparable = header.classList.contains("mixed") && objectives.size < 2;
      if (direction && !comparable) name.append(direction.cloneNode(true));
      const texts = sides.map((item) => (isRun(item) ? rowOf.get(item).cells[column].textContent : "–"));
      line.append(name, ...texts.map((text) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        return cell;
      }));
      line.className = header.className;
      line.classList.toggle("same", texts[0] === texts[1]);
      if (comparable) line.classList.remove("mixed");
      lines.push(line);
    });
    byId("facts").tBodies[0].replaceChildren(...lines);
  }

  function open(item) {
    picked.right = item;
    if (picked.left === item) picked.left = "";
    slider.value = 50;
    dialog.showModal();
    showComparison();
    dialog.scrollTop = 0;
  }
  for (const tile of document.querySelectorAll(".tile")) {
    tile.addEventListener("click", () => open(tile.dataset.item));
  }
  for (const row of rows) {
    const image = new Image();
    image.src = tileOf.get(row.dataset.run).querySelector("img").src;
    image.alt = "";
    row.querySelector(".tile").append(image);
  }
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside the dialog's own content
  });
  for (const side of ["left", "right"]) {
    byId(side).addEventListener("change", () => {
      picked[side] = byId(side).value;
      showComparison();
    });
  }
  byId("swap").addEventListener("click", () => {
    [picked.left, picked.right] = [seen("right"), seen("left")];
    showComparison();
  });
  function stepBy(by) {
    const at = runs.indexOf(picked.right);
    picked.right = at < 0 ? runs[0] : runs[(at + by + runs.length) % runs.length];
    showComparison();
  }
  byId("back").addEventListener("click", () => stepBy(-1));
  byId("forward").addEventListener("click", () => stepBy(1));

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
    const sides = [[seen("left"), "left"], [seen("right"), "right"]].filter(([item]) => isRun(item));
    const chosen = [];
    if (byId("all-curves").checked && sides.length) {
      const { objective } = data.runs[sides.at(-1)[0]]; // others are not comparable
      for (const run of runs) {
        const other = sides.every(([item]) => item !== run);
        if (other && data.runs[run].objective === objective) chosen.push([run, "other"]);
      }
    }
    chosen.push(...sides);
    const objectives = new Set(sides.map(([item]) => data.runs[item].objective));
    byId("curves-note").hidden = objectives.size < 2;
    return chosen.filter(([run]) => data.runs[run].curve.some((loss) => loss > 0));
  }
  function logTicks(low, high) {
    const ticks = [];
    const decades = Math.log10(high / low);
    const steps = decades > 2 ? [1] : decades > 0.6 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
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
    byId("curves").hidden = !chosen.length;
    if (!chosen.length || !plot.clientWidth) return;
    const width = plot.clientWidth;
    const height = 230;
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
    if (!dialog.open || byId("plot").clientWidth === drawnWidth) return;
    drawnWidth = byId("plot").clientWidth;
    drawCurves();
  }).observe(byId("curves"));

  byId("tools").hidden = false;
  applyFilter(); // a reload may have kept the text of the box
})();
