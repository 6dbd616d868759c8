// What may be done with the frame that is shown, as buttons.

import { $, element, hub, on, say, trying } from "./hub.js";
import { guarded, mask, showEdges } from "./mask.js";
import * as history from "./history.js";
import { go, maskOf } from "./frames.js";
import { ask, idsOf } from "./server.js";
import { clearObject, growObject } from "./tools.js";
import { meaningOf } from "./timeline.js";
import { setSize } from "./view.js";

// What is given in place of the frame's mask, but for objects that are guarded.
function replace(ids) {
  history.edit(() => {
    for (let at = 0; at < ids.length; at++) {
      if (!guarded[mask.ids[at]] && !guarded[ids[at]]) mask.ids[at] = ids[at];
    }
  });
}

export async function copyBefore() {
  if (hub.frame === 0) return say("this is the first frame", true);
  const found = await trying(() => maskOf(hub.frame - 1));
  if (found) replace(found.ids);
}

async function take(file) {
  const frame = hub.frame;
  const ids = await trying(async () => idsOf(await ask("hand-mask", file)));
  if (ids && frame === hub.frame) replace(ids);
}

// All that is shown is given, of every object: what is not there is nowhere.
export function confirmFrame() {
  const all = new Set([...mask.told, ...hub.state.objects.map((each) => each.id)]);
  if (!all.size) return say("there is no object yet", true);
  mask.told = all;
  return history.give(hub.frame, all);
}

export const takeBack = () => history.editAll("Unannotate", { frame: hub.frame });

export function lookNext() {
  const frames = hub.state.look;
  const next = frames[(frames.indexOf(hub.frame) + 1) % frames.length];
  if (next === undefined) say("nothing has been followed yet", true);
  else go(next);
}

export const load = () => $("file").click();

$("file").onchange = () => {
  const [file] = $("file").files;
  if (file) take(file);
  $("file").value = "";
};
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
  if (file) take(file);
});

const BUTTONS = [
  ["undo", "Undo", history.undo],
  ["redo", "Redo", history.redo],
  ["grow", "Grow", () => growObject(true)],
  ["shrink", "Shrink", () => growObject(false)],
  ["clear", "Clear", clearObject],
  ["copy", "Copy before", copyBefore],
  ["load", "Load mask", load],
  ["confirm", "Give as shown", confirmFrame],
  ["take-back", "Take back", takeBack],
];
for (const [id, label, onclick] of BUTTONS) $("actions").append(element("button", { id, onclick }, label));
$("look").onclick = lookNext;

for (const id of ["size", "opacity"]) {
  $(id).addEventListener("input", () => (id === "size" ? setSize($(id).valueAsNumber) : opacity()));
}
$("edges").onchange = () => showEdges($("edges").checked);

export function opacity() {
  $("masks").style.opacity = $("opacity").value / 100;
  $("opacity").nextElementSibling.value = `${$("opacity").value} %`;
}

on("size", () => {
  $("size").value = hub.size;
  $("size").nextElementSibling.value = `${hub.size} px`;
});

function about() {
  const { video, states, certainty } = hub.state;
  $("where").textContent = `frame ${hub.frame} of ${video.count}, ${video.width}x${video.height}`;
  const told = [...mask.told].sort((a, b) => a - b);
  const lines = [meaningOf(hub.frame)];
  if (told.length && states[hub.frame] === "a") lines.push(`objects ${told.join(", ")}`);
  if (certainty[hub.frame] >= 0 && states[hub.frame] !== "a") lines.push(`certainty ${certainty[hub.frame]} %`);
  lines.push(history.isSaved() ? "all saved" : "saving ...");
  $("about").textContent = lines.join("; ");
  const [undone, redone] = history.counts();
  $("undo").disabled = !undone;
  $("redo").disabled = !redone;
  $("take-back").disabled = states[hub.frame] !== "a";
}
for (const kind of ["frame", "state", "edited", "done"]) on(kind, about);
