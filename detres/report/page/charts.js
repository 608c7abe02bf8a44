// Charts as SVG, drawn as wide as their places are, so that their letters have one size on every screen.

const MARGIN = { left: 40, right: 10, top: 8, bottom: 36 };

/** Axes from 0 to 1 and what `paint(x, y)` draws between them; x and y turn shares into pixels. */
function unitChart(place, { height, across, up, label, paint }) {
  const width = Math.max(240, place.clientWidth);
  const x = (share) => MARGIN.left + share * (width - MARGIN.left - MARGIN.right);
  const y = (share) => height - MARGIN.bottom - share * (height - MARGIN.top - MARGIN.bottom);
  const parts = [];
  for (let tick = 0; tick <= 10; tick += 2) {
    const share = tick / 10;
    parts.push(
      draw("line", { x1: x(0), x2: x(1), y1: y(share), y2: y(share), stroke: "#e6e9ed" }),
      draw("line", { x1: x(share), x2: x(share), y1: y(0), y2: y(1), stroke: "#e6e9ed" }),
      draw("text", { x: MARGIN.left - 7, y: y(share) + 4, "text-anchor": "end" }, share.toFixed(1)),
      draw("text", { x: x(share), y: y(0) + 16, "text-anchor": "middle" }, share.toFixed(1)),
    );
  }
  parts.push(
    draw("text", { x: x(0.5), y: height - 3, "text-anchor": "middle" }, across),
    draw("text", { transform: `translate(11 ${y(0.5)}) rotate(-90)`, "text-anchor": "middle" }, up),
    ...paint(x, y),
  );
  place.replaceChildren(
    draw("svg", { role: "img", "aria-label": label, viewBox: `0 0 ${width} ${height}`, height }, ...parts),
  );
}

function path(points, x, y, attributes) {
  const d = points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  return draw("path", { d, fill: "none", "stroke-width": 2, ...attributes });
}

/** From dark to light as the threshold rises. */
function thresholdColour(place, count) {
  return `hsl(203 ${100 - 4 * place}% ${26 + (place * 46) / Math.max(1, count - 1)}%)`;
}

/** The curves of a class and their legend, an AP beside each. */
function drawPrecision(chart, legend, row, ious) {
  const curves = [];
  if (row.precision) {
    ious.forEach((iou, place) => {
      const shares = row.precision[place].map((value) => value / 1000);
      const points = shares.map((value, recall) => [recall / (shares.length - 1), value]);
      const stroke = thresholdColour(place, ious.length);
      curves.push({ name: `IoU ${iou.toFixed(2)}`, ap: mean(shares), points, stroke, dashes: null });
    });
  }
  if (row.vocCurve && row.vocCurve.length) {
    const points = row.vocCurve.map(([recall, precision]) => [recall / 1000, precision / 1000]);
    points.unshift([0, points[0][1]]);
    curves.push({ name: "VOC, IoU 0.50", ap: row.voc, points, stroke: "#d55e00", dashes: "5 4" });
  }
  // What is named first lies above what is named later, but for VOC's, which is dashed and hides none.
  const order = curves.filter((curve) => !curve.dashes).reverse().concat(curves.filter((curve) => curve.dashes));
  const told = curves.map((curve) => `${curve.name}: AP ${percent(curve.ap)}`);
  unitChart(chart, {
    height: 400, across: "recall", up: "precision",
    label: `Precision against recall of ${row.name}. ${told.join(", ") || "Nothing is to be found."}`,
    paint: (x, y) =>
      order.map((curve) => path(curve.points, x, y, { stroke: curve.stroke, "stroke-dasharray": curve.dashes })),
  });
  legend.replaceChildren(
    ...curves.map((curve) =>
      make("span", {}, lineSample(curve.stroke, curve.dashes), curve.name, " ", make("b", {}, percent(curve.ap)))),
  );
  if (!curves.length) legend.append("Nothing of this class is to be found.");
}

function lineSample(stroke, dashes) {
  return draw(
    "svg", { width: 26, height: 8, "aria-hidden": "true" },
    draw("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke, "stroke-width": 3, "stroke-dasharray": dashes }),
  );
}

function drawSizes(place, row, sizes) {
  place.replaceChildren(
    ...sizes.map((size, i) =>
      make(
        "div", { class: "size-row" },
        make("span", {}, size),
        make("span", { class: "bar" }, ...(row.sizes[i] === null ? [] : [barInside(row.sizes[i])])),
        make("span", { class: "number" }, percent(row.sizes[i])),
      ),
    ),
  );
}

function barInside(share, colour) {
  const bar = make("i", {});
  bar.style.width = `${Math.min(100, Math.max(0, 100 * (share || 0)))}%`;
  if (colour) bar.style.background = colour;
  return bar;
}

function drawCalibration(place, note, row) {
  const { counts, scores, rates, error } = row.calibration;
  const bins = counts.length;
  const most = Math.max(1, ...counts);
  const points = scores.map((score, i) => [score, rates[i], counts[i]]).filter(([score]) => score !== null);
  unitChart(place, {
    height: 260, across: "score", up: "share of hits",
    label: `Calibration of ${row.name}: expected calibration error ${percent(error)} per cent`,
    paint: (x, y) => [
      // How many detections a bin has, as a foot of its column, which the eye can compare within the chart.
      ...counts.map((count, i) =>
        draw("rect", {
          x: x(i / bins) + 1, width: x(1 / bins) - x(0) - 2, fill: "#e6e9ed",
          y: y((0.25 * count) / most), height: y(0) - y((0.25 * count) / most),
        }, draw("title", {}, `${counted(count, "detection")} with scores from ${(i / bins).toFixed(1)}`)),
      ),
      path([[0, 0], [1, 1]], x, y, { stroke: "#8a929c", "stroke-width": 1, "stroke-dasharray": "4 4" }),
      path(points, x, y, { stroke: "#0072b2" }),
      ...points.map(([score, rate, count]) =>
        draw("circle", { cx: x(score), cy: y(rate), r: 4, fill: "#0072b2" },
          draw("title", {}, `score ${score.toFixed(2)}, hits ${rate.toFixed(2)} of ${counted(count, "detection")}`))),
    ],
  });
  note.textContent = error === null
    ? "No detection of this class."
    : `Expected calibration error ${percent(error)} %. Below the dashed line scores are too high. ` +
      "Grey: how the detections spread.";
}
