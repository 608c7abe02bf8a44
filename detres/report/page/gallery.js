// The worst images: objects beside detections as boxes on the picture, and the filters that choose among them.

const [SCORE, KIND, OVERLAP] = [5, 6, 7];
const [UNFOUND, IGNORED] = [-1, -2]; // what an object has instead of a score
const [FOUND, NOT_COUNTED] = [-1, -2]; // what a detection has instead of a kind

class Gallery extends Cards {
  constructor(report, pictures) {
    super(report.images, pictures);
    this.report = report;
    this.kinds = report.errors.rows.map((row) => row.kind);
    this.fill("filter-class", [["", "all classes"], ...report.classes.slice(1).map((row, label) => [label, row.name])]);
    const kinds = this.kinds.map((kind) => [kind, kind]);
    this.fill("filter-kind", [["", "everything"], ["error", "images with errors"], ...kinds]);
    this.legend();
    this.restart();
  }

  legend() {
    const rows = [["found", HIT_COLOUR, null], ["not found at this score", KIND_COLOURS.missed, "3 3"]];
    rows.push(...this.kinds.filter((kind) => kind !== "missed").map((kind) => [kind, KIND_COLOURS[kind], "7 3"]));
    rows.push(["ignored", IGNORED_COLOUR, "3 3"]);
    byId("gallery-legend").replaceChildren(
      ...rows.map(([name, colour, dashes]) => make("li", {}, lineSample(colour, dashes), name)));
  }

  restart() {
    this.wanted = {
      label: byId("filter-class").value === "" ? null : Number(byId("filter-class").value),
      kind: byId("filter-kind").value,
      score: 1000 * Number(byId("filter-score").value),
    };
    byId("filter-score-value").textContent = Number(byId("filter-score").value).toFixed(2);
    const places = this.images.map((_, place) => place).filter((place) => this.isShown(this.boxes(place)));
    const boxes = places.reduce((sum, place) => sum + this.boxes(place).detections.length, 0);
    byId("filter-count").textContent =
      `${places.length} of ${counted(this.images.length, "image")}, ${counted(boxes, "detection")} shown`;
    this.show(places);
  }

  /** What the filters leave of an image's objects and detections. */
  boxes(place) {
    const { label, kind, score } = this.wanted;
    const image = this.images[place];
    const ofClass = (row) => label === null || row[LABEL] === label;
    const detections = image.detections.filter(
      (row) => row[SCORE] >= score && ofClass(row) && this.isWanted(row[KIND], kind));
    return { objects: image.objects.filter(ofClass), detections };
  }

  isWanted(place, kind) {
    if (kind === "") return true;
    if (kind === "error") return place >= 0;
    return this.kinds[place] === kind;
  }

  isUnfound(row) {
    return row[SCORE] !== IGNORED && row[SCORE] < this.wanted.score - 1e-9 || row[SCORE] === UNFOUND;
  }

  isShown({ objects, detections }) {
    const missed = objects.some((row) => this.isUnfound(row));
    if (this.wanted.kind === "missed") return missed;
    if (this.wanted.kind === "error") return missed || detections.length > 0;
    if (this.wanted.kind === "") return this.wanted.label === null || objects.length > 0 || detections.length > 0;
    return detections.length > 0;
  }

  card(place) {
    const image = this.images[place];
    const { objects, detections } = this.boxes(place);
    const missed = objects.filter((row) => this.isUnfound(row)).length;
    const wrong = detections.filter((row) => row[KIND] >= 0).length;
    const things = objects.map((row) => this.object(row));
    const found = detections.map((row) => this.detection(row));
    return make("article", { class: "card", "data-image": place },
      make("h3", {}, image.name, make("span", {}, ` #${place + 1}, off by ${image.badness.toFixed(1)}`)),
      make("div", { class: "panes" },
        this.pane(place, `ground truth: ${counted(objects.length, "object")}, ${missed} not found`, things),
        this.pane(place, `predictions: ${counted(detections.length, "detection")}, ${wrong} wrong`, found)),
      this.words(things, found.slice().reverse()));
  }

  object(row) {
    const name = this.report.classes[row[LABEL] + 1].name;
    const score = (row[SCORE] / 1000).toFixed(2);
    if (row[SCORE] === IGNORED) return this.box(row, IGNORED_COLOUR, "3 3", "", `${name}, ignored`);
    if (!this.isUnfound(row)) return this.box(row, HIT_COLOUR, null, "", `${name}, found with ${score}`);
    const why = row[SCORE] === UNFOUND ? "not found" : `found with ${score} only`;
    return this.box(row, KIND_COLOURS.missed, "3 3", name, `${name}, ${why}`);
  }

  detection(row) {
    const text = `${this.report.classes[row[LABEL] + 1].name} ${(row[SCORE] / 1000).toFixed(2)}`;
    const overlap = `IoU ${(row[OVERLAP] / 1000).toFixed(2)}`;
    if (row[KIND] === FOUND) return this.box(row, HIT_COLOUR, null, "", `${text}, found at ${overlap}`);
    if (row[KIND] === NOT_COUNTED) return this.box(row, IGNORED_COLOUR, "3 3", "", `${text}, ignored`);
    const kind = this.kinds[row[KIND]];
    return this.box(row, KIND_COLOURS[kind], "7 3", text, `${text}, ${kind}${row[OVERLAP] ? `, ${overlap}` : ""}`);
  }
}
