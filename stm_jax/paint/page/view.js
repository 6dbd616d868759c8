// Zoom and pan, and from the screen's places to the frame's.

import { $, hub, tell } from "./hub.js";
import { mask } from "./mask.js";

const stage = $("stage"), sheet = $("sheet"), pen = $("pen");
export const view = { scale: 1, x: 0, y: 0 };
let at = { x: 0, y: 0 }; // of the pen, in the frame

export function fit() {
  const { clientWidth, clientHeight } = stage;
  view.scale = Math.min(clientWidth / mask.width, clientHeight / mask.height) * 0.98;
  view.x = (clientWidth - mask.width * view.scale) / 2;
  view.y = (clientHeight - mask.height * view.scale) / 2;
  apply();
}

export function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const scale = Math.max(0.02, Math.min(40, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  apply();
}

export function pan(dx, dy) {
  view.x += dx;
  view.y += dy;
  apply();
}

export function apply() {
  sheet.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  sheet.classList.toggle("near", view.scale >= 2);
  sheet.style.setProperty("--scale", view.scale);
  drawPen();
}

export function inFrame(event) {
  const { left, top } = stage.getBoundingClientRect();
  return {
    x: (event.clientX - left - view.x) / view.scale,
    y: (event.clientY - top - view.y) / view.scale,
  };
}

export const penAt = () => at;

export function movePen(place) {
  at = place;
  drawPen();
}

export function drawPen() {
  const size = (hub.tool?.isRound ? 2 * hub.size : 1) * view.scale;
  const shown = Math.max(5, size);
  pen.hidden = !hub.tool;
  pen.style.width = pen.style.height = `${shown}px`;
  pen.style.transform =
    `translate(${at.x * view.scale + view.x - shown / 2}px, ${at.y * view.scale + view.y - shown / 2}px)`;
}

export function setSize(size) {
  hub.size = Math.max(1, Math.min(200, Math.round(size)));
  drawPen();
  tell("size");
}

new ResizeObserver(() => mask.width && fit()).observe(stage);
