// The results as a table with the same columns as predict.py.

const COLUMNS = ["path", "prediction", "probability", "review", "warnings", "error"];

// Return the table as text, with the byte order mark by which Excel recognises UTF-8.
export function csvOf(cards) {
  const rows = [COLUMNS, ...cards.map(rowOf)];
  return `\ufeff${rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("")}`;
}

function rowOf({ name, kind, said, problem }) {
  const path = /^[=+\-@\t\r]/.test(name) ? `'${name}` : name; // so that no spreadsheet sees a formula
  if (kind === "waiting") return [path, "", "", "", "", "waiting"];
  if (kind === "refused") return [path, "", "", "", "", problem.kind ?? "refused"];
  const review = said.review ? "yes" : "no";
  return [path, said.prediction, said.probability.toFixed(4), review, said.warnings.join(" "), ""];
}

function cell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
