// The heat map: a grid with one stop for the Tab key; arrows move in it.
const share = (value, low, high) => (high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5);

/** Return how to paint a value of a metric among those shown: a ramp, and a place on it from 0 (bad) to 1 (good). */
function placeOf(name, value, among) {
  const { better } = known(name);
  if (better === "neither") return ["size", share(value, Math.min(...among), Math.max(...among))];
  const log = (one) => Math.log(Math.max(one, 1e-3));
  const found = percent(name)
    ? share(value, name.startsWith("auroc") ? 0.5 : 0, 1) // an AUROC of 50 is as bad as guessing
    : share(log(value), log(Math.min(...among)), log(Math.max(...among)));
  return ["good", better === "higher" ? found : 1 - found];
}

const valuesOf = (cells, name) => cells.flatMap((cell) => (name in cell.metrics ? [cell.metrics[name].mean] : []));

/** Return the lines of a cell's tooltip: each metric with its interval. */
function intervals(cell) {
  const lines = namesOf(cell).map((name) => {
    const found = cell.metrics[name];
    if (!found) return `${known(name).title}: does not exist for this cell, or was no finite number`;
    const why = found.full !== found.text ? ", 95 % interval" : found.n < 3 ? "; an interval needs three" : "";
    return `${known(name).title} ${found.full}${unit(name)} (${count(found.n, "seed")}${why})`;
  });
  const faults = cell.records
    .filter((one) => one.error)
    .map((one) => `seed ${one.seed} ${FAULTS[one.status]}: ${one.error}`);
  const warned = cell.warnings.length;
  const measured = cell.records.some((one) => one.status === "ok");
  return [
    `${cell.attack} against ${cell.defense}`,
    ...(measured ? lines : []),
    ...faults.slice(0, 2),
    ...(warned ? [`${count(warned, "warning")}; Enter tells more`] : []),
  ];
}

/** A cell of the grid; on a phone, where columns have no heads, `column` names it. */
function cellNode(cell, cells, column) {
  const of = `${column.defense}: ${namesOf(cell ?? column).map((name) => known(name).title).join(" / ")}`;
  if (!cell) {
    const said = [el("span", { "aria-hidden": "true" }, "·"), el("span", { class: "vh" }, "not run")];
    return el("td", { class: "none", "data-of": of }, said);
  }
  const names = namesOf(cell),
    last = judged(cell),
    measured = cell.records.some((one) => one.status === "ok");
  const tip = (event) => showTip(event.currentTarget, intervals(cell));
  const handlers = { focus: tip, mouseenter: tip, blur: hideTip, mouseleave: hideTip, click: () => openCell(cell.id) };
  const button = el("button", { type: "button", class: "cell", tabindex: "-1", "data-cell": cell.id, ...handlers });
  if (!measured) {
    button.classList.add("fault");
    button.append(el("span", { "aria-hidden": "true" }, GLYPHS[cell.status]), el("small", null, FAULTS[cell.status]));
    return el("td", { "data-of": of }, button);
  }
  const texts = names.map((name) => cell.metrics[name]?.text ?? "n/a").join(" / ");
  const unusual = !state.metric && names.join() !== cell.usual.join();
  const seeds = Math.min(...names.filter((name) => name in cell.metrics).map((name) => cell.metrics[name].n));
  const best = (scene().best[state.metric] ?? []).includes(cell.id);
  const halves = names.map((name) => cell.metrics[name]?.half ?? null);
  const notes = [
    halves.some((half) => half !== null) ? `± ${halves.map((half) => half ?? "–").join(" / ")}` : "",
    unusual ? names.map((name) => known(name).title).join(" / ") : "",
    seeds < DATA.seeds ? `${seeds} of ${DATA.seeds} seeds` : "",
    cell.warnings.length ? "⚠" : "",
    cell.status === "ok" ? "" : `${GLYPHS[cell.status]} ${FAULTS[cell.status]}`,
  ].filter(Boolean);
  button.append(
    el("span", { class: best ? "best" : "" }, texts),
    best ? el("span", { class: "vh" }, ", best") : "",
    notes.length ? el("small", null, notes.join(" ")) : "",
  );
  if (!state.metric) cell.good !== null && paint(button, "good", cell.good);
  else if (last in cell.metrics) paint(button, ...placeOf(last, cell.metrics[last].mean, valuesOf(cells, last)));
  return el("td", { "data-of": of }, button);
}

function sortBy(defense) {
  state.way = state.sort === defense ? { 1: -1, [-1]: 0, 0: 1 }[state.way] : 1;
  state.sort = defense;
  draw();
  [...document.querySelectorAll("[data-sort]")].find((one) => one.dataset.sort === defense)?.focus();
}

/** Return the rows in order: benign ones first, then by the sorted column, those without a number last. */
function orderedRows(cells, grid) {
  const rows = new Map(cells.toSorted(byPlace(0)).map((cell) => [cell.attack, cell]));
  if (!state.way) return [...rows.values()];
  const value = (row) => {
    const cell = grid.get(row.attack)?.get(state.sort),
      found = cell && cell.metrics[judged(cell)];
    if (!found) return Infinity;
    return state.way * found.mean * (known(judged(cell)).better === "lower" ? 1 : -1);
  };
  return [...rows.values()].sort(
    (a, b) => b.benign - a.benign || (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0),
  );
}

function drawMatrix() {
  const cells = visible(),
    grid = new Map();
  for (const cell of cells) grid.set(cell.attack, (grid.get(cell.attack) ?? new Map()).set(cell.defense, cell));
  const columns = columnGroups([...new Map(cells.toSorted(byPlace(1)).map((cell) => [cell.defense, cell])).values()]);
  const order = columns.flatMap(([, members]) => members);
  const rows = rowGroups(orderedRows(cells, grid));
  const inGroups = Boolean(rows[0]?.[0]);
  const line = (row) =>
    el("tr", null, rowHead(row, inGroups), order.map((column) => cellNode(grid.get(row.attack).get(column.defense), cells, column)));
  const table = el(
    "table",
    { class: "heat", role: "grid", "aria-label": "Attacks (rows) against defenses (columns)" },
    tableHead(columns),
    rows.map(([title, members]) =>
      el("tbody", null, title && groupRow(title, order.length + 1), members.map(line)),
    ),
  );
  byId("box").replaceChildren(
    cells.length ? table : el("p", { class: "inside" }, "No cell is left: ease the filters."),
  );
  (table.querySelector(".cell") ?? table.querySelector("button")).tabIndex = 0;
  table.addEventListener("keydown", steer);
  const lines = rows.flatMap(([, members]) => members);
  const counts = [count(lines.length, "row"), count(order.length, "column"), count(cells.length, "cell")];
  byId("count").textContent = `${counts.join(", ")} shown`;
  byId("wide").hidden = byId("box").scrollWidth <= byId("box").clientWidth;
  byId("rows-by").value = state.way > 0 ? state.sort : "";
  drawScale(cells);
  drawLegend(cells);
}

/** Arrow keys, Home and End within the grid; places without a button are skipped over. */
function steer(event) {
  const rows = [...event.currentTarget.rows].map((row) => [...row.cells].map((cell) => cell.querySelector("button")));
  const row = rows.findIndex((one) => one.includes(event.target)),
    column = rows[row]?.indexOf(event.target);
  const line = {
    ArrowLeft: rows[row]?.slice(0, column).reverse(),
    ArrowRight: rows[row]?.slice(column + 1),
    ArrowUp: rows
      .slice(0, Math.max(0, row))
      .map((one) => one[column])
      .reverse(),
    ArrowDown: rows.slice(row + 1).map((one) => one[column]),
    Home: rows[row],
    End: rows[row]?.toReversed(),
  }[event.key];
  const next = line?.find(Boolean);
  if (!next) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
  next.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function drawScale(cells) {
  const plain = state.metric && known(state.metric).better === "neither";
  const steps = Array.from({ length: 12 }, (_, step) => {
    const node = el("i");
    paint(node, plain ? "size" : "good", step / 11);
    return node;
  });
  const among = plain ? valuesOf(cells, state.metric) : [];
  const ends =
    plain && among.length
      ? [Math.min(...among), Math.max(...among)].map((value) => show(state.metric, value) + unit(state.metric))
      : ["bad for the defender", "good for the defender"];
  const by = state.metric
    ? `Colour: ${known(state.metric).title}.`
    : "Colour: the worst number of a cell. C-Acc counts by what was lost of the victim's, all bad from 10 points.";
  byId("scale").replaceChildren(
    el("span", null, ends[0]),
    el("span", { class: "ramp", "aria-hidden": "true" }, steps),
    el("span", null, ends[1]),
    el("span", null, by),
  );
}

function drawLegend(cells) {
  const measured = cells.filter((cell) => Object.keys(cell.metrics).length);
  const names = new Set(measured.flatMap((cell) => [...namesOf(cell), judged(cell)]));
  const terms = [...names].map((name) => [el("dt", null, term(name)), el("dd", null, definition(name))]);
  const signs =
    `Underlined and bold: best against that attack${state.metric ? "" : ", by DER where there is one"}, ` +
    "what a model answers among all defenses that change it, anything else within a kind. " +
    DATA.leading.map((text) => `${text}. `).join("") +
    "⚠ carries a warning. " +
    "✗ failed, ◔ ran out of time, – skipped, · not run.";
  byId("legend").replaceChildren(el("dl", { class: "terms" }, terms), el("p", { class: "quiet" }, signs));
}
