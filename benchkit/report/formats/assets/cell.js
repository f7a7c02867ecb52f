// Everything about one cell, in a dialog.
const shut = () => byId("cell").close();
const heading = (text, ...rest) => (rest.flat().length ? [el("h3", null, text), ...rest] : []);
const distinct = (texts) => [...new Set(texts)];

function openCell(id) {
  const cell = DATA.cells[id],
    dialog = byId("cell"),
    { records } = cell;
  hideTip();
  const seeds = records.map((one) => (one.status === "ok" ? one.seed : `${one.seed} ${FAULTS[one.status]}`));
  const setting = `recipe ${cell.recipe}, poison rate ${cell.rate}, ${records.length > 1 ? "seeds" : "seed"} ${seeds.join(", ")}`;
  const place = `${kindName(cell.kind)}; ${cell.dataset}, ${cell.model}, ${setting}`;
  dialog.replaceChildren(
    el(
      "div",
      { class: "inside" },
      el(
        "div",
        { class: "bar" },
        el("h2", { id: "cell-title" }, `${cell.attack} against ${cell.defense}`),
        el("button", { type: "button", click: shut }, "Close"),
      ),
      el("p", { class: "quiet" }, place),
      records
        .filter((one) => one.status !== "ok")
        .map((one) =>
          el("p", { class: "box" }, `Seed ${one.seed} ${FAULTS[one.status]}: ${one.error ?? "no reason recorded"}`),
        ),
      el("div", { class: "tiles" }, leadingMetrics(cell).map((name) => metricTile(cell, name))),
      cell.warnings.map((text) => el("p", { class: "box" }, `⚠ ${text}`)),
      suspected(records),
      figures(cell),
      folded("All metrics", Object.keys(cell.metrics).length ? [metricsTable(cell)] : []),
      folded("Cost per stage, mean over seeds", costTable(cell.costs)),
      folded("Attack", settings(cell, 0)),
      folded("Defense", settings(cell, 1)),
      folded(
        "Versions",
        cell.versions
          .map((at) => pairs(DATA.components[at]))
          .filter(Boolean)
          .map((text) => el("p", { class: "quiet" }, text)),
      ),
    ),
  );
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  remember(id);
}

/** A part of the dialog that opens on demand; nothing where it would be empty. */
const folded = (title, content) =>
  content.flat().length ? el("details", null, el("summary", null, title), content) : [];

/** The up to three numbers that tell most of a cell: those it shows, what it is judged by, and what else it costs. */
function leadingMetrics(cell) {
  const wanted = [state.metric, ...cell.shown, cell.judged, "fpr", "ra", "asr_control", "psnr"];
  return distinct(wanted.filter((name) => name && name in cell.metrics)).slice(0, 3);
}

function metricTile(cell, name) {
  const { text, half } = cell.metrics[name];
  return tile(`${text}${unit(name)}`, known(name).title, half === null ? "" : `± ${half}`);
}

const pairs = (found) =>
  Object.entries(found ?? {})
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

function metricsTable(cell) {
  const many = cell.records.length > 1;
  const rows = Object.entries(cell.metrics).map(([name, found]) => {
    const seeds = found.seeds.map((value) => (value === null ? "–" : show(name, value)));
    return el(
      "tr",
      null,
      el("th", { scope: "row" }, term(name), el("div", { class: "tiny" }, definition(name))),
      el("td", null, el("b", null, found.text), unit(name)),
      many ? [el("td", null, found.half === null ? "" : `± ${found.half}`), el("td", null, seeds.join(", "))] : [],
    );
  });
  return el(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": "Metrics" },
    plainTable("plain stack", many ? ["metric", "mean", "95 %", "each seed"] : ["metric", "value"], rows),
  );
}

function costTable(costs) {
  const stages = Object.keys(costs);
  const all = ["seconds", "peak_mb", "peak_device_mb"].filter((name) => stages.some((one) => name in costs[one]));
  if (!all.length) return [];
  const heads = all.map((name) => name.replace("_mb", " MB").replaceAll("_", " "));
  const rows = stages.map((stage) =>
    el(
      "tr",
      null,
      el("th", { scope: "row" }, stage),
      all.map((name) => el("td", null, name in costs[stage] ? show(name, costs[stage][name]) : "")),
    ),
  );
  return [plainTable("plain", ["stage", ...heads], rows)];
}

/** Paper, assumptions and parameters of a cell's attack, 0, or defense, 1. */
function settings(cell, axis) {
  const { says, paper, badges: has } = part(cell, axis);
  const said = { paper, has: has.join(", "), ...says };
  const told = Object.entries(said).filter(([, value]) => value !== "");
  return told.length
    ? [
        el(
          "dl",
          { class: "terms" },
          told.map(([name, value]) => [el("dt", null, name.replaceAll("_", " ")), el("dd", null, value)]),
        ),
      ]
    : [];
}

/** The classes that the defense suspects, by seed. */
function suspected(records) {
  const told = records.filter((one) => one.suspected);
  return heading(
    "Suspected classes",
    told.map((one) => el("p", { class: "quiet" }, `Seed ${one.seed}: ${one.suspected.join("; ")}`)),
  );
}

function figures({ records, pictures, kind }) {
  const roc = records.filter((one) => one.curves?.roc),
    scores = records.find((one) => one.curves?.scores);
  const drawn = [...(roc.length ? [rocFigure(roc)] : []), ...(scores ? [scoresFigure(scores)] : [])];
  return [
    heading("Scores", drawn.length ? el("div", { class: "figures" }, drawn) : []),
    heading(
      kind === "baseline" ? "Images with this trigger" : "Images of the defense",
      pictures ? galleryFigure(pictures) : [],
    ),
  ];
}
