// Elements of the page. Text is always set as text, never as markup: names come from the files of others.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const child of children || []) {
    element.append(child);
  }
  return element;
}

function make(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function draw(name, attributes, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

/** A share as per cent; a dash where there is none. */
function percent(share, digits = 1) {
  return share === null || share === undefined ? "–" : (100 * share).toFixed(digits);
}

function counted(number, noun) {
  return number.toLocaleString("en") + " " + noun + (number === 1 ? "" : "s");
}

function mean(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

// Near Okabe and Ito's colours, which colour-blind eyes tell apart, and light enough to be read on dark pictures.
const KIND_COLOURS = {
  classification: "#e687c0", localization: "#f0a000", both: "#f0602a",
  duplicate: "#56b4e9", background: "#6f8cff", missed: "#ffc800",
};
const HIT_COLOUR = "#00d09c";
const IGNORED_COLOUR = "#bac0c8";
