// The tools: each says what happens when the pen goes down, moves and goes up on the frame.

import { $, element, hub, on, say, trying } from "./hub.js";
import { guarded, mask } from "./mask.js";
import * as history from "./history.js";
import { grow, line, polygon, region } from "./shapes.js";
import { act, ask, idsOf } from "./server.js";
import { drawPen } from "./view.js";

const SVG = "http://www.w3.org/2000/svg";
const guide = $("guide");

export function mayPaint() {
  if (guarded[hub.object]) say(`object ${hub.object} is locked or hidden`, true);
  return !guarded[hub.object];
}

function drawGuide(name, fields) {
  guide.replaceChildren();
  if (!name) return;
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(fields)) made.setAttribute(key, value);
  guide.append(made);
}

function stroke(name, key, what, id) {
  let from = null;
  const to = (place) => {
    history.changed(...line(from, place, hub.size, id()));
    from = place;
  };
  return {
    name, key, what, isRound: true,
    down(place) {
      if (!mayPaint()) return;
      history.begin();
      from = place;
      to(place);
    },
    move: (place) => from && to(place),
    up() {
      from = null;
      history.end();
    },
    cancel() {
      from = null;
      history.cancel();
    },
  };
}

const corners = {
  name: "Polygon", key: "p", what: "click corners, Enter closes, Backspace takes one back",
  points: [],
  down(place) {
    if (!mayPaint()) return;
    const [first] = this.points;
    if (this.points.length > 2 && Math.hypot(first.x - place.x, first.y - place.y) * scale() < 10) return this.enter();
    this.points.push(place);
    this.draw();
  },
  draw() {
    const points = this.points.map(({ x, y }) => `${x},${y}`).join(" ");
    drawGuide(this.points.length ? "polyline" : "", { points });
  },
  enter() {
    const points = this.points;
    this.cancel();
    if (points.length > 2) history.edit(() => polygon(points, hub.object));
  },
  backspace() {
    this.points.pop();
    this.draw();
  },
  cancel() {
    this.points = [];
    drawGuide();
  },
};

const scale = () => Number($("sheet").style.getPropertyValue("--scale")) || 1;

const fill = {
  name: "Fill", key: "f", what: "click a hole, or a part of another object",
  down({ x, y }) {
    [x, y] = [Math.floor(x), Math.floor(y)];
    if (x < 0 || y < 0 || x >= mask.width || y >= mask.height || !mayPaint()) return;
    const { found, reaches, id } = region(x, y);
    if (guarded[id]) return say(`object ${id} is locked or hidden`, true);
    if (reaches && !id) return say("this is no hole: it reaches the border of the frame", true);
    history.edit(() => found.forEach((at) => (mask.ids[at] = hub.object)));
  },
};

// Asks the library's method, and paints what it found over what was there before.
async function assisted(about, base) {
  const frame = hub.frame, object = hub.object;
  say("working ...");
  const found = await trying(async () => idsOf(await ask("assist", JSON.stringify({ frame, ...about }))));
  if (!found || frame !== hub.frame || history.isEditing()) return;
  say("");
  history.edit(() => {
    if (base) mask.ids.set(base);
    found.forEach((is, at) => {
      if (is && !guarded[mask.ids[at]]) mask.ids[at] = object;
    });
  });
}

const box = {
  name: "Box", key: "x", what: "assist: draw a box around the object",
  from: null,
  down(place) {
    if (mayPaint()) this.from = place;
  },
  move(place) {
    if (!this.from) return;
    const [x, y, width, height] = this.sides(place);
    drawGuide("rect", { x, y, width, height });
  },
  up(place) {
    if (!this.from) return;
    const [x, y, width, height] = this.sides(place).map(Math.round);
    this.cancel();
    if (width > 1 && height > 1) assisted({ box: [x, y, x + width, y + height] });
  },
  sides(place) {
    const { x, y } = this.from;
    return [Math.min(x, place.x), Math.min(y, place.y), Math.abs(place.x - x), Math.abs(place.y - y)];
  },
  cancel() {
    this.from = null;
    drawGuide();
  },
};

const scribble = {
  name: "Scribble", key: "s", what: "assist: scribble on the object; with Shift, beside it",
  scribbles: [], base: null, now: null,
  down(place, isOther) {
    if (!mayPaint()) return;
    this.base ??= mask.ids.slice();
    this.now = { points: [], radius: Math.max(1, Math.round(hub.size / 4)), is_object: !isOther };
    this.move(place);
  },
  move({ x, y }) {
    if (!this.now) return;
    this.now.points.push([Math.round(x), Math.round(y)]);
    const points = this.now.points.map((each) => each.join()).join(" ");
    drawGuide("polyline", { points, class: this.now.is_object ? "on" : "beside" });
  },
  up() {
    if (!this.now) return;
    this.scribbles.push(this.now);
    this.now = null;
    drawGuide();
    if (this.scribbles.some((each) => each.is_object)) assisted({ scribbles: this.scribbles }, this.base);
  },
  enter() {
    this.cancel();
  },
  cancel() {
    Object.assign(this, { scribbles: [], base: null, now: null });
    drawGuide();
  },
};

const memory = {
  name: "Look", key: "l", what: "click a pixel: where did its read go in the memory?",
  down({ x, y }) {
    const [row, column] = [Math.floor(y), Math.floor(x)];
    if (x < 0 || y < 0 || column >= mask.width || row >= mask.height) return;
    const object = mask.ids[row * mask.width + column] || hub.object;
    trying(() => act("Look", { frame: hub.frame, row, column, object_id: object }));
  },
};

const hand = { name: "Pan", key: "h", what: "drag the frame; also with Space, or the middle button", isHand: true };

export const tools = [
  stroke("Brush", "b", "paint the object", () => hub.object),
  stroke("Eraser", "e", "erase what is not locked", () => 0),
  corners, fill, box, scribble, memory, hand,
];

export function choose(tool) {
  hub.tool?.cancel?.();
  hub.tool = tool;
  for (const button of $("tools").children) {
    button.setAttribute("aria-pressed", button.dataset.key === tool.key);
  }
  $("stage").dataset.tool = tool.name;
  drawPen();
}

export function growObject(isOuter) {
  if (mayPaint()) history.edit(() => grow(hub.object, isOuter));
}

export function clearObject() {
  if (mayPaint()) history.edit(() => mask.ids.forEach((id, at) => {
    if (id === hub.object) mask.ids[at] = 0;
  }));
}

for (const tool of tools) {
  const about = { title: `${tool.what} (${tool.key})` };
  const button = element("button", about, tool.name);
  button.dataset.key = tool.key;
  button.append(element("kbd", {}, tool.key));
  button.onclick = () => choose(tool);
  $("tools").append(button);
}
on("frame", (isOther) => isOther && hub.tool?.cancel?.());
