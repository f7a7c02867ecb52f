// Figures, drawn as SVG: critical differences, ROC curves, score histograms.
const GROUPS = ["clean", "triggered", "control"];
const HUES = GROUPS.map((name) => `var(--${name})`);

/** Demsar's plot: an axis of mean ranks, best at the left; a bar joins defenses that do not differ significantly. */
function criticalDifference(ranking) {
  const { ranks, test } = ranking,
    names = Object.keys(ranks),
    half = Math.ceil(names.length / 2);
  const short = (name) => (name.length > 24 ? `${name.slice(0, 23)}…` : name);
  const margin = 32 + 7 * (5 + Math.max(...names.map((name) => short(name).length)));
  const left = margin,
    right = margin + 260,
    width = right + margin,
    top = 62,
    step = 22,
    bars = test.cliques.length * 9;
  const most = Math.max(names.length, 2);
  const x = (rank) => left + ((right - left) * (rank - 1)) / (most - 1);
  const height = top + bars + 26 + half * step;
  const ticks = Array.from({ length: most }, (_, index) => index + 1);
  const hang = (name, index) => {
    const first = index < half,
      line = first ? index : names.length - 1 - index;
    const y = top + bars + 22 + line * step,
      edge = first ? left - 18 : right + 18;
    return [
      svg("polyline", { class: "ink", points: `${x(ranks[name])},${top} ${x(ranks[name])},${y} ${edge},${y}` }),
      svg(
        "text",
        { x: first ? edge - 6 : edge + 6, y: y + 4, "text-anchor": first ? "end" : "start" },
        svg("title", null, name),
        `${short(name)} ${ranks[name].toFixed(2)}`,
      ),
    ];
  };
  const bar = (clique, index) => {
    const y = top + 10 + index * 9,
      [from, to] = [clique[0], clique.at(-1)].map((name) => x(ranks[name]));
    const stroke = { stroke: "var(--accent)", "stroke-width": 4, "stroke-linecap": "round" };
    return svg("line", { x1: from - 4, x2: to + 4, y1: y, y2: y, ...stroke });
  };
  const wide = Math.min(test.distance, most - 1),
    name =
      `Critical difference ${test.distance.toFixed(2)}; mean ranks: ` +
      names.map((one) => `${one} ${ranks[one].toFixed(2)}`).join(", ");
  const plot = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, class: "cd", role: "img", "aria-label": name },
    svg("line", { class: "ink", x1: x(1), x2: x(1 + wide), y1: 24, y2: 24, "stroke-width": 2 }),
    [x(1), x(1 + wide)].map((at) => svg("line", { class: "ink", x1: at, x2: at, y1: 19, y2: 29 })),
    svg(
      "text",
      { x: x(1), y: 13 },
      `CD ${test.distance.toFixed(2)}${test.distance > most - 1 ? " (longer than the axis)" : ""}`,
    ),
    svg("line", { class: "ink", x1: left, x2: right, y1: top, y2: top }),
    ticks.map((tick) => [
      svg("line", { class: "ink", x1: x(tick), x2: x(tick), y1: top - 5, y2: top }),
      svg("text", { class: "soft", x: x(tick), y: top - 9, "text-anchor": "middle" }, String(tick)),
    ]),
    names.map(hang),
    test.cliques.map(bar),
  );
  [plot.style.minWidth, plot.style.maxWidth] = [`${0.8 * width}px`, `${width}px`];
  return plot;
}

function frame(label, xs, ys, xTitle, yTitle, ...marks) {
  const axis = [
    svg("path", { class: "rule", d: "M44 10V190H330" }),
    xs.map(([at, text]) => svg("text", { class: "soft", x: 44 + 286 * at, y: 205, "text-anchor": "middle" }, text)),
    ys.map(([at, text]) => svg("text", { class: "soft", x: 38, y: 194 - 180 * at, "text-anchor": "end" }, text)),
    svg("text", { class: "soft", x: 187, y: 222, "text-anchor": "middle" }, xTitle),
    svg("text", { class: "soft", x: 10, y: 100, "text-anchor": "middle", transform: "rotate(-90 10 100)" }, yTitle),
  ];
  return svg("svg", { viewBox: "0 0 345 228", role: "img", "aria-label": label }, axis, marks);
}

const keyOf = (rows) =>
  el(
    "div",
    { class: "key" },
    rows.map(([text, hue]) => {
      const mark = el("i");
      mark.style.setProperty("--of", hue);
      return el("span", null, mark, text);
    }),
  );

/** The ROC curves of one cell, one per seed. */
function rocFigure(records) {
  const shares = [
    [0, "0"],
    [0.5, "50"],
    [1, "100"],
  ];
  const lines = records.map(({ curves: { roc } }, index) =>
    svg("polyline", {
      fill: "none",
      stroke: HUES[index % 3],
      "stroke-width": 2,
      points: roc.fpr.map((fpr, at) => `${44 + 286 * fpr},${190 - 180 * roc.tpr[at]}`).join(" "),
    }),
  );
  const guess = svg("path", { class: "rule", d: "M44 190L330 10", "stroke-dasharray": "4 4" });
  return el(
    "figure",
    null,
    el("figcaption", null, "ROC: triggered inputs flagged against clean inputs flagged"),
    frame("ROC curve", shares, shares, "false alarms, %", "detected, %", guess, lines),
    keyOf(records.map((one, index) => [`seed ${one.seed}`, HUES[index % 3]])),
  );
}

/** The scores of one seed, as shares of each group. */
function scoresFigure({ seed, curves: { scores, threshold } }) {
  const groups = GROUPS.filter((name) => name in scores),
    { edges } = scores;
  const shares = Object.fromEntries(
    groups.map((name) => {
      const total = scores[name].reduce((sum, one) => sum + one, 0) || 1;
      return [name, scores[name].map((one) => one / total)];
    }),
  );
  const most = Math.max(...Object.values(shares).flat()) || 1,
    span = edges.at(-1) - edges[0];
  const x = (value) => 44 + (286 * (value - edges[0])) / span;
  const y = (share) => 190 - (180 * share) / most;
  const steps = (row) => row.map((one, at) => `${x(edges[at])},${y(one)} ${x(edges[at + 1])},${y(one)}`);
  const hue = (name) => HUES[GROUPS.indexOf(name)];
  const shapes = groups.map((name) =>
    svg("polygon", {
      fill: hue(name),
      "fill-opacity": 0.25,
      stroke: hue(name),
      "stroke-width": 1.5,
      points: `${x(edges[0])},190 ${steps(shares[name]).join(" ")} ${x(edges.at(-1))},190`,
    }),
  );
  const inside = threshold >= edges[0] && threshold <= edges.at(-1);
  const line = { x1: x(threshold), x2: x(threshold), y1: 10, y2: 190, class: "ink", "stroke-dasharray": "5 3" };
  const told = Number((threshold ?? 0).toPrecision(3));
  const ends = [0, 0.5, 1].map((at) => [at, String(Number((edges[0] + span * at).toPrecision(3)))]);
  return el(
    "figure",
    null,
    el("figcaption", null, `Scores of seed ${seed}: share of each group, higher is more suspicious`),
    frame(
      "Histogram of scores",
      ends,
      [
        [0, "0"],
        [1, (100 * most).toFixed(0)],
      ],
      "score",
      "share, %",
      [shapes, inside ? svg("line", line) : null],
    ),
    keyOf(groups.map((name) => [name, hue(name)])),
    threshold === undefined ? null : el("figcaption", null, `Flagged from the threshold ${told} on (dashed line).`),
  );
}

/** The pictures of one seed. */
const galleryFigure = ({ seed, gallery }) =>
  el(
    "div",
    { class: "gallery" },
    gallery.map(({ src, caption }) =>
      el(
        "figure",
        null,
        el("img", { src, alt: caption || `example of seed ${seed}` }),
        el("figcaption", null, caption || `seed ${seed}`),
      ),
    ),
  );
