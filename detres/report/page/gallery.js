// The worst images: objects beside detections as boxes on the picture, and the filters that choose among them.

const [LABEL, LEFT, TOP, WIDTH, HEIGHT, SCORE, KIND, OVERLAP] = [0, 1, 2, 3, 4, 5, 6, 7];
const [UNFOUND, IGNORED] = [-1, -2]; // what an object has instead of a score
const [FOUND, NOT_COUNTED] = [-1, -2]; // what a detection has instead of a kind
const PAGE = 10;
const LABELS = 15; // More on one picture hide each other.

class Gallery {
  constructor(report, pictures) {
    this.report = report;
    this.pictures = pictures;
    this.kinds = report.errors.rows.map((row) => row.kind);
    this.shown = PAGE;
    this.fill("filter-class", [["", "all classes"], ...report.classes.slice(1).map((row, label) => [label, row.name])]);
    const kinds = this.kinds.map((kind) => [kind, kind]);
    this.fill("filter-kind", [["", "everything"], ["error", "images with errors"], ...kinds]);
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("filters").addEventListener("input", () => this.restart());
    byId("more").addEventListener("click", () => this.grow());
    this.legend();
    this.restart();
  }

  fill(id, options) {
    byId(id).replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
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
    this.places = this.report.images.map((_, place) => place).filter((place) => this.isShown(this.boxes(place)));
    this.shown = 0;
    byId("gallery").replaceChildren();
    const boxes = this.places.reduce((sum, place) => sum + this.boxes(place).detections.length, 0);
    byId("filter-count").textContent =
      `${this.places.length} of ${counted(this.report.images.length, "image")}, ${counted(boxes, "detection")} shown`;
    this.grow();
  }

  grow() {
    const next = this.places.slice(this.shown, this.shown + PAGE);
    byId("gallery").append(...next.map((place) => this.card(place)));
    this.shown += next.length;
    byId("more").hidden = this.shown >= this.places.length;
  }

  /** What the filters leave of an image's objects and detections. */
  boxes(place) {
    const { label, kind, score } = this.wanted;
    const image = this.report.images[place];
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
    const image = this.report.images[place];
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
      this.words(things, found));
  }

  /** The same in words, for those who cannot see the boxes or point at them; written when it is opened. */
  words(things, found) {
    const list = make("div", { class: "panes" });
    const fill = () => list.replaceChildren(...[things, found.slice().reverse()].map((boxes) =>
      make("ul", {}, ...boxes.map((box) => make("li", {}, box.told)))));
    return make("details", { class: "words", ontoggle: fill }, make("summary", {}, "In words"), list);
  }

  pane(place, caption, boxes) {
    const { width, height, name } = this.report.images[place];
    const picture = draw("image", { href: "data:image/jpeg;base64," + this.pictures[place], width, height,
      preserveAspectRatio: "none" });
    const told = make("figcaption", {}, caption);
    // Where nothing can be pointed at, a tap tells what a box is.
    const tell = (text) => told.replaceChildren(text);
    const texts = boxes.filter((box) => box.text);
    const labelled = new Set(texts.slice(-LABELS));
    return make("figure", {}, told,
      draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name}, ${caption}` },
        picture, ...boxes.map((box) => this.paint(box, width, height, labelled.has(box), tell))));
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

  /** text: beside the box. told: when it is pointed at or tapped. */
  box(row, stroke, dashes, text, told) {
    return { row, stroke, dashes, text, told };
  }

  /** A box on a picture of this width and height. */
  paint({ row, stroke, dashes, text, told }, width, height, labelled, tell) {
    const [x, y] = [(row[LEFT] * width) / 1000, (row[TOP] * height) / 1000];
    const outline = { x, y, width: (row[WIDTH] * width) / 1000, height: (row[HEIGHT] * height) / 1000 };
    const rim = { class: "hit-area", stroke: "rgba(0, 0, 0, 0.55)", "stroke-width": 4, "stroke-dasharray": dashes };
    const parts = [
      draw("title", {}, told),
      draw("rect", { ...outline, ...rim }),
      draw("rect", { ...outline, stroke, "stroke-width": 2, "stroke-dasharray": dashes }),
    ];
    if (labelled) {
      const size = Math.max(width, height) / 42;
      const inside = Math.max(0, Math.min(x, width - 0.66 * size * text.length));
      const above = y > 1.2 * size ? y - 0.3 * size : y + size;
      parts.push(
        draw("text", { x: inside, y: above, fill: stroke, "font-size": size, "stroke-width": size / 5 }, text));
    }
    return draw("g", { onclick: () => tell(told) }, ...parts);
  }
}
