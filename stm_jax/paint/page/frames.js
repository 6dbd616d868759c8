// Which frame is shown: pictures and masks are fetched ahead, and a few are kept.

import { $, hub, on, tell, trying } from "./hub.js";
import { flushDrawing, mask, setMask } from "./mask.js";
import { ask, getMask } from "./server.js";
import * as history from "./history.js";

const MOST_PIXELS = 6e7; // of pictures that are kept: 240 MB
const AHEAD = 6;
const pictures = new Map(), masks = new Map();
let wanted = 0, drawn = Promise.resolve();

const picture = $("picture");
export const context = () => picture.getContext("2d", { alpha: false });
export const timings = []; // milliseconds of frame changes, for those who measure

function pictureOf(frame) {
  return kept(pictures, frame, async () => createImageBitmap(await (await ask(`frame/${frame}`)).blob()));
}

export function maskOf(frame) {
  return kept(masks, frame, () => getMask(frame));
}

function kept(all, frame, get) {
  let found = all.get(frame);
  if (!found) {
    found = get();
    found.catch(() => all.delete(frame));
  }
  all.delete(frame); // the newest is the last
  all.set(frame, found);
  const most = Math.max(AHEAD + 4, Math.floor(MOST_PIXELS / (mask.width * mask.height)));
  for (const old of all.keys()) {
    if (all.size <= most) break;
    if (old !== hub.frame && !history.hasUnsaved(old)) {
      if (all === pictures) all.get(old).then((bitmap) => bitmap.close(), () => {});
      all.delete(old);
    }
  }
  return found;
}

// Has what was painted be what is there, until the server tells otherwise.
export function remember(frame, ids, told) {
  masks.set(frame, Promise.resolve({ ids, told }));
}

export function forget(frames) {
  if (frames === "all") masks.clear();
  else for (const frame of [frames].flat()) masks.delete(frame);
}

// Shows a frame; of several that are asked for meanwhile, the last.
export function show(frame) {
  frame = Math.max(0, Math.min(hub.state.video.count - 1, frame));
  wanted = frame;
  const begun = performance.now();
  drawn = trying(async () => {
    if (history.isEditing()) history.end();
    const [bitmap, { ids, told }] = await Promise.all([pictureOf(frame), maskOf(frame)]);
    if (wanted !== frame || history.isEditing()) return;
    const isOther = hub.frame !== frame;
    hub.frame = frame;
    context().drawImage(bitmap, 0, 0);
    setMask(ids, told);
    flushDrawing();
    picture.dataset.frame = frame;
    timings.push(performance.now() - begun);
    if (timings.length > 500) timings.shift();
    tell("frame", isOther);
    for (let next = frame + 1; next <= frame + AHEAD; next++) {
      if (next < hub.state.video.count) pictureOf(next).then(() => maskOf(next)).catch(() => {});
    }
  });
  return drawn;
}

on("masks", ({ frames }) => {
  forget(frames);
  const isShown = frames === "all" || frames.includes(hub.frame);
  if (isShown && !history.isEditing() && !history.hasUnsaved(hub.frame)) show(hub.frame);
});

// Much may have changed while the server was away.
export function lookAgain() {
  for (const frame of [...masks.keys()]) if (!history.hasUnsaved(frame)) masks.delete(frame);
  return history.isEditing() ? undefined : show(hub.frame);
}

on("done", ({ frame }) => {
  if (history.hasUnsaved(frame)) return;
  forget(frame);
  if (history.isEditing()) return;
  if (frame === hub.frame || $("watch").checked) show(frame);
});

// Playing.
let playing = 0;
export const isPlaying = () => playing !== 0;

export function play() {
  if (playing) return stop();
  const rate = hub.state.video.rate || 24;
  const first = hub.frame >= hub.state.video.count - 1 ? 0 : hub.frame;
  const begun = performance.now();
  const token = (playing = begun);
  const step = async () => {
    if (playing !== token) return;
    const due = first + Math.floor(((performance.now() - begun) * rate) / 1000);
    if (due >= hub.state.video.count) {
      await show(hub.state.video.count - 1);
      return stop();
    }
    if (due !== hub.frame) await show(due);
    requestAnimationFrame(step);
  };
  $("play").textContent = "Pause";
  requestAnimationFrame(step);
}

export function stop() {
  playing = 0;
  $("play").textContent = "Play";
}

export const go = (frame) => (stop(), show(frame));
