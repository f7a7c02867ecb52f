// Text from records reaches the page only as text nodes and attribute values, never as HTML.
const DATA = JSON.parse(document.getElementById("data").textContent);
// Cells come as short as they can be: an average is a list there, and gets its names here.
for (const cell of DATA.cells) {
  for (const [name, [mean, ci95, n, text, half, full, ...seeds]] of Object.entries(cell.metrics)) {
    const values = cell.records.length > 1 ? seeds : [mean];
    cell.metrics[name] = { mean, ci95, n, text, half, full: full ?? text, seeds: values };
  }
}
const GLYPHS = { failed: "✗", timeout: "◔", skipped: "–" };
const FAULTS = { failed: "failed", timeout: "ran out of time", skipped: "skipped" };
const KIND_NAMES = { baseline: "no defense", "": "other" };
const AXES = { dataset: "Dataset", model: "Model", recipe: "Recipe", poison_rate: "Poison rate" };
const state = {
  metric: DATA.metric || "",
  scene: 0,
  off: new Set(), // kinds of defense, and things that attackers or defenders lack
  attack: "",
  defense: "",
  columns: "kind",
  sort: null,
  way: 0,
};

const byId = (id) => document.getElementById(id);
const kindName = (kind) => KIND_NAMES[kind] ?? kind;
const known = (name) => DATA.metrics[name] ?? { title: name, better: "neither", unit: "", about: "" };
const percent = (name) => known(name).unit === "%";
const unit = (name) => (known(name).unit ? ` ${known(name).unit}` : "");
const count = (number, one) => `${number} ${one}${number === 1 ? "" : "s"}`;

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** A table with a head of its columns' names. */
const plainTable = (className, heads, rows) =>
  el(
    "table",
    { class: className },
    el("thead", null, el("tr", null, heads.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", null, rows),
  );

/** A value as tables write it: percent with one decimal, anything else with three digits. */
function show(name, value) {
  if (percent(name)) return (100 * value).toFixed(1);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

/** What a metric is, with its unit and its better end. */
function definition(name) {
  const { unit, better, about } = known(name);
  const ways = [unit, better === "neither" ? "" : `${better} is better`].filter(Boolean);
  return (ways.length ? `(${ways.join(", ")}) ` : "") + about;
}

/** A metric's name that tells its definition: to the pointer as a title, on focus as a tooltip. */
function term(name) {
  const tell = (event) => showTip(event.currentTarget, [known(name).title, definition(name)]);
  const shown = { focus: tell, blur: hideTip };
  return el("button", { type: "button", class: "term", title: definition(name), ...shown }, known(name).title);
}

/** A component's spec in two lines: its name, and its parameters in small. */
function spec(text) {
  const at = text.indexOf(":");
  if (at < 0) return [el("span", { class: "name" }, text)];
  const params = text.slice(at + 1).replaceAll(",", ", ");
  return [
    el("span", { class: "name" }, text.slice(0, at), el("span", { class: "vh" }, ":")),
    el("span", { class: "params" }, params),
  ];
}

function showTip(target, lines) {
  const tip = byId("tip");
  tip.replaceChildren(...lines.map((line) => el("div", null, line)));
  tip.hidden = false;
  (target.closest("dialog") ?? document.body).append(tip);
  const at = target.getBoundingClientRect(),
    own = tip.getBoundingClientRect();
  const below = at.bottom + 8 + own.height < innerHeight;
  tip.style.top = `${Math.max(8, below ? at.bottom + 8 : at.top - own.height - 8)}px`;
  tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - own.width - 8))}px`;
  target.setAttribute("aria-describedby", "tip");
}

function hideTip() {
  byId("tip").hidden = true;
  for (const node of document.querySelectorAll('[aria-describedby="tip"]')) node.removeAttribute("aria-describedby");
}

// Colours: orange is bad and blue is good for the defender, so that most colour-blind readers tell them apart;
// violet for what is neither. Each is a ramp for light and one for dark.
const RAMPS = {
  good: {
    light: [
      [233, 138, 60],
      [248, 244, 234],
      [74, 152, 214],
    ],
    dark: [
      [178, 84, 12],
      [44, 47, 54],
      [26, 104, 176],
    ],
  },
  size: {
    light: [
      [247, 246, 251],
      [199, 188, 228],
      [151, 132, 203],
    ],
    dark: [
      [40, 41, 50],
      [70, 62, 105],
      [104, 86, 164],
    ],
  },
};
const luminance = (rgb) =>
  rgb
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);

function mixed(stops, share) {
  const place = share * (stops.length - 1),
    low = Math.min(stops.length - 2, Math.floor(place));
  return stops[low].map((part, index) => Math.round(part + (stops[low + 1][index] - part) * (place - low)));
}

/** Paint a node: its colour for both themes, and black or white on it, whichever reads better (at least 4.5 to 1). */
function paint(node, ramp, share) {
  const pair = ["light", "dark"].map((theme) => mixed(RAMPS[ramp][theme], share));
  const ink = pair.map((rgb) => (luminance(rgb) > 0.179 ? "#000" : "#fff"));
  node.style.setProperty("--heat", `light-dark(${pair.map((rgb) => `rgb(${rgb.join(" ")})`).join(", ")})`);
  node.style.setProperty("--on", `light-dark(${ink.join(", ")})`);
}
