// Following: begin, pause, how far it is, and what is in memory meanwhile.

import { $, hub, on, say, trying } from "./hub.js";
import { act } from "./server.js";

const [bar, text] = $("progress").children;

export function follow() {
  if (hub.state.progress) return trying(() => act("Pause"));
  const { states, video } = hub.state;
  let [start, end] = [0, video.count - 1];
  if ($("range").value === "here") {
    const next = states.indexOf("a", hub.frame + 1);
    [start, end] = [hub.frame, next < 0 ? end : next];
  } else if ($("range").value === "before") {
    const last = hub.frame ? states.lastIndexOf("a", hub.frame - 1) : -1;
    [start, end] = [Math.max(0, last), hub.frame];
  }
  return trying(() => act("Follow", { start, end }));
}

$("follow").onclick = follow;
$("direction").onchange = () => trying(() => act("Choose", { direction: $("direction").value }));

const clock = (seconds) =>
  `${Math.floor(seconds / 60)}:${String(Math.round(seconds) % 60).padStart(2, "0")}`;

let told = "";
function draw() {
  const { progress, memory, error, direction } = hub.state;
  $("direction").value = direction;
  $("follow").textContent = !progress ? "Follow" : progress.doing === "following" ? "Pause" : "Stop";
  bar.hidden = !progress;
  if (progress?.total) Object.assign(bar, { max: progress.total, value: progress.done });
  else bar.removeAttribute("value");
  text.textContent = progress ? described(progress) : "";
  $("memory").textContent = memory.length
    ? `${memory.length} frames in memory: ${memory.join(", ")}`
    : "Nothing is being followed. Take the tool Look to see where a pixel's read went.";
  if (error && error !== told) say(error, true);
  told = error;
}

function described({ doing, done, total, rate, left }) {
  if (!done) return doing === "following" ? "compiling, or going on ..." : `${doing} ...`;
  const parts = [total ? `${Math.min(done, total)} of ${total}` : String(done)];
  if (doing !== "following") parts.unshift(doing);
  if (rate) parts.push(`${rate.toFixed(rate < 10 ? 1 : 0)} frames/s`);
  if (left !== null) parts.push(`${clock(left)} left`);
  return parts.join(", ");
}

on("state", draw);
on("progress", draw);
on("looked", () => {
  $("looked").querySelector("img").src = `looked?${Date.now()}`;
  $("looked").showModal();
});
