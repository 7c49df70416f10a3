"use strict";

/* Everything works without this script. It refreshes the part of a page that changes, in the quiet moments: not while the
   page is hidden, and not while a person types, has chosen something, or has the focus inside. */

const EVERY = 5000;
const SLOWEST = 6;
let tag = "";
let timer = 0;
let failed = 0;

const byId = (id) => document.getElementById(id);

function isTyped(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  return field.value !== field.defaultValue;
}

function isBusy(box) {
  const inside = document.activeElement;
  const typing = inside && box.contains(inside) && inside.matches("input, textarea, select, button, summary, a, pre");
  return typing || [...box.querySelectorAll("input:not([type=hidden]), textarea")].some(isTyped);
}

function say(text, path) {
  const state = byId("state");
  state.textContent = text;
  if (path) {
    const link = document.createElement("a");
    link.href = path;
    link.textContent = "Sign in";
    state.append(" ", link);
  }
}

function swap(live, page) {
  const open = [...live.querySelectorAll("details[open][id]")].map((each) => each.id);
  const fresh = page.getElementById("live");
  if (!fresh) return;
  for (const id of open) fresh.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  live.replaceWith(document.adoptNode(fresh));
  document.title = page.title;
}

async function refresh() {
  const headers = { "X-Desk-Refresh": "1", Accept: "text/html" };
  if (tag) headers["If-None-Match"] = tag;
  const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "error" });
  if (answer.status === 401) return say("You are signed out; what you see may be old.", location.href);
  if (answer.status !== 304) {
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (isBusy(byId("live"))) return undefined;
    swap(byId("live"), page);
    tag = answer.headers.get("ETag") ?? "";
  }
  failed = 0;
  return say("");
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    if (!isBusy(byId("live"))) await refresh();
  } catch {
    failed += 1;
    say("The server does not answer; what you see may be old.");
  }
  timer = setTimeout(look, EVERY * Math.min(failed + 1, SLOWEST));
}

if (byId("live")) {
  document.addEventListener("visibilitychange", () => document.hidden || look());
  timer = setTimeout(look, EVERY);
}
