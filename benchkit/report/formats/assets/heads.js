// Heads of rows and columns: who attacks or defends, with what, and how the trigger looks.
const YEAR = /\b(19|20)\d\d\b/;
const FEW = 6; // rows up to which groups of rows would be more heads than rows

/** The year of a component's paper, if it has one. */
const year = (cell, axis) => part(cell, axis).paper.match(YEAR)?.[0] ?? "";

/** Badges that say what a component has, in a line of their own. */
const badges = (cell, axis) =>
  el("span", { class: "badges" }, part(cell, axis).badges.map((text) => el("span", { class: "badge" }, text, " ")));

const assumes = (cell, axis) => part(cell, axis).things.join(", ");

function columnGroups(cells) {
  if (state.columns === "kind") return grouped(cells, (cell) => kindName(cell.kind), (cell) => cell.place[1][0]);
  const title = (cell) => (cell.kind === "baseline" ? kindName(cell.kind) : assumes(cell, 1) || "nothing");
  const weight = (cell) => part(cell, 1).things.length + Math.min(0.99, part(cell, 1).share / 2);
  return grouped(cells, title, (cell) => (cell.kind === "baseline" ? -1 : weight(cell)));
}

/** Rows in groups of what the attacker does; one group without a title where there is no use in several. */
function rowGroups(rows) {
  const title = (cell) => (cell.benign ? "no backdoor" : assumes(cell, 0) || "not recorded");
  const found = grouped(rows, title, (cell) => (cell.benign ? -1 : part(cell, 0).things.length));
  return state.way || rows.length <= FEW || found.length < 2 ? [["", rows]] : found;
}

const groupRow = (title, width) =>
  el("tr", { class: "group" }, el("th", { scope: "rowgroup", colspan: width }, el("span", null, title)));

function tableHead(groups) {
  const back = () => {
    state.way = 0;
    draw();
  };
  const start = { type: "button", tabindex: "-1", "data-sort": "", click: back, title: "Rows in their own order" };
  const corner = el("th", { scope: "col", rowspan: 2 }, el("button", start, el("span", { class: "name" }, "attack")));
  const heads = groups.map(([title, members]) => el("th", { scope: "colgroup", colspan: members.length }, title));
  const columns = groups.flatMap(([, members]) => members);
  return el("thead", null, el("tr", { class: "group" }, corner, heads), el("tr", null, columns.map(header)));
}

function header(cell) {
  const names = state.metric ? [] : cell.usual;
  const shows = names.map((name) => known(name).title).join(" / ");
  const lines = names.map((name) => `${known(name).title}: ${definition(name)}`);
  const sorted = state.sort === cell.defense && state.way;
  const { paper } = part(cell, 1);
  const handlers = {
    click: () => sortBy(cell.defense),
    blur: hideTip,
    focus: (event) => showTip(event.currentTarget, ["Sort by this column", paper, ...lines].filter(Boolean)),
  };
  const order = sorted ? (sorted > 0 ? "▼ best first" : "▲ worst first") : "";
  return el(
    "th",
    { scope: "col", "aria-sort": sorted ? (sorted > 0 ? "descending" : "ascending") : null },
    el(
      "button",
      {
        type: "button",
        tabindex: "-1",
        title: [paper, ...lines].filter(Boolean).join("\n") || null,
        "data-sort": cell.defense,
        ...handlers,
      },
      spec(cell.defense),
      badges(cell, 1),
      shows ? el("span", { class: "tiny" }, shows) : null,
      order ? el("span", { class: "tiny" }, order) : null,
    ),
  );
}

/** The pictures of the trigger of a row, if its undefended cell has some: clean, stamped, and their difference. */
function triggerOf(attack) {
  const cell = cellsHere().find((one) => one.attack === attack && one.kind === "baseline" && one.pictures);
  const found = cell?.pictures.gallery ?? [];
  return ["clean", "stamped", "difference"].flatMap((name) => found.find((one) => one.caption.startsWith(name)) ?? []);
}

/** The head of a row; with badges where no head of a group says what the attacker does. */
function rowHead(cell, grouped) {
  const tag = [year(cell, 0), cell.clean_label ? "clean-label" : "", cell.short].filter(Boolean).join(", ");
  const images = cell.benign
    ? []
    : triggerOf(cell.attack).map(({ src, caption }) => el("img", { src, alt: caption, title: caption }));
  return el(
    "th",
    { scope: "row", title: part(cell, 0).paper || null },
    spec(cell.attack),
    tag ? el("span", { class: "params" }, tag) : null,
    grouped ? null : badges(cell, 0),
    images.length ? el("span", { class: "trigger" }, images) : null,
  );
}

