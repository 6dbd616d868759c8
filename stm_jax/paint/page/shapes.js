// Shapes in a mask of ids: what a pixel becomes, unless its object is guarded.

import { guarded, mask } from "./mask.js";

// A line with round ends; returns the box that it may have changed.
export function line(from, to, radius, id) {
  const { ids, width, height } = mask;
  const left = Math.max(0, Math.floor(Math.min(from.x, to.x) - radius));
  const top = Math.max(0, Math.floor(Math.min(from.y, to.y) - radius));
  const right = Math.min(width, Math.ceil(Math.max(from.x, to.x) + radius) + 1);
  const bottom = Math.min(height, Math.ceil(Math.max(from.y, to.y) + radius) + 1);
  const dx = to.x - from.x, dy = to.y - from.y, length = dx * dx + dy * dy || 1;
  const most = radius * radius;
  for (let y = top; y < bottom; y++) {
    const py = y + 0.5 - from.y;
    for (let x = left, at = y * width + left; x < right; x++, at++) {
      const px = x + 0.5 - from.x;
      const along = Math.max(0, Math.min(1, (px * dx + py * dy) / length));
      const ex = px - along * dx, ey = py - along * dy;
      if (ex * ex + ey * ey <= most && !guarded[ids[at]]) ids[at] = id;
    }
  }
  return [left, top, right, bottom];
}

// A polygon, even-odd; pixels count whose middle is inside.
export function polygon(points, id) {
  const { ids, width, height } = mask;
  const ys = points.map((each) => each.y);
  const top = Math.max(0, Math.floor(Math.min(...ys))), bottom = Math.min(height, Math.ceil(Math.max(...ys)));
  for (let y = top; y < bottom; y++) {
    const middle = y + 0.5, crossings = [];
    points.forEach((one, index) => {
      const other = points[(index + 1) % points.length];
      if (one.y <= middle !== other.y <= middle) {
        crossings.push(one.x + ((middle - one.y) / (other.y - one.y)) * (other.x - one.x));
      }
    });
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const first = Math.max(0, Math.ceil(crossings[i] - 0.5));
      const end = Math.min(width, Math.ceil(crossings[i + 1] - 0.5));
      for (let x = first; x < end; x++) {
        const at = y * width + x;
        if (!guarded[ids[at]]) ids[at] = id;
      }
    }
  }
}

// All pixels that hang together with one and are of its id; null if they reach the frame's border.
export function region(x, y) {
  const { ids, width, height } = mask;
  const start = y * width + x, id = ids[start];
  const seen = new Uint8Array(ids.length), stack = [start], found = [];
  let reaches = false;
  seen[start] = 1;
  while (stack.length) {
    const at = stack.pop(), column = at % width;
    found.push(at);
    const row = (at - column) / width;
    if (column === 0 || row === 0 || column === width - 1 || row === height - 1) reaches = true;
    const visit = (next) => {
      if (!seen[next] && ids[next] === id) {
        seen[next] = 1;
        stack.push(next);
      }
    };
    if (column > 0) visit(at - 1);
    if (column < width - 1) visit(at + 1);
    if (row > 0) visit(at - width);
    if (row < height - 1) visit(at + width);
  }
  return { found, reaches, id };
}

// An object grows by a pixel all around, or loses its outermost pixels.
export function grow(id, isOuter) {
  const { ids, width, height } = mask, old = ids.slice();
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      if ((old[at] === id) === isOuter) continue;
      const touches = (next) => (old[next] === id) === isOuter;
      const isNear =
        (x > 0 && touches(at - 1)) || (x < width - 1 && touches(at + 1)) ||
        (y > 0 && touches(at - width)) || (y < height - 1 && touches(at + width));
      if (!isNear) continue;
      if (isOuter && !guarded[ids[at]]) ids[at] = id;
      if (!isOuter && !guarded[id]) ids[at] = 0;
    }
  }
}
