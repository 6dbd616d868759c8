// The keyboard: one table, which is also the help.

import { $, element, hub } from "./hub.js";
import * as actions from "./actions.js";
import * as exporting from "./exporting.js";
import { follow } from "./follow.js";
import { go, play } from "./frames.js";
import * as history from "./history.js";
import * as objects from "./objects.js";
import { put, step } from "./pointer.js";
import { choose, growObject, tools } from "./tools.js";
import { fit, setSize, view, zoom } from "./view.js";

const last = () => hub.state.video.count - 1;
const far = () => Math.max(2, hub.size / 2);
const click = (id) => () => $(id).click();
const slide = (id, by) => () => {
  $(id).value = $(id).valueAsNumber + by;
  $(id).dispatchEvent(new Event("input"));
};

const KEYS = [
  ["ArrowLeft", "frame before", () => go(hub.frame - 1)],
  ["ArrowRight", "next frame", () => go(hub.frame + 1)],
  ["PageUp", "ten frames before", () => go(hub.frame - 10)],
  ["PageDown", "ten frames on", () => go(hub.frame + 10)],
  ["Home", "first frame", () => go(0)],
  ["End", "last frame", () => go(last())],
  [" ", "play, pause", play],
  ["n", "next frame to look at", actions.lookNext],
  ...tools.map((tool) => [tool.key, `${tool.name}: ${tool.what}`, () => choose(tool)]),
  ["[", "smaller brush", () => setSize(hub.size * 0.8 - 0.5)],
  ["]", "larger brush", () => setSize(hub.size * 1.25 + 0.5)],
  ["Shift+ArrowLeft", "pen left", () => step(-far(), 0)],
  ["Shift+ArrowRight", "pen right", () => step(far(), 0)],
  ["Shift+ArrowUp", "pen up", () => step(0, -far())],
  ["Shift+ArrowDown", "pen down", () => step(0, far())],
  ["d", "put the pen down, lift it", put],
  ["Enter", "close the polygon, end the scribbles", () => hub.tool?.enter?.()],
  ["Backspace", "take back a corner", () => hub.tool?.backspace?.()],
  ["Escape", "leave what was begun", () => hub.tool?.cancel?.()],
  ["Ctrl+z", "undo", history.undo],
  ["Ctrl+Shift+z", "redo", history.redo],
  ["Ctrl+y", "redo", history.redo],
  ["g", "grow the object", () => growObject(true)],
  ["Shift+g", "shrink the object", () => growObject(false)],
  ["c", "copy the mask of the frame before", actions.copyBefore],
  ["o", "load a mask; Ctrl+V pastes one", actions.load],
  ["w", "give the frame as it is shown", actions.confirmFrame],
  ["Shift+w", "take back what was given of the frame", actions.takeBack],
  [",", "object before", () => objects.chooseNext(-1)],
  [".", "next object", () => objects.chooseNext(1)],
  ["a", "add an object", objects.add],
  ["v", "hide the object, show it", () => objects.toggle("hidden")],
  ["k", "lock the object, unlock it", () => objects.toggle("locked")],
  ["r", "follow, pause", follow],
  ["m", "edges only", click("edges")],
  ["-", "zoom out", () => zoom(0.8)],
  ["+", "zoom in", () => zoom(1.25)],
  ["0", "all of the frame", fit],
  ["1", "a pixel for a pixel", () => zoom(1 / view.scale)],
  ["{", "masks fainter", slide("opacity", -10)],
  ["}", "masks stronger", slide("opacity", 10)],
  ["t", "export", exporting.open],
  ["?", "these keys", () => $("keys").showModal()],
];

const byKey = new Map(KEYS.map(([key, , act]) => [key, act]));
const NAMES = { " ": "Space", ArrowLeft: "\u2190", ArrowRight: "\u2192", ArrowUp: "\u2191", ArrowDown: "\u2193" };

addEventListener("keydown", (event) => {
  const { target, key } = event;
  const isText = target.matches("input:not([type=checkbox], [type=range]), select, textarea");
  if (isText || document.querySelector("dialog[open]")) return;
  const isButton = target.matches("button, input[type=checkbox]");
  if (isButton && (key === " " || key === "Enter")) return;
  if (target.matches("input[type=range]") && key.startsWith("Arrow")) return;
  const ctrl = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  const isLetter = key.length === 1 && key.toLowerCase() !== key.toUpperCase();
  const shift = event.shiftKey && (isLetter || key.length > 1) ? "Shift+" : "";
  const act = byKey.get(ctrl + shift + (isLetter ? key.toLowerCase() : key));
  if (!act || event.altKey) return;
  event.preventDefault();
  act();
});

const list = $("keys").querySelector("dl");
for (const [key, what] of KEYS) {
  const name = key.replace(/Arrow\w+| $/, (each) => NAMES[each] ?? each);
  list.append(element("dt", {}, element("kbd", {}, name)), element("dd", {}, what));
}
$("help").onclick = () => $("keys").showModal();
$("first").onclick = () => go(0);
$("back").onclick = () => go(hub.frame - 1);
$("on").onclick = () => go(hub.frame + 1);
$("last").onclick = () => go(last());
$("play").onclick = play;
