// All that is asked of the server.

import { say } from "./hub.js";

const bytes = crypto.getRandomValues(new Uint8Array(12));
const page = [...bytes].map((each) => each.toString(16).padStart(2, "0")).join("");

export async function ask(path, body, more = {}) {
  let answer;
  try {
    answer = await fetch(path, { method: body === undefined ? "GET" : "POST", body, ...more });
  } catch {
    throw new Error("the server does not answer: is stm-jax paint still running?");
  }
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

const mine = { headers: { "x-page": page } };

export const act = (name, about = {}) => ask("do", JSON.stringify({ do: name, ...about }), mine);

export const idsOf = async (answer) => new Uint8Array(await answer.arrayBuffer());

export async function getMask(frame) {
  const answer = await ask(`mask/${frame}`);
  const told = answer.headers.get("x-told").split(" ").filter(Boolean).map(Number);
  return { ids: await idsOf(answer), told: new Set(told) };
}

export async function giveMask(frame, ids, told) {
  const packed = new Blob([ids]).stream().pipeThrough(new CompressionStream("gzip"));
  const objects = encodeURIComponent([...told].join(" "));
  const body = await new Response(packed).arrayBuffer();
  return ask(`mask/${frame}?objects=${objects}`, body, mine);
}

// Calls back with each event; comes back by itself when the line is cut, and says so.
export function listen(callback, isAgain = false) {
  const address = new URL("events", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  socket.onopen = () => isAgain && callback({ kind: "again" });
  socket.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (event.page !== page) callback(event);
  };
  socket.onclose = () => {
    say("the server does not answer: trying again", true);
    setTimeout(() => listen(callback, true), 1000);
  };
}
