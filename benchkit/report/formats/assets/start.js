// The page's state, which its address keeps, and its first drawing.
function remember(cell) {
  const said = new URLSearchParams();
  if (state.metric) said.set("metric", state.metric);
  if (DATA.scenes.length > 1) said.set("scene", state.scene);
  if (cell !== undefined) said.set("cell", cell);
  // An address that names a place in the page keeps it until there is a cell to name.
  const place = location.hash && !location.hash.includes("=");
  if (cell !== undefined || !place) history.replaceState(null, "", `#${said}`);
}

/** Take metric, scene and open cell from the address; anything else in it is ignored. */
function recall() {
  if (location.hash && !location.hash.includes("=")) return null; // a place in the page
  const said = new URLSearchParams(location.hash.slice(1));
  const number = (name, most) =>
    /^\d+$/.test(said.get(name) ?? "") && Number(said.get(name)) < most ? Number(said.get(name)) : null;
  if (Object.hasOwn(DATA.metrics, said.get("metric") ?? "")) state.metric = said.get("metric");
  const fullest = DATA.scenes.reduce(
    (best, one, at, all) => (one.cells.length > all[best].cells.length ? at : best),
    0,
  );
  state.scene = number("scene", DATA.scenes.length) ?? fullest;
  return number("cell", DATA.cells.length) ?? (DATA.cells.length === 1 ? 0 : null);
}

function draw() {
  hideTip();
  const { dataset, model, recipe, poison_rate: rate } = scene();
  byId("scene").textContent =
    `Dataset ${dataset}, model ${model}, recipe ${recipe}, poison rate ${rate.replace(" ", "\u00a0")}`;
  byId("where").textContent = byId("scene").textContent;
  drawFindings();
  drawMatrix();
  drawRanks();
  remember();
}

function drawFacts() {
  const many = (axis, one, cells = DATA.cells) => count(new Set(cells.map((cell) => cell[axis])).size, one);
  const failed = DATA.cells.filter((cell) => cell.status !== "ok").length;
  const parts = [
    many(
      "attack",
      "attack",
      DATA.cells.filter((cell) => !cell.benign),
    ),
    many(
      "defense",
      "defense",
      DATA.cells.filter((cell) => cell.kind !== "baseline"),
    ),
    many("dataset", "dataset"),
    many("model", "model"),
    count(DATA.seeds, "seed"),
    count(DATA.cells.length, "cell"),
    ...(failed ? [`${failed} of them not complete`] : []),
  ];
  const when = DATA.finished.length ? `, ${DATA.finished.join(" to ")}` : "";
  byId("facts").textContent = `${parts.join(", ")}${when}`;
  byId("about").append(DATA.about, ...(DATA.home ? [" ", el("a", { href: DATA.home }, "All tracks")] : []));
  byId("about").hidden = !(DATA.about || DATA.home);
  byId("made").textContent = `Made by benchkit ${DATA.version}. This file needs no network and holds all its data.`;
  const list = (title, lines) =>
    lines.length
      ? [
          el("h3", null, title),
          el(
            "ul",
            null,
            lines.map((line) => el("li", null, line)),
          ),
        ]
      : [];
  byId("troubles").append(...list("Failed, timed out or skipped", DATA.faults), ...list("Warnings", DATA.warnings));
  byId("problems-section").hidden = !(DATA.faults.length || DATA.warnings.length);
  byId("assumptions").append(...DATA.assumptions.map((line) => el("li", null, line)));
  byId("metrics").append(
    ...Object.keys(DATA.metrics).flatMap((name) => [
      el("dt", null, known(name).title),
      el("dd", null, definition(name)),
    ]),
  );
}

const THEMES = ["system", "light", "dark"];
function dress(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme-name").textContent = theme;
  try {
    localStorage.setItem("benchkit-theme", theme);
  } catch {
    /* a page without storage forgets its theme */
  }
}

function savedTheme() {
  try {
    return localStorage.getItem("benchkit-theme");
  } catch {
    return null;
  }
}

dress(THEMES.includes(savedTheme()) ? savedTheme() : "system");
byId("theme").addEventListener("click", () =>
  dress(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]),
);
byId("csv").addEventListener("click", () => download("benchkit.csv", "text/csv", toCsv()));
byId("json").addEventListener("click", () => download("benchkit.json", "application/json", toJson()));
byId("controls").addEventListener("submit", (event) => event.preventDefault());
byId("cell").addEventListener("close", () => remember());
byId("cell").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) shut();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
});
document.addEventListener("scroll", hideTip, true);
addEventListener("hashchange", () => {
  const cell = recall();
  shut();
  buildSwitches();
  draw();
  if (cell !== null) openCell(cell);
});

const first = recall();
drawFacts();
buildSwitches();
buildChips("kinds", kindsThere(), kindName);
buildChips("attacker", thingsThere(0), (thing) => thing);
buildChips("defender", thingsThere(1), (thing) => thing);
draw();
if (first !== null) openCell(first);
