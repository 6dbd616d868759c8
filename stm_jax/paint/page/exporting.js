// The dialog of results: what may be made, and links to what was.

import { $, element, hub, on, trying } from "./hub.js";
import { act } from "./server.js";

const KINDS = {
  palette: "palette PNGs, a mask a frame",
  overlay: "video with the masks drawn over",
  rgba: "cut-out PNGs, transparent around",
  alpha: "grey mattes of 8 bits",
  alpha16: "grey mattes of 16 bits",
  prores4444: "ProRes 4444 with alpha, for compositors",
  "vp9-alpha": "VP9 with alpha, for web pages",
  coco: "COCO video JSON",
  davis: "folders as DAVIS has them, to train on",
  npz: "probabilities (needs --soft)",
  report: "a page: frames, masks, certainty and area over time",
};
for (const [kind, what] of Object.entries(KINDS)) {
  const box = element("input", { type: "checkbox", value: kind });
  box.checked = kind === "palette";
  $("kinds").append(element("label", {}, box, ` ${kind}: ${what}`));
}
export const open = () => $("results").showModal();
$("export").onclick = open;
$("make").onclick = () => {
  const kinds = [...$("kinds").querySelectorAll(":checked")].map((each) => each.value);
  isOurs = true;
  trying(() => act("Export", { kinds }));
};
const link = (kind) => element("a", { href: `export/${kind}`, download: "" }, kind);
let isOurs = false, isMaking = false;
on("state", () => {
  const { exported, progress, error } = hub.state;
  const links = exported.flatMap((kind, at) => [at ? ", " : "Download: ", link(kind)]);
  $("made").replaceChildren(...links);
  const isDone = isMaking && !progress;
  isMaking = progress?.doing === "exporting";
  if (!isDone || !isOurs) return;
  isOurs = false;
  if (!error) open();
});
