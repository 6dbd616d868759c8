/* Pictures: the text of a sequence is read, and a picture decoded, when it is first looked at. */
const texts = new Map();
function keep(map, key, make, most) {
  if (!map.has(key)) {
    if (map.size >= most) map.delete(map.keys().next().value);
    map.set(key, make());
  }
  return map.get(key);
}
const textOf = (number) =>
  keep(texts, number, () => JSON.parse($(`pictures-${number}`).textContent), 4);
const decoded = new Map();
async function decode(kind, text) {
  if (!text) return null;
  const image = new Image();
  image.src = `data:image/${kind};base64,${text}`;
  await image.decode();
  return image;
}
/* Promises the frame, its true mask, its predicted mask (each an image or null), and what is wrong. */
const pictures = (number, frame) =>
  keep(
    decoded,
    `${number}/${frame}`,
    () => {
      const [picture, truth, prediction, problem] = textOf(number)[frame];
      const images = [decode("webp", picture), decode("png", truth), decode("png", prediction)];
      return Promise.all([...images, problem]);
    },
    60,
  );
function draw(canvas, frame, mask) {
  canvas.width = frame.naturalWidth;
  canvas.height = frame.naturalHeight;
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
function strip(list, places, label) {
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
            "aria-label": `${sequence.name}, frame ${frame}, J ${percent(sequence.mean_j[frame])}`,
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
