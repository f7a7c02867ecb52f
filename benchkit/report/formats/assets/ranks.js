// Mean ranks across attacks, for the metric that is shown.
function rankingsHere() {
  const heads = new Map(
    cellsHere()
      .filter((cell) => cell.kind !== "baseline" && cell.judged in cell.metrics)
      .map((cell) => [cell.kind, cell.judged]),
  );
  const wanted = ({ metric, kind }) =>
    state.metric ? metric === state.metric : kind ? heads.get(kind) === metric : [...heads.values()].includes(metric);
  return scene().rankings.filter((one) => wanted(one) && !state.off.has(one.kind || " "));
}

function verdict({ test, attacks, ranks }) {
  if (!test) {
    return Object.keys(ranks).length < 3 || attacks.length < 3
      ? "Too few for a test of whether ranks differ: it takes three defenses and three attacks."
      : "Fewer than three seeds: no test of whether ranks differ.";
  }
  const p = test.p < 0.001 ? "p < 0.001" : `p = ${test.p.toFixed(3)}`;
  return (
    `Friedman's test over ${attacks.length} attacks: chi-squared = ${test.statistic.toFixed(2)}, ${p}. ` +
    (test.p < 0.05
      ? `Two defenses differ at the 5 % level when their mean ranks lie more than ${test.distance.toFixed(2)} apart; ` +
        "a bar joins those that do not."
      : "No difference between these defenses is significant at the 5 % level.")
  );
}

function rankCard(ranking) {
  const { metric, kind, population, attacks, ranks, means, left_out: leftOut, excluded, test } = ranking;
  const most = Object.keys(ranks).length;
  const rows = Object.entries(ranks).map(([name, rank]) =>
    el(
      "tr",
      null,
      el("th", { scope: "row" }, spec(name)),
      el("td", { class: "share" }, bar(most > 1 ? (most - rank) / (most - 1) : 1), rank.toFixed(2)),
      el("td", null, show(metric, means[name]) + unit(metric)),
    ),
  );
  return el(
    "div",
    { class: "card" },
    el(
      "h3",
      null,
      ...["By ", term(metric), kind ? `: ${kindName(kind)}` : ": all kinds of defense"],
      population ? `, over ${population} + ${population} models` : "",
    ),
    plainTable("plain", ["defense", "mean rank", "mean"], rows),
    test
      ? el(
          "div",
          { class: "scroll", role: "region", tabindex: "0", "aria-label": "Critical differences" },
          criticalDifference(ranking),
        )
      : null,
    el("p", { class: "quiet" }, verdict(ranking)),
    el(
      "p",
      { class: "quiet", title: attacks.join("\n") },
      `Over the ${count(attacks.length, "attack")} that every one of them met` +
        (leftOut.length ? `; left out, with fewer than half of the attacks: ${leftOut.join(", ")}.` : "."),
    ),
    el(
      "p",
      { class: "quiet" },
      "Two that no interval tells apart share their ranks; who carries a warning, or lost too much C-Acc, comes last.",
      excluded.length ? ` Not counted, since no defense stands there: ${excluded.join(", ")}.` : "",
    ),
  );
}

function drawRanks() {
  const found = rankingsHere();
  const none =
    "Nothing to rank here: it takes a metric with a better end, and two defenses that met the same two attacks.";
  byId("ranks").className = found.length ? "ranks" : "";
  byId("ranks").replaceChildren(...(found.length ? found.map(rankCard) : [el("p", { class: "quiet" }, none)]));
}
