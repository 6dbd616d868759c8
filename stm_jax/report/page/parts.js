/* Elements, numbers, colours: what every other part of the page uses. */

const $ = (id) => document.getElementById(id);
const page = JSON.parse($("index").textContent);

/* Text is only ever set as text, so that no name in the data can become markup. */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}
const el = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const known = (value) => value !== null && value !== undefined;
const percent = (value) =>
  known(value) ? (100 * value).toFixed(1).replace("-", "\u2212") : "\u2013";
const count = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;
const alias = (names, frame) => (Number(names[frame]) === frame ? "" : ` (${names[frame]})`);

function paint(node, objectId) {
  const { light, dark } = page.colours[objectId];
  node.style.setProperty("--object", `light-dark(${light}, ${dark})`);
  return node;
}
const swatch = (objectId) => paint(el("span", { class: "swatch" }, String(objectId)), objectId);
