// Downloads, made from the data in this page, in the form that `benchkit report --format csv|json` writes.
const COLUMNS = ["attack", "defense", "dataset", "model", "recipe", "poison_rate"];

function quoted(value) {
  const text = value === null || value === undefined ? "" : String(value);
  // A text that begins like a formula would be one to a spreadsheet; numbers are left alone.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function toCsv() {
  const rows = DATA.cells.flatMap((cell) => {
    const place = COLUMNS.map((axis) => cell[axis]),
      found = Object.entries(cell.metrics);
    return (found.length ? found.map(([name, one]) => [name, one.mean, one.ci95, one.n]) : [["", "", "", 0]]).map(
      (row) => [...place, ...row, cell.status, `[${cell.warnings.map((text) => JSON.stringify(text)).join(", ")}]`],
    );
  });
  return [[...COLUMNS, "metric", "mean", "ci95", "n", "status", "warnings"], ...rows]
    .map((row) => `${row.map(quoted).join(",")}\n`)
    .join("");
}

function toJson() {
  const cells = DATA.cells.map((cell) => ({
    ...Object.fromEntries(COLUMNS.map((axis) => [axis, cell[axis]])),
    seeds: cell.records.map((one) => one.seed),
    status: cell.status,
    warnings: cell.warnings,
    metrics: Object.fromEntries(
      Object.entries(cell.metrics).map(([name, { mean, ci95, n }]) => [name, { mean, ci95, n }]),
    ),
  }));
  return `${JSON.stringify(cells, null, 2)}\n`;
}

function download(name, type, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
