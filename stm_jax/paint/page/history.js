// Edits: of masks, shown at once and given to the server; of objects, which the server does. Each may
// be undone.

import { hub, on, say, tell, trying } from "./hub.js";
import { flushDrawing, mask, touch } from "./mask.js";
import { act, giveMask } from "./server.js";
import { forget, lookAgain, remember, show } from "./frames.js";

const MOST = 200; // steps
const done = [], undone = [];
let before = null, box = null, last = Promise.resolve();
const waiting = new Map(); // frames whose masks are not with the server yet

export const isEditing = () => before !== null;
export const counts = () => [done.length, undone.length];

export function begin() {
  before = mask.ids.slice();
  box = null;
}

// Says that pixels have changed: those from left and top to right and bottom, these left out.
export function changed(left, top, right, bottom) {
  left = Math.max(0, left), top = Math.max(0, top);
  right = Math.min(mask.width, right), bottom = Math.min(mask.height, bottom);
  if (right <= left || bottom <= top) return;
  box = box
    ? [Math.min(box[0], left), Math.min(box[1], top), Math.max(box[2], right), Math.max(box[3], bottom)]
    : [left, top, right, bottom];
  touch(left, top, right, bottom);
}

export function end() {
  const old = before;
  before = null;
  const step = old && box && stepOf(old);
  if (!step) return;
  done.push(step);
  if (done.length > MOST) done.shift();
  undone.length = 0;
  give(step.frame, step.toldAfter);
}

// Puts back what was before `begin`.
export function cancel() {
  if (!before) return;
  mask.ids.set(before);
  before = null;
  if (box) touch(...box);
}

// One edit as a whole: `paint` changes `mask.ids`.
export function edit(paint) {
  begin();
  paint();
  changed(0, 0, mask.width, mask.height);
  end();
}

// One after the other: a step is undone from what the one after it has left.
let turn = Promise.resolve();
const inTurn = (work) => (turn = turn.then(() => trying(work)));

// An edit that changes masks of many frames: the server does it, and says how it is undone.
export const editAll = (name, about) => inTurn(async () => {
  if (before) end();
  await last;
  const { undo } = await (await act(name, about)).json();
  done.push({ name, about, undo });
  undone.length = 0;
  await lookAgain();
  say("Ctrl+Z undoes this");
});

async function moveAll(step, from, to) {
  await last;
  from.pop();
  if (from === done) await act("Undo", { number: step.undo });
  else step.undo = (await (await act(step.name, step.about)).json()).undo;
  to.push(step);
  await lookAgain();
}

function stepOf(old) {
  const [left, top, right, bottom] = box, { width, ids } = mask;
  const across = right - left, size = across * (bottom - top);
  const was = new Uint8Array(size), is = new Uint8Array(size), found = new Uint8Array(256);
  let differs = false;
  for (let y = top, to = 0; y < bottom; y++, to += across) {
    const at = y * width + left;
    was.set(old.subarray(at, at + across), to);
    is.set(ids.subarray(at, at + across), to);
  }
  for (let at = 0; at < size; at++) {
    if (was[at] !== is[at]) {
      differs = true;
      found[was[at]] = found[is[at]] = 1;
    }
  }
  if (!differs) return null;
  const toldBefore = mask.told;
  const told = new Set(toldBefore);
  for (let id = 1; id < 256; id++) if (found[id]) told.add(id);
  mask.told = told;
  const wasGiven = hub.state.states[hub.frame] === "a" || waiting.has(hub.frame);
  return {
    frame: hub.frame, box, was: runs(was), is: runs(is), toldBefore, toldAfter: told, wasGiven,
  };
}

export const undo = () => inTurn(() => move(done, undone, "was", "toldBefore"));
export const redo = () => inTurn(() => move(undone, done, "is", "toldAfter"));

async function move(from, to, which, told) {
  const step = from.at(-1);
  if (!step || before) return;
  if (step.name) return moveAll(step, from, to);
  if (step.frame !== hub.frame) await show(step.frame);
  if (from.at(-1) !== step) return;
  from.pop();
  to.push(step);
  const [left, top, right, bottom] = step.box;
  const pixels = unrolled(step[which], (right - left) * (bottom - top));
  for (let y = top, at = 0; y < bottom; y++, at += right - left) {
    mask.ids.set(pixels.subarray(at, at + right - left), y * mask.width + left);
  }
  mask.told = step[told];
  touch(left, top, right, bottom);
  flushDrawing();
  if (which === "was" && !step.wasGiven) takeBack(step.frame);
  else give(step.frame, step[told]);
}

// Gives a frame's mask to the server; of several that wait, the last.
export function give(frame, told) {
  const isWaiting = waiting.has(frame);
  waiting.set(frame, { ids: onlyOf(mask.ids, told), told });
  remember(frame, mask.ids, told);
  tell("edited");
  if (!isWaiting) last = last.then(() => trying(() => sendOne(frame)));
  return last;
}

async function sendOne(frame) {
  const { ids, told } = waiting.get(frame);
  try {
    await giveMask(frame, ids, told);
  } catch (error) {
    setTimeout(() => (last = last.then(() => trying(() => sendOne(frame)))), 2000);
    throw new Error(`not saved yet: ${error.message}`);
  }
  if (waiting.get(frame).ids === ids) waiting.delete(frame);
  else await sendOne(frame);
  tell("edited");
}

// Has a frame be answered like any other again.
function takeBack(frame) {
  waiting.delete(frame);
  last = last.then(() => trying(async () => {
    await giveMask(frame, new Uint8Array(mask.ids.length), []);
    if (waiting.has(frame)) return; // it was painted again meanwhile
    forget(frame);
    if (frame === hub.frame && !before) await show(frame);
  }));
}

export const isSaved = () => waiting.size === 0;
export const hasUnsaved = (frame) => waiting.has(frame);

function onlyOf(ids, told) {
  const kept = new Uint8Array(256), copy = ids.slice();
  for (const each of told) kept[each] = each;
  for (let at = 0; at < copy.length; at++) copy[at] = kept[copy[at]];
  return copy;
}

// Run lengths: (value, count) in turn.
function runs(pixels) {
  let found = new Uint32Array(1024), used = 0;
  for (let at = 0; at < pixels.length; used += 2) {
    const value = pixels[at], start = at;
    while (at < pixels.length && pixels[at] === value) at++;
    if (used === found.length) {
      const more = new Uint32Array(2 * used);
      more.set(found);
      found = more;
    }
    found[used] = value;
    found[used + 1] = at - start;
  }
  return found.slice(0, used);
}

function unrolled(found, size) {
  const pixels = new Uint8Array(size);
  for (let at = 0, i = 0; i < found.length; i += 2) {
    pixels.fill(found[i], at, (at += found[i + 1]));
  }
  return pixels;
}

function drop(frames) {
  for (const steps of [done, undone]) {
    const left = steps.filter(({ frame }) => frames !== "all" && !frames.includes(frame));
    if (left.length < steps.length) steps.splice(0, steps.length, ...left);
  }
}

// What another page has painted cannot be undone here.
on("masks", ({ frames }) => drop(frames));

window.addEventListener("beforeunload", (event) => {
  if (!isSaved()) event.preventDefault();
});
