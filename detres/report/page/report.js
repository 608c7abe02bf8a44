// The parts of the page put together.

const report = JSON.parse(byId("report-data").textContent);

byId("about").textContent = report.about;
showHeadline(report.headline);
showErrors(report.errors);
showConfusion(report.confusion);
showSetup(report.environment, report.config);

const curveClass = byId("curve-class");
curveClass.append(...report.classes.map((row, place) => make("option", { value: place }, row.name)));

function showCurves() {
  const row = report.classes[Number(curveClass.value)];
  drawPrecision(byId("pr-chart"), byId("pr-legend"), row, report.axes.ious);
  drawSizes(byId("size-bars"), row, report.axes.sizes);
  drawCalibration(byId("calibration-chart"), byId("calibration-note"), row);
}

showClasses(report.classes, (place) => {
  curveClass.value = place;
  showCurves();
});
curveClass.addEventListener("input", showCurves);
// Charts keep the size of their letters, so they are drawn anew where the room for them changes.
let room = 0;
new ResizeObserver(() => {
  const width = byId("curves").clientWidth;
  if (width !== room) showCurves();
  room = width;
}).observe(byId("curves"));

byId("images-note").textContent =
  `The ${counted(report.images.length, "image")} that went worst, of ${report.imageCount.toLocaleString("en")}. ` +
  "Off by: the scores of false alarms, and for each object what the score of its hit lacks to 1. " +
  "Point at a box, or tap it, to read it.";
new Gallery(report, JSON.parse(byId("report-pictures").textContent));
