// The pen: a mouse, a stylus or the keys.

import { $, hub } from "./hub.js";
import { inFrame, movePen, pan, penAt, setSize, zoom } from "./view.js";

const stage = $("stage");
let down = null, isSpace = false;

stage.addEventListener("pointerdown", (event) => {
  stage.focus();
  const isPan = event.button === 1 || isSpace || hub.tool?.isHand;
  if (event.button > 2 || down) return;
  down = { isPan, x: event.clientX, y: event.clientY };
  stage.setPointerCapture(event.pointerId);
  movePen(inFrame(event));
  if (!isPan) hub.tool?.down?.(inFrame(event), event.shiftKey || event.button === 2);
  event.preventDefault();
});

stage.addEventListener("pointermove", (event) => {
  movePen(inFrame(event));
  if (!down) return;
  if (down.isPan) {
    pan(event.clientX - down.x, event.clientY - down.y);
    Object.assign(down, { x: event.clientX, y: event.clientY });
    return;
  }
  const all = event.getCoalescedEvents?.() ?? [];
  for (const each of all.length ? all : [event]) hub.tool?.move?.(inFrame(each));
});

for (const kind of ["pointerup", "pointercancel"]) {
  stage.addEventListener(kind, (event) => {
    if (down && !down.isPan) hub.tool?.[kind === "pointerup" ? "up" : "cancel"]?.(inFrame(event));
    down = null;
  });
}
stage.addEventListener("dblclick", () => hub.tool?.enter?.());
stage.addEventListener("contextmenu", (event) => event.preventDefault());

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const { left, top } = stage.getBoundingClientRect();
  const factor = Math.exp(-event.deltaY / 500);
  if (event.ctrlKey || event.metaKey || !hub.tool?.isRound) {
    zoom(factor, event.clientX - left, event.clientY - top);
  } else {
    setSize(hub.size * factor + (event.deltaY < 0 ? 0.5 : -0.5));
  }
}, { passive: false });

addEventListener("keydown", (event) => {
  if (event.key === " " && event.target === stage) isSpace = true;
});
addEventListener("keyup", (event) => {
  if (event.key === " ") isSpace = false;
});

// The pen by keys: it goes by steps, and is put down and lifted.
let isDown = false;
export function step(dx, dy) {
  const { x, y } = penAt();
  movePen({ x: x + dx, y: y + dy });
  if (isDown) hub.tool?.move?.(penAt());
}

export function put() {
  if (isDown || !hub.tool?.up) {
    if (!isDown) hub.tool?.down?.(penAt(), false);
    else hub.tool.up(penAt());
    isDown = false;
    return;
  }
  isDown = true;
  hub.tool.down(penAt(), false);
}
