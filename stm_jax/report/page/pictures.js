/* Pictures: what is stored of a sequence is read, and a frame decoded, when it is first looked at. */
const RATE = 25; // frames a second of the films
const VOID = 255;
const TINT = 115; // of 255
function keep(map, key, make, most) {
  if (!map.has(key)) {
    if (map.size >= most) map.delete(map.keys().next().value);
    map.set(key, make());
  }
  return map.get(key);
}
const stored = new Map();
const storedOf = (number) =>
  keep(stored, number, () => JSON.parse($(`pictures-${number}`).textContent), 4);
const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const event = (node, name) =>
  new Promise((resolve, reject) => {
    node.addEventListener(name, resolve, { once: true });
    node.addEventListener("error", () => reject(node.error), { once: true });
  });

/* Promises that the film shows the frame of a time. "seeked" may come while the frame before is still
   drawn; where frames tell nothing, or in a tab that is not seen, it must do. */
const presents = (video, time) =>
  new Promise((resolve) => {
    if (!video.requestVideoFrameCallback) return resolve();
    const given = setTimeout(resolve, 1000);
    const look = (now, { mediaTime }) => {
      if (Math.abs(mediaTime - time) > 0.5 / RATE) return video.requestVideoFrameCallback(look);
      clearTimeout(given);
      resolve();
    };
    video.requestVideoFrameCallback(look);
  });

/* A film gives one frame after the other, for there is but one place where it stands. */
const films = new Map();
const urls = new Map();
function openFilm(number) {
  const video = el("video");
  video.muted = true;
  const blob = () => new Blob([bytesOf(storedOf(number).film)], { type: "video/webm" });
  const last = Promise.all([event(video, "loadeddata"), presents(video, 0)]);
  video.src = keep(urls, number, () => URL.createObjectURL(blob()), Infinity);
  return { video, last, place: 0 };
}
function filmFrame(number, place) {
  const film = keep(films, number, () => openFilm(number), 4);
  const frame = film.last.then(async () => {
    if (film.place !== place) {
      const there = Promise.all([event(film.video, "seeked"), presents(film.video, place / RATE)]);
      film.video.currentTime = (place + 0.5) / RATE;
      await there;
      film.place = place;
    }
    return createImageBitmap(film.video);
  });
  film.last = frame;
  return frame;
}
function blank(number) {
  $("no-film").hidden = false;
  const [width, height] = storedOf(number).size;
  return el("canvas", { width, height });
}

/* The masks of a sequence are runs of ids; see stm_jax/report/film.py. */
const runs = new Map();
async function inflate(number) {
  const { masks, size } = storedOf(number);
  const inflated = new Blob([bytesOf(masks)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(inflated).arrayBuffer());
  return { bytes, size, begins: [0] };
}
/* Calls `each` with where a run begins and ends, and its id; returns where the next mask is stored. */
function readRuns({ bytes, size }, at, each) {
  const pixels = size[0] * size[1];
  for (let begin = 0; begin < pixels; ) {
    let length = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      length |= (bytes[at] & 127) << shift;
      more = bytes[at++] > 127;
    }
    if (!length) return at; // there is no mask
    each(begin, (begin += length), bytes[at++]);
  }
  return at;
}
function maskImage(masks, which) {
  const { begins, size } = masks;
  while (begins.length <= which) begins.push(readRuns(masks, begins.at(-1), () => {}));
  const [width, height] = size;
  const ids = new Uint8Array(width * height);
  let there = false;
  readRuns(masks, begins[which], (begin, end, id) => {
    ids.fill(id, begin, end);
    there = true;
  });
  if (!there) return null;
  const image = new ImageData(width, height);
  ids.forEach((id, i) => {
    if (!id) return;
    const x = i % width;
    const inside =
      id === VOID ||
      ((x === 0 || ids[i - 1] === id) &&
        (x === width - 1 || ids[i + 1] === id) &&
        (i < width || ids[i - width] === id) &&
        (i >= ids.length - width || ids[i + width] === id));
    image.data.set(page.masks[id][inside ? 0 : 1], 4 * i);
    image.data[4 * i + 3] = inside ? TINT : 255;
  });
  const canvas = el("canvas", { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/* Promises the frame, its true mask, its predicted mask (each to be drawn, or null), and what is wrong. */
const decoded = new Map();
const pictures = (number, frame) =>
  keep(
    decoded,
    `${number}/${frame}`,
    async () => {
      const place = page.sequences[number].shown.indexOf(frame);
      const picture = filmFrame(number, place).catch(() => blank(number));
      const masks = await keep(runs, number, () => inflate(number), 4);
      const [truth, prediction] = [0, 1].map((which) => maskImage(masks, 2 * place + which));
      return [await picture, truth, prediction, storedOf(number).problems[frame]];
    },
    60,
  );
function draw(canvas, frame, mask) {
  canvas.width = frame.width;
  canvas.height = frame.height;
  const context = canvas.getContext("2d");
  context.drawImage(frame, 0, 0);
  if (mask) context.drawImage(mask, 0, 0);
}

/* Strips of the worst frames. */
const captionHere = (sequence, frame) => [
  el("span", {}, `frame ${frame}`, el("b", {}, percent(sequence.mean_j[frame]))),
];
const captionAll = (sequence, frame) => [
  el("span", { class: "name" }, sequence.name),
  ...captionHere(sequence, frame),
];
function strip(list, places, label, value = (sequence, frame) => `J ${percent(sequence.mean_j[frame])}`) {
  const loading = [];
  list.replaceChildren(
    ...places.map(([number, frame]) => {
      const sequence = page.sequences[number];
      const canvas = el("canvas", { "aria-hidden": "true" });
      loading.push(async () => {
        const [picture, , prediction] = await pictures(number, frame);
        draw(canvas, picture, prediction);
      });
      return el(
        "li",
        {},
        el(
          "button",
          {
            type: "button",
            "data-place": `${number}/${frame}`,
            onclick: () => openSequence(number, frame),
            "aria-label": `${sequence.name}, frame ${frame}, ${value(sequence, frame)}`,
          },
          canvas,
          ...label(sequence, frame),
        ),
      );
    }),
  );
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    loading.reduce((before, load) => before.then(load), Promise.resolve());
  });
  seen.observe(list);
}
