// Images as cards, a few at a time, their boxes drawn on them: what the pages of reports and of sets have in common.

const [LABEL, LEFT, TOP, WIDTH, HEIGHT] = [0, 1, 2, 3, 4];
const LABELS = 15; // More on one picture hide each other.

class Cards {
  /** images: with name, width and height. pictures: their JPEG files. atOnce: how many are added. A subclass says
   *  what a card(place) is. */
  constructor(images, pictures, atOnce = 10) {
    this.atOnce = atOnce;
    this.images = images;
    this.pictures = pictures;
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("filters").addEventListener("input", () => this.restart());
    byId("more").addEventListener("click", () => this.grow());
  }

  fill(id, options) {
    byId(id).replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  }

  /** Show these images alone, the first of them at once. */
  show(places) {
    this.places = places;
    this.shown = 0;
    byId("gallery").replaceChildren();
    this.grow();
  }

  grow() {
    const next = this.places.slice(this.shown, this.shown + this.atOnce);
    byId("gallery").append(...next.map((place) => this.card(place)));
    this.shown += next.length;
    byId("more").hidden = this.shown >= this.places.length;
  }

  /** The same in words, for those who cannot see the boxes or point at them; written when it is opened. */
  words(...lists) {
    const list = make("div", { class: "panes" });
    const fill = () => list.replaceChildren(...lists.map((boxes) =>
      make("ul", {}, ...boxes.map((box) => make("li", {}, box.told)))));
    return make("details", { class: "words", ontoggle: fill }, make("summary", {}, "In words"), list);
  }

  pane(place, caption, boxes) {
    const { width, height, name } = this.images[place];
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
