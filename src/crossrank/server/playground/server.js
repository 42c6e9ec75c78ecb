// Talking to the server that the page came from.

import { size } from "./messages.js";
import { Problem } from "./problem.js";

const SAID = [401, 404, 413, 422, 429, 503, 504];

export async function fetchSettings() {
  return receive(() => fetch("playground/settings"));
}

// Rank documents, or explain them.
export async function rank(request, key, mostBytes, signal) {
  const body = new Blob([JSON.stringify(request)]);
  if (body.size > mostBytes) throw new Problem("too_many_bytes", { most: size(mostBytes) });
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  return receive(() => fetch("playground/rank", { method: "POST", headers, body, signal }));
}

async function receive(send) {
  let response;
  let content;
  try {
    response = await send();
    content = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (!response || response.ok) throw new Problem("server_gone");
  }
  if (response.ok) return content;
  const { status } = response;
  const seconds = Number(response.headers.get("Retry-After")) || 1;
  const key = SAID.includes(status) ? `status_${status}` : "status_other";
  throw new Problem(key, { status, seconds }, content?.detail ?? "");
}
