// The time line: what each frame is, how certain, what is in memory; and thumbnails.

import { $, element, hub, on } from "./hub.js";
import { go } from "./frames.js";

const canvas = $("line"), context = canvas.getContext("2d"), thumbs = $("thumbs");
const MARKED = 0.1; // of the frames that were found: these need a look most
const MEANINGS = { a: "given", d: "done", s: "stale", t: "to do", n: "out of reach" };
let isDue = false, loading = 0;

// A canvas needs the colour that light-dark() has chosen.
const probe = element("i", { hidden: true });
canvas.before(probe);
function style(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

const place = (frame) => ((frame + 0.5) / hub.state.video.count) * canvas.clientWidth;

function due() {
  if (!isDue) requestAnimationFrame(draw);
  isDue = true;
}

function draw() {
  isDue = false;
  if (!hub.state) return;
  const ratio = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
  Object.assign(canvas, { width: width * ratio, height: height * ratio });
  context.scale(ratio, ratio);
  const { states, certainty, look, memory, video } = hub.state;
  const step = width / video.count;
  const colours = Object.fromEntries(Object.keys(MEANINGS).map((key) => [key, style(`--${key}`)]));
  for (let first = 0, end; first < video.count; first = end) {
    for (end = first + 1; end < video.count && states[end] === states[first]; ) end++;
    context.fillStyle = colours[states[first]];
    context.fillRect(first * step, 14, Math.max(1, (end - first) * step - (step > 4 ? 1 : 0)), 12);
    if (states[first] === "s") hatch(first * step, 14, (end - first) * step, 12);
  }
  context.fillStyle = style("--low");
  // How certain answers are differs from video to video: a bar is compared with the others.
  const found = certainty.filter((value, frame) => value >= 0 && states[frame] !== "a");
  const least = found.reduce((a, b) => Math.min(a, b), 100);
  const most = found.reduce((a, b) => Math.max(a, b), 0);
  const marked = new Set(look.slice(0, Math.ceil(MARKED * found.length)));
  certainty.forEach((value, frame) => {
    if (value < 0 || states[frame] === "a") return;
    const tall = 2 + (12 * (most - value)) / (most - least || 1);
    context.globalAlpha = marked.has(frame) ? 1 : 0.4;
    context.fillRect(frame * step, 42 - tall, Math.max(1, step - (step > 4 ? 1 : 0)), tall);
  });
  context.globalAlpha = 1;
  for (const [frame, state] of [...states].entries()) if (state === "a") given(place(frame));
  context.fillStyle = style("--ink");
  for (const frame of memory) context.fillRect(place(frame) - 1.5, 44, 3, 6);
  context.fillStyle = style("--accent");
  context.fillRect(place(hub.frame) - 1, 0, 2, height);
  context.beginPath();
  context.moveTo(place(hub.frame) - 6, 0);
  context.lineTo(place(hub.frame) + 6, 0);
  context.lineTo(place(hub.frame), 9);
  context.fill();
}

function hatch(left, top, width, height) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.strokeStyle = style("--surface");
  context.lineWidth = 2;
  context.beginPath();
  for (let x = left - height; x < left + width; x += 6) {
    context.moveTo(x, top + height);
    context.lineTo(x + height, top);
  }
  context.stroke();
  context.restore();
}

function given(x) {
  context.fillStyle = style("--a");
  context.strokeStyle = style("--surface");
  context.beginPath();
  context.moveTo(x, 10);
  context.lineTo(x + 7, 20);
  context.lineTo(x, 30);
  context.lineTo(x - 7, 20);
  context.closePath();
  context.fill();
  context.stroke();
}

function seek(event) {
  const { left, width } = canvas.getBoundingClientRect();
  const share = Math.max(0, Math.min(0.9999, (event.clientX - left) / width));
  go(Math.floor(share * hub.state.video.count));
}
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  seek(event);
});
canvas.addEventListener("pointermove", (event) => event.buttons && seek(event));

// One thumbnail after the other, so that the frame that is looked at does not wait for them.
async function fillThumbs() {
  const mine = ++loading;
  const { count, width, height } = hub.state.video;
  const wide = Math.max(24, (thumbs.clientHeight * width) / height);
  const room = Math.max(1, Math.min(count, Math.floor(thumbs.clientWidth / wide)));
  const images = Array.from({ length: room }, () => element("img", { alt: "" }));
  thumbs.replaceChildren(...images);
  for (const [index, image] of images.entries()) {
    if (mine !== loading) return;
    const frame = Math.floor(((index + 0.5) / room) * count);
    image.onclick = () => go(frame);
    await new Promise((resolve) => {
      image.onload = image.onerror = resolve;
      image.src = `thumb/${frame}`;
    });
    image.dataset.frame = frame;
  }
}

new ResizeObserver(() => {
  due();
  if (hub.state) fillThumbs();
}).observe(thumbs);

export const begin = fillThumbs;

on("state", due);
on("progress", due);
on("frame", () => {
  canvas.setAttribute("aria-valuenow", hub.frame);
  canvas.setAttribute("aria-valuemax", hub.state.video.count - 1);
  canvas.setAttribute("aria-valuetext", `frame ${hub.frame}, ${MEANINGS[hub.state.states[hub.frame]]}`);
  due();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", due);

for (const [key, meaning] of [...Object.entries(MEANINGS), ["low", "uncertain"]]) {
  const swatch = element("i");
  swatch.style.background = `var(--${key})`;
  $("legend").append(element("li", {}, swatch, meaning));
}
export const meaningOf = (frame) => MEANINGS[hub.state.states[frame]];
