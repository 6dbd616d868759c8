// The mask of the frame that is shown: ids, and the canvas that shows them.

import { $, hub, on } from "./hub.js";

export const mask = { width: 0, height: 0, ids: new Uint8Array(0), told: new Set() };

const canvas = $("masks");
let context, dirty = null, edges = false;
const colours = new Uint32Array(256); // as a canvas has them, of little-endian machines
export const guarded = new Uint8Array(256); // 1: of locked and hidden objects, never painted over

export function resize(width, height) {
  Object.assign(mask, { width, height, ids: new Uint8Array(width * height) });
  Object.assign(canvas, { width, height });
  context = canvas.getContext("2d");
}

export function setMask(ids, told) {
  mask.ids = ids;
  mask.told = told;
  touch(0, 0, mask.width, mask.height);
}

// Has a part be drawn again with the next picture of the screen.
export function touch(left, top, right, bottom) {
  if (!dirty) requestAnimationFrame(draw);
  dirty = dirty
    ? [Math.min(dirty[0], left), Math.min(dirty[1], top), Math.max(dirty[2], right), Math.max(dirty[3], bottom)]
    : [left, top, right, bottom];
}

export function flushDrawing() {
  if (dirty) draw();
}

function draw() {
  if (!dirty) return;
  const { width, height, ids } = mask;
  // An edge may be that of the pixel beside.
  const left = Math.max(0, dirty[0] - 1), top = Math.max(0, dirty[1] - 1);
  const right = Math.min(width, dirty[2] + 1), bottom = Math.min(height, dirty[3] + 1);
  dirty = null;
  if (right <= left || bottom <= top) return;
  const image = context.createImageData(right - left, bottom - top);
  const pixels = new Uint32Array(image.data.buffer);
  let to = 0;
  for (let y = top; y < bottom; y++) {
    for (let at = y * width + left, end = y * width + right; at < end; at++, to++) {
      const id = ids[at];
      if (id && (!edges || isEdge(ids, at, id, width))) pixels[to] = colours[id];
    }
  }
  context.putImageData(image, left, top);
}

function isEdge(ids, at, id, width) {
  return (
    ids[at - 1] !== id || ids[at + 1] !== id || ids[at - width] !== id || ids[at + width] !== id ||
    ids[at - 2] !== id || ids[at + 2] !== id || ids[at - 2 * width] !== id || ids[at + 2 * width] !== id
  );
}

export function showEdges(only) {
  edges = only;
  touch(0, 0, mask.width, mask.height);
}

export function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

on("objects", () => {
  colours.fill(0xff808080);
  guarded.fill(0);
  for (const each of hub.state.objects) {
    const [red, green, blue] = rgb(each.colour);
    colours[each.id] = each.hidden ? 0 : (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
    guarded[each.id] = Number(each.hidden || each.locked);
  }
  touch(0, 0, mask.width, mask.height);
});
