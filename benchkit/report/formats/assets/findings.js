// What the scene on screen found, before its numbers.
const MOST_TOLD = 6;
const listed = (names) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join(""));

function tile(value, label, more) {
  return el("div", { class: "tile" }, el("b", null, value), el("span", null, label), more ? el("small", null, more) : null);
}

/** A share as a bar; its numbers stand beside it. */
function bar(part) {
  const node = el("i", { class: "bar-of", "aria-hidden": "true" });
  node.style.setProperty("--share", `${100 * part}%`);
  return node;
}

function stoppingRow({ defense, kind, stopped, met, cost, seconds }) {
  const missed = met.filter((name) => !stopped.includes(name));
  const told = [`stops ${listed(stopped) || "none"}`, missed.length ? `not ${listed(missed)}` : ""].filter(Boolean);
  return el(
    "tr",
    { title: told.join("; ") },
    el("th", { scope: "row" }, spec(defense), el("span", { class: "tiny" }, ` ${kindName(kind)}`)),
    el("td", { class: "share" }, bar(stopped.length / met.length), `${stopped.length} of ${met.length}`),
    el("td", null, cost || "not measured"),
    el("td", null, seconds === null ? "" : `${show("seconds", seconds)} s`),
  );
}

function stoppingTable(rows) {
  const heads = ["defense", "attacks stopped, of those met", "cost where nothing is to find", "time a cell"];
  return el(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": "Attacks that each defense stops" },
    plainTable("plain stack", heads, rows.map(stoppingRow)),
  );
}

function drawFindings() {
  const { proven, unproven, stopping, open, rule } = scene().findings;
  const best = stopping.find((one) => one.stopped.length);
  const tiles = [
    tile(
      `${proven.length} of ${proven.length + unproven.length}`,
      "attacks implant",
      unproven.length ? `no evidence: ${listed(unproven)}` : "",
    ),
    best
      ? tile(best.defense, `stops most: ${best.stopped.length} of ${best.met.length} that it met`, best.cost)
      : tile("none", "of the defenses stops an attack"),
    tile(String(open.length), open.length === 1 ? "attack that none stops" : "attacks that none stops", listed(open)),
  ];
  const [first, rest] = [stopping.slice(0, MOST_TOLD), stopping.slice(MOST_TOLD)];
  byId("findings").replaceChildren(
    el("div", { class: "tiles" }, tiles),
    ...(first.length ? [stoppingTable(first)] : []),
    ...(rest.length
      ? [el("details", null, el("summary", null, `The other ${count(rest.length, "defense")}`), stoppingTable(rest))]
      : []),
    el("p", { class: "quiet" }, `${rule}. Those that met more, and harder, attacks may stop a smaller share.`),
  );
  byId("found-section").hidden = !stopping.length;
}
