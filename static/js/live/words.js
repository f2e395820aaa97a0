// How the page stays fresh, said at one place on every page.
const WORDS = {
  on: "Live updates on",
  poll: (every_s) => `Checking every ${every_s} s`,
  slow: "Trying to reach the server…",
  offline: "You are offline. Changes are kept on this device.",
  hidden: "Paused, tab hidden",
  settled: "Up to date",
};

export function showState(kind, every_s) {
  const text = kind === "poll" ? WORDS.poll(every_s) : WORDS[kind];
  for (const line of document.querySelectorAll("[data-live-state]")) {
    line.hidden = false;
    line.dataset.liveState = kind;
    const place = line.querySelector("span");
    if (place.textContent !== text) place.textContent = text;
  }
}
