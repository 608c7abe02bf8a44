// Tables: headline, errors, classes, confusion, environment.

function headRow(labels) {
  return make("thead", {}, make("tr", {}, ...labels.map((label) =>
    typeof label === "string" ? make("th", { scope: "col" }, label) : label)));
}

function numberCell(text) {
  return make("td", { class: "number" }, text);
}

function showHeadline(rows) {
  byId("headline").replaceChildren(...rows.map((row) =>
    make("div", { class: "tile" },
      make("span", {}, row.label), make("b", {}, percent(row.value)), make("small", {}, row.note))));
}

function showErrors(errors) {
  byId("errors-note").textContent = errors.ap50 === null
    ? "There is nothing to find, so errors cost nothing."
    : `AP50 is ${percent(errors.ap50)}. Detections of any score count, as they do for AP.`;
  const most = Math.max(0.001, ...errors.rows.map((row) => row.cost || 0));
  const body = errors.rows.map((row) => make("tr", {},
    make("th", { scope: "row" }, swatch(KIND_COLOURS[row.kind]), row.kind),
    numberCell(row.cost === null ? "–" : `+${percent(row.cost, 2)}`),
    make("td", { class: "chart-cell" },
      make("span", { class: "bar", "aria-hidden": "true" }, barInside(row.cost / most))),
    numberCell(row.count.toLocaleString("en")),
    numberCell(row.confident === null ? "–" : row.confident.toLocaleString("en")),
    make("td", { class: "wordy" }, row.definition)));
  const both = [
    ["all false positives", errors.falsePositives, "No false alarm of any kind is left."],
    ["all false negatives", errors.falseNegatives, "No object that was not found is asked for."],
  ].map(([name, cost, definition]) => make("tr", {},
    make("th", { scope: "row" }, name), numberCell(cost === null ? "–" : `+${percent(cost, 2)}`),
    make("td", { class: "chart-cell" }), make("td", {}), make("td", {}), make("td", { class: "wordy" }, definition)));
  const head = (label) => make("th", { scope: "col", class: "number" }, label);
  byId("error-table").replaceChildren(
    headRow(["Error", head("Cost in AP50"), make("td", { class: "chart-cell" }), head("Count"),
      head(`Score ≥ ${errors.confident}`), make("th", { scope: "col", class: "wordy" }, "Definition")]),
    make("tbody", {}, ...body, ...both));
}

function swatch(colour) {
  const sample = make("span", { class: "swatch", "aria-hidden": "true" });
  sample.style.background = colour;
  return sample;
}

const CLASS_COLUMNS = [
  ["Class", (row) => row.name], ["Objects", (row) => row.objects], ["AP", (row) => row.AP], ["AP50", (row) => row.AP50],
  ["VOC AP50", (row) => row.voc], ["AP small", (row) => row.sizes[1]], ["AP medium", (row) => row.sizes[2]],
  ["AP large", (row) => row.sizes[3]], ["Calibration error", (row) => row.calibration.error],
];

/** Every class a row; heads sort, rising and falling in turns. choose: called with the place of the class chosen. */
function showClasses(rows, choose) {
  const table = byId("class-table");
  const body = make("tbody", {});
  const line = new Map(rows.map((row, place) => [row, make("tr", {}, ...CLASS_COLUMNS.map(([, value], column) =>
    column === 0
      ? make("th", { scope: "row" }, make("a", { href: "#curves", onclick: () => choose(place) }, row.name))
      : numberCell(column === 1 ? value(row).toLocaleString("en") : percent(value(row)))))]));
  const heads = CLASS_COLUMNS.map(([label], column) =>
    make("th", { scope: "col", class: column ? "number" : null, "aria-sort": "none" },
      make("button", { type: "button", onclick: () => sort(column) }, label)));
  function sort(column) {
    const before = heads[column].getAttribute("aria-sort");
    // Names rise first, numbers fall first.
    const rising = before === "none" ? column === 0 : before === "descending";
    heads.forEach((head) => head.setAttribute("aria-sort", "none"));
    heads[column].setAttribute("aria-sort", rising ? "ascending" : "descending");
    const value = CLASS_COLUMNS[column][1];
    const sorted = rows.slice().sort((a, b) => compared(value(a), value(b), rising));
    // All classes together stay first.
    body.replaceChildren(line.get(rows[0]), ...sorted.filter((row) => row !== rows[0]).map((row) => line.get(row)));
  }
  body.append(...line.values());
  table.replaceChildren(headRow(heads), body);
}

/** What is undefined comes last, either way. */
function compared(a, b, rising) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return rising ? order : -order;
}

function showConfusion(confusion) {
  const names = [...confusion.names, "background"];
  byId("confusion-note").textContent =
    "Objects (rows) by the class they were found as (columns): detections of " +
    `score ≥ ${confusion.score} at IoU ≥ 0.5, an object's own class first. ` +
    "The last column: objects not found. The last row: detections without an object. " +
    "A cell's shade is its share of the row." +
    (confusion.left
      ? ` These are the ${confusion.names.length} classes confused most; ${confusion.left} others are left out.` : "");
  const table = byId("confusion-table");
  table.classList.toggle("dense", names.length > 12);
  const rows = confusion.counts.map((counts, truth) => {
    const total = counts.reduce((sum, count) => sum + count, 0);
    return make("tr", {}, make("th", { scope: "row" }, names[truth]), ...counts.map((count, found) => {
      if (truth === names.length - 1 && found === truth) return make("td", {});
      const cell = make("td", { title: `${names[truth]} found as ${names[found]}: ${count} of ${total}` }, count || "");
      const share = total ? count / total : 0;
      const hue = truth === found ? "0, 158, 115" : "213, 94, 0";
      cell.style.background = `rgba(${hue}, ${count ? 0.08 + 0.62 * share : 0.02})`;
      return cell;
    }));
  });
  table.replaceChildren(headRow(["object ↓  found as →", ...names]), make("tbody", {}, ...rows));
  if (confusion.pairs.length) {
    byId("confusion-pairs").replaceChildren(
      make("p", { class: "quiet" }, "Most often: " +
        confusion.pairs.map(([truth, found, count]) => `${truth} found as ${found} (${count})`).join(", ") + "."));
  }
}

function showSetup(environment, config) {
  byId("environment-table").replaceChildren(make("tbody", {}, ...environment.map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)))));
  byId("config").textContent = config;
}
