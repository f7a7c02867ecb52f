// The switches, and which cells they leave.
const scene = () => DATA.scenes[state.scene];
const cellsHere = () => scene().cells.map((id) => ({ id, ...DATA.cells[id] }));
const kindsThere = () => [...new Set(DATA.cells.toSorted((a, b) => a.place[1][0] - b.place[1][0]).map((c) => c.kind))];
const namesOf = (cell) => (state.metric ? [state.metric] : cell.shown);
/** What cells are compared by: their columns' last number may hide what it cost. */
const judged = (cell) =>
  [state.metric || cell.judged, namesOf(cell).at(-1)].find((name) => name in cell.metrics) ?? namesOf(cell).at(-1);

function byPlace(axis) {
  return (a, b) => {
    const [[x, nameX], [y, nameY]] = [a.place[axis], b.place[axis]];
    return x - y || (nameX < nameY ? -1 : nameX > nameY ? 1 : 0);
  };
}

/** A component of a cell, with what it assumes: its attack, 0, or its defense, 1. */
const part = (cell, axis) => DATA.components[cell.parts[axis]];
const thingsThere = (axis) => [...new Set(DATA.cells.flatMap((cell) => part(cell, axis).things))];

/** Whether attacker and defender of a cell have all that they cannot do without. */
const able = (cell) => [0, 1].every((axis) => part(cell, axis).things.every((thing) => !state.off.has(thing)));

/** Put into groups, in order: [title, members] of each; `key` returns the title, `sorts` the order of a member. */
function grouped(cells, key, sorts) {
  const groups = new Map();
  for (const cell of cells) groups.set(key(cell), [...(groups.get(key(cell)) ?? []), cell]);
  const least = (group) => Math.min(...group.map(sorts));
  return [...groups].sort(([, a], [, b]) => least(a) - least(b));
}

/** Return the cells to show: of the chosen kinds and names, in rows and columns that can have the metric. */
function visible() {
  const wanted = (text, words) =>
    words
      .toLowerCase()
      .split(/[\s,]+/)
      .every((word) => text.toLowerCase().includes(word));
  const cells = cellsHere().filter(
    (cell) =>
      !state.off.has(cell.kind) &&
      able(cell) &&
      wanted(cell.attack, state.attack) &&
      wanted(cell.defense, state.defense),
  );
  if (!state.metric) return cells;
  const having = cells.filter((cell) => cell.status !== "ok" || state.metric in cell.metrics);
  const rows = new Set(having.map((cell) => cell.attack)),
    columns = new Set(having.map((cell) => cell.defense));
  return cells.filter((cell) => rows.has(cell.attack) && columns.has(cell.defense));
}

function select(label, options, value, change) {
  const made = options.map(([key, text]) => el("option", { value: key }, text));
  const box = el("select", { change: (event) => change(event.target.value) }, made);
  box.value = value;
  return el("label", null, label, box);
}

function search(label, key) {
  const change = (event) => {
    state[key] = event.target.value.trim();
    draw();
  };
  return el("label", null, label, el("input", { type: "search", placeholder: "part of a name", input: change }));
}

/** Go to the scene that has this value on this axis and shares most with the present one. */
function move(axis, value) {
  const here = scene();
  const likeness = (other) =>
    (other[axis] === value ? 100 : 0) + Object.keys(AXES).filter((name) => other[name] === here[name]).length;
  const likest = (best, other, index, all) => (likeness(other) > likeness(all[best]) ? index : best);
  state.scene = DATA.scenes.reduce(likest, 0);
  buildSwitches();
  draw();
  byId(`axis-${axis}`)?.focus();
}

function rowOrders() {
  const names = new Set(cellsHere().map((cell) => cell.defense));
  return [["", "by what the attacker does"], ...[...names].map((name) => [name, `best against ${name} first`])];
}

function buildSwitches() {
  const metrics = Object.entries(DATA.metrics)
    .filter(([name]) => DATA.cells.some((cell) => name in cell.metrics))
    .map(([name, { title, better }]) => [name, better === "neither" ? title : `${title} (${better} is better)`]);
  const axes = Object.entries(AXES)
    .map(([axis, label]) => [axis, label, [...new Set(DATA.scenes.map((one) => one[axis]))]])
    .filter(([, , values]) => values.length > 1);
  byId("switches").replaceChildren(
    select("Metric", [["", "Headline numbers"], ...metrics], state.metric, (value) => {
      state.metric = value;
      draw();
    }),
    ...axes.map(([axis, label, values]) => {
      const made = select(
        label,
        values.map((value) => [value, value]),
        scene()[axis],
        (value) => move(axis, value),
      );
      made.querySelector("select").id = `axis-${axis}`;
      return made;
    }),
    select(
      "Columns",
      [
        ["kind", "by kind of defense"],
        ["things", "by what the defender has, least first"],
      ],
      state.columns,
      (value) => {
        state.columns = value;
        draw();
      },
    ),
    select("Rows", rowOrders(), state.way ? state.sort : "", (value) => {
      [state.sort, state.way] = [value, value ? 1 : 0];
      draw();
    }),
    search("Attacks", "attack"),
    search("Defenses", "defense"),
  );
  const selects = [...document.querySelectorAll("#switches select")];
  [selects.at(-2).id, selects.at(-1).id] = ["columns-by", "rows-by"];
  const [attacks, defenses] = document.querySelectorAll("#switches input");
  [attacks.value, defenses.value] = [state.attack, state.defense];
}

/** Check boxes that turn off what is named: kinds of defense, or what attackers or defenders have. */
function buildChips(place, names, title) {
  const chips = names.map((name) => {
    const change = (event) => {
      state.off[event.target.checked ? "delete" : "add"](name);
      draw();
    };
    return el("label", { class: "chip" }, el("input", { type: "checkbox", checked: "", change }), title(name));
  });
  byId(place).append(...chips);
  byId(place).hidden = !names.length;
}
