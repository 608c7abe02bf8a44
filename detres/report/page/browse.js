// A set to look through: filters by split, class, size and oddity, and the order of the images.

const [SIZE, ODD, ACROSS, DOWN] = [5, 6, 7, 8];
const SIZES = ["small, below 32² pixels", "medium, to 96²", "large, above"];
const SIDE = (row) => Math.sqrt(row[ACROSS] * row[DOWN]);
const ORDERS = [
  ["as in the set", null],
  ["most boxes first", (image) => -image.boxes.length],
  ["fewest boxes first", (image) => image.boxes.length],
  ["smallest box first", (image) => Math.min(Infinity, ...image.boxes.map(SIDE))],
  ["largest box first", (image) => -Math.max(0, ...image.boxes.map(SIDE))],
  ["by name", (image) => image.name],
];

class SetGallery extends Cards {
  constructor(set, pictures) {
    super(set.images, pictures, 24);
    this.set = set;
    const numbered = (names) => names.map((name, place) => [place, name]);
    this.fill("filter-split", [["", "all splits"], ...numbered(set.splits)]);
    this.fill("filter-class", [["", "all classes"], ...numbered(set.classes)]);
    this.fill("filter-size", [["", "all sizes"], ...numbered(SIZES)]);
    const told = set.oddities.map((name, place) => [place, `${name} (${this.having(place)})`]);
    this.fill("filter-oddity", [["", "all images"], ...told]);
    this.fill("filter-order", numbered(ORDERS.map(([name]) => name)));
    this.restart();
  }

  /** How many of the images that are here have an oddity. */
  having(oddity) {
    return this.images.filter((image) => image.odd.includes(oddity)).length;
  }

  restart() {
    const chosen = (id) => (byId(id).value === "" ? null : Number(byId(id).value));
    this.wanted = {
      split: chosen("filter-split"), label: chosen("filter-class"), size: chosen("filter-size"),
      oddity: chosen("filter-oddity"),
    };
    const places = this.images.map((_, place) => place).filter((place) => this.isShown(this.images[place]));
    const key = ORDERS[chosen("filter-order")][1];
    if (key) {
      const keys = new Map(places.map((place) => [place, key(this.images[place])]));
      places.sort((a, b) => (keys.get(a) < keys.get(b) ? -1 : keys.get(a) > keys.get(b) ? 1 : a - b));
    }
    const boxes = places.reduce((sum, place) => sum + this.matching(this.images[place]).length, 0);
    byId("filter-count").textContent =
      `${places.length} of ${counted(this.images.length, "image")}, ${boxes.toLocaleString("en")} ` +
      `${boxes === 1 ? "box" : "boxes"} of what is asked for`;
    this.show(places);
  }

  isOfBoxes(oddity) {
    return oddity !== null && oddity < this.set.ofBoxes;
  }

  matches(row) {
    const { label, size, oddity } = this.wanted;
    return (label === null || row[LABEL] === label) && (size === null || row[SIZE] === size) &&
      (!this.isOfBoxes(oddity) || (row[ODD] >> oddity) % 2 === 1);
  }

  matching(image) {
    return image.boxes.filter((row) => this.matches(row));
  }

  isShown(image) {
    const { split, label, size, oddity } = this.wanted;
    if (split !== null && image.split !== split) return false;
    if (oddity !== null && !image.odd.includes(oddity)) return false;
    const asksForBoxes = label !== null || size !== null || this.isOfBoxes(oddity);
    return !asksForBoxes || image.boxes.some((row) => this.matches(row));
  }

  card(place) {
    const image = this.images[place];
    const matching = this.matching(image);
    const others = image.boxes.filter((row) => !this.matches(row));
    const boxes = [...others.map((row) => this.thing(row, false)), ...matching.map((row) => this.thing(row, true))];
    const odd = image.odd.filter((oddity) => !this.isOfBoxes(oddity)).map((oddity) => this.set.oddities[oddity]);
    const about = [this.set.splits[image.split], `${image.full[0]} × ${image.full[1]}`, ...odd].join(", ");
    const all = counted(image.boxes.length, "box").replace(/boxs$/, "boxes");
    const caption = matching.length === image.boxes.length ? all : `${matching.length} of ${all}`;
    return make("article", { class: "card", "data-image": place },
      make("h3", {}, image.name, make("span", {}, ` ${about}`)),
      make("div", { class: "panes" }, this.pane(place, caption + (image.left ? `; ${image.left} more are not drawn` : ""),
        boxes)),
      ...image.told.map((line) => make("p", { class: "told" }, line)),
      this.words(boxes));
  }

  thing(row, wanted) {
    const name = this.set.classes[row[LABEL]];
    const odd = this.set.oddities.filter((_, place) => place < this.set.ofBoxes && (row[ODD] >> place) % 2 === 1);
    const told = [name, `${row[ACROSS]} × ${row[DOWN]}`, ...odd].join(", ");
    if (!wanted) return this.box(row, IGNORED_COLOUR, "2 4", "", told);
    const ignored = this.set.ignored.some((place) => (row[ODD] >> place) % 2 === 1);
    // Neighbours on the list of classes lie far apart in hue.
    const colour = `hsl(${Math.round((row[LABEL] * 137.5) % 360)} 85% 65%)`;
    return this.box(row, colour, ignored ? "3 3" : null, name, told);
  }
}

new SetGallery(JSON.parse(byId("browse-data").textContent), JSON.parse(byId("browse-pictures").textContent));
