import { close, isOpen, join, leave, listen, open } from "./socket.js";
import { say } from "../say.js";
import { appendText, followStream } from "./stream.js";
import { showState } from "./words.js";

const SAFETY_S = 30; // with the socket open, look by ourselves this often
const SLOW_S = [5, 10, 30]; // after three polls that failed
const HIDDEN_S = 60;
const HEAD_START_S = 3; // for the socket to open before polling begins
const CALM_MS = 300; // a burst of events is one question
const SETTLE_MS = 60;
const CALLS = ["person", "attention", "paused"]; // states in which somebody has to act

let failures = 0;
let asking = false;
let again = false;
let calmUntil = 0;
let timer;
let hiding;
let watched = null; // the room that we joined
let shown = head()?.dataset.state;

const part = () => document.querySelector("[data-watch]");
const seq = () => Number(part()?.dataset.seq ?? 0);
const every_s = () => Number(part()?.dataset.every ?? 0);

function head() {
  return document.querySelector("#run-head [data-state]");
}

// A run that begins to wait for somebody says so; one that only goes on doesn't.
function sayState() {
  const state = head()?.dataset.state;
  if (state !== shown && CALLS.includes(state)) say(head().textContent.trim());
  shown = state;
}

function ask() {
  const element = part();
  if (!element) return;
  if (asking) {
    again = true;
    return;
  }
  const wait_ms = calmUntil - Date.now();
  if (wait_ms > 0) return plan(wait_ms / 1000);
  asking = true;
  calmUntil = Date.now() + CALM_MS;
  element.dispatchEvent(new Event("poll-now"));
}

function plan(after_s) {
  clearTimeout(timer);
  timer = setTimeout(ask, after_s * 1000);
}

function pause_s() {
  if (failures >= 3) return SLOW_S[Math.min(failures - 3, SLOW_S.length - 1)];
  return isOpen() ? SAFETY_S : every_s();
}

function goOn() {
  clearTimeout(timer);
  if (!part() || hiddenLong) return;
  if (!navigator.onLine) return showState("offline");
  if (!every_s()) {
    if (watched) {
      leave(watched);
      const ended = head()?.textContent.trim();
      if (ended) say(ended); // or what was said last stays
    }
    watched = null;
    return showState("settled");
  }
  sayState();
  if (failures >= 3) showState("slow");
  else showState(isOpen() ? "on" : "poll", every_s());
  plan(pause_s());
}

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!detail.elt.matches("[data-watch]")) return;
  failures = detail.successful ? 0 : failures + 1;
});

// After the swap, since the new element carries the new seq.
document.addEventListener("htmx:afterOnLoad", done);
document.addEventListener("htmx:sendError", done);
document.addEventListener("htmx:timeout", done);
document.addEventListener("htmx:responseError", done);
function done({ detail }) {
  if (!detail.requestConfig?.elt.matches("[data-watch]")) return;
  asking = false;
  // Until the swap has settled, the new element hears nothing, and asking would hang.
  calmUntil = Math.max(calmUntil, Date.now() + SETTLE_MS);
  followStream(ask);
  goOn();
  if (again) {
    again = false;
    ask();
  }
}

function hear(message) {
  if (message.type === "step.text") {
    if (!appendText(message)) ask();
  } else if (message.type === "session.end" || (message.room === watched && message.seq > seq())) {
    ask();
  }
}

let hiddenLong = false;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) {
    hiding = setTimeout(() => {
      hiddenLong = true;
      clearTimeout(timer);
      close();
      showState("hidden");
    }, HIDDEN_S * 1000);
  } else if (hiddenLong) {
    hiddenLong = false;
    open();
    ask();
  }
});
addEventListener("online", ask);
addEventListener("offline", goOn);
document.addEventListener("htmx:afterSettle", () => followStream(ask));

if (part() && every_s()) {
  watched = part().dataset.watch;
  join(watched, seq, ask);
  listen({ changed: goOn, event: hear });
  open();
  followStream(ask);
  plan(Math.max(HEAD_START_S, every_s()));
} else if (part()) {
  showState("settled");
}
