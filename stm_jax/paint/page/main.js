// Begins the page with the first state, and takes in what the server tells.

import { $, hub, tell } from "./hub.js";
import { flushDrawing, mask, resize } from "./mask.js";
import * as frames from "./frames.js";
import * as timeline from "./timeline.js";
import { opacity } from "./actions.js";
import "./follow.js";
import "./keys.js";
import "./objects.js";
import { choose, tools } from "./tools.js";
import { listen } from "./server.js";
import { fit, setSize, view } from "./view.js";

async function begin() {
  const { name, width, height } = hub.state.video;
  document.title = `${name} - paint`;
  $("name").textContent = name;
  resize(width, height);
  Object.assign($("picture"), { width, height });
  $("guide").setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const each of [$("sheet"), $("guide")]) {
    each.style.width = `${width}px`;
    each.style.height = `${height}px`;
  }
  fit();
  choose(tools[0]);
  setSize(Math.max(2, Math.min(width, height) / 40));
  opacity();
  tell("state");
  await frames.show(0);
  timeline.begin();
}

listen((event) => {
  const { kind } = event;
  if (kind === "state") {
    const isFirst = !hub.state;
    hub.state = event;
    if (isFirst) begin();
    else tell("state");
    return;
  }
  if (!hub.state) return;
  if (kind === "again") frames.lookAgain();
  if (kind === "changed") {
    Object.assign(hub.state, event, { kind: "state" });
    tell("state");
    return;
  }
  if (kind === "progress") Object.assign(hub.state, event, { kind: "state" });
  if (kind === "done") {
    const { states, certainty } = hub.state;
    hub.state.states = states.slice(0, event.frame) + event.state + states.slice(event.frame + 1);
    certainty[event.frame] = event.certainty;
  }
  tell(kind, event);
});

// For those who measure and test: no part of the page reads it.
window.paint = { hub, mask, view, frames, flushDrawing };
