import { say } from "../say.js";

// On a narrow screen what a press opens lies below: bring its heading into view. Where it is
// seen already nothing moves, and an update that nobody asked for never scrolls. The focus
// stays on what was pressed, so what it opened is said.
document.addEventListener("htmx:afterSettle", ({ detail }) => {
  if (detail.requestConfig?.target?.id !== "pane") return;
  const heading = document.querySelector("#pane h2");
  if (heading) say(`${heading.textContent.trim()} is shown`);
  const top = heading?.getBoundingClientRect().top ?? 0;
  if (top < 0 || top > innerHeight * 0.7) heading.scrollIntoView({ block: "start" });
});
