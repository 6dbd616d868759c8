// The page: files and a brush in, masks over the frames out.

import { follow, load } from "./network.js";

const COLOURS = [[230, 50, 50], [40, 130, 255], [40, 190, 80], [250, 180, 0], [180, 80, 220]];
const { inputs, files, rate, maskFile, object, brush, button, output, canvas } = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((each) => [each.id, each]),
);
let network, first, mask, from;

export const results = []; // the ids of each frame
const say = (text) => (output.textContent = text);

function pixelsOf(picture, smooth) {
  const { width, height } = network;
  const scaled = new OffscreenCanvas(width, height).getContext("2d");
  scaled.imageSmoothingEnabled = smooth;
  scaled.drawImage(picture, 0, 0, width, height);
  return scaled.getImageData(0, 0, width, height).data;
}
const bytesOf = (picture) => pixelsOf(picture, true).filter((_, at) => at % 4 < 3);

async function* frames() {
  const list = [...files.files];
  if (!list[0].type.startsWith("video/")) {
    list.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    for (const file of list) yield bytesOf(await createImageBitmap(file));
    return;
  }
  if (!(rate.value > 0)) throw new Error("say how many frames a second of the video to take");
  // A page cannot ask for frames by their numbers: it goes from time to time.
  const video = document.createElement("video");
  video.src = URL.createObjectURL(list[0]);
  await happens(video, "loadeddata");
  for (let time = 0.5 / rate.value; time < video.duration; time += 1 / rate.value) {
    video.currentTime = time;
    await happens(video, "seeked");
    yield bytesOf(video);
  }
}

const happens = (video, event) => new Promise((resolve, reject) => {
  video.addEventListener(event, resolve, { once: true });
  video.onerror = () => reject(new Error("this browser cannot play that video"));
});

function show(bytes, ids) {
  const image = new ImageData(canvas.width, canvas.height);
  ids.forEach((id, at) => {
    const own = bytes.subarray(3 * at, 3 * at + 3), colour = COLOURS[(id - 1) % COLOURS.length];
    image.data.set(id ? own.map((byte, c) => (byte + colour[c]) / 2) : own, 4 * at);
    image.data[4 * at + 3] = 255;
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

async function open() {
  first = (await frames().next()).value;
  mask = new Uint8Array(network.height * network.width);
  maskFile.value = "";
  show(first, mask);
  say("Give or paint the mask of this frame");
}

// Every colour but black is an object.
async function take() {
  if (!first) throw new Error("choose a video or frames first");
  const pixels = pixelsOf(await createImageBitmap(maskFile.files[0]), false);
  const colours = new Uint32Array(pixels.buffer).map((colour) => colour & 0xffffff);
  const found = [...new Set(colours).add(0)].sort((a, b) => a - b);
  if (found.length > network.objects + 1) throw new Error(`more objects than ${network.objects}`);
  mask = Uint8Array.from(colours, (colour) => found.indexOf(colour));
  show(first, mask);
}

function paint(event) {
  if (!first || inputs.disabled || !event.buttons) return;
  const scale = canvas.width / canvas.clientWidth;
  const to = [event.offsetX * scale, event.offsetY * scale];
  if (event.type === "pointerdown") from = to;
  const [right, down] = [to[0] - from[0], to[1] - from[1]];
  mask = mask.map((id, at) => {
    const [x, y] = [(at % canvas.width) - from[0], Math.floor(at / canvas.width) - from[1]];
    const part = Math.min(1, Math.max(0, (x * right + y * down) / (right ** 2 + down ** 2) || 0));
    const near = Math.hypot(x - part * right, y - part * down) <= brush.value / 2;
    return near ? Math.min(object.value, network.objects) : id;
  });
  from = to;
  show(first, mask);
}

async function run() {
  if (!mask?.some(Boolean)) throw new Error("there is no object in the first frame yet");
  results.length = 0;
  let start;
  for await (const { bytes, ids } of follow(network, frames(), mask)) {
    show(bytes, ids);
    results.push(ids);
    if (results.length === 2) start = performance.now(); // the first to be segmented warms up
    const speed = ((results.length - 2) / (performance.now() - start)) * 1000 || 0;
    say(`${results.length} frames, ${speed.toFixed(2)} frames a second by ${network.by}`);
    await new Promise((resolve) => setTimeout(resolve)); // so that it is drawn
  }
  say(`Done: ${output.textContent}`);
}

const acting = (action) => async () => {
  inputs.disabled = true;
  await action().catch((error) => say(`Not done: ${error.message}`));
  inputs.disabled = !network;
};

files.onchange = acting(open);
maskFile.onchange = acting(take);
button.onclick = acting(run);
canvas.onpointerdown = canvas.onpointermove = paint;
acting(async () => {
  network = await load("./graphs");
  [canvas.width, canvas.height, object.max] = [network.width, network.height, network.objects];
  say("Choose a video or frames");
})();
