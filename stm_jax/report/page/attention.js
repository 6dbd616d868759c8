/* Where the worst frame of a sequence looked: one picture, of some sequences. */

function showAttention(number) {
  const data = $(`attention-${number}`);
  $("attention").hidden = data === null;
  const { name } = page.sequences[number];
  $("looked").replaceChildren(
    ...(data === null
      ? []
      : [
          el("img", {
            src: `data:image/webp;base64,${JSON.parse(data.textContent)}`,
            alt: `${name}: the worst frame, and the frames in memory with heat maps over them`,
          }),
        ]),
  );
}
