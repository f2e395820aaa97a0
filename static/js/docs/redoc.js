import { mend } from "./mend.js";

// ReDoc reckons with its colors, so it needs them as numbers, not as the names of our style.
function colorsOf(place, scheme) {
  return (name) => {
    Object.assign(place.style, { color: `var(--${name})`, colorScheme: scheme });
    const { color } = getComputedStyle(place);
    Object.assign(place.style, { color: "", colorScheme: "" });
    return color;
  };
}

const VERBS = { get: "accent", post: "ok", put: "warn", patch: "warn", delete: "bad" };

function themeOf(place) {
  const color = colorsOf(place, "");
  const dark = colorsOf(place, "dark"); // the panel of examples is dark always: its code is
  const quiet = color("text-2");
  const answer = (name) => ({ color: color(name), backgroundColor: color(`${name}-bg`) });
  return {
    colors: {
      primary: { main: color("accent"), contrastText: color("on-accent") },
      success: { main: color("ok") },
      warning: { main: color("warn") },
      error: { main: color("bad") },
      gray: { 50: color("surface"), 100: color("surface-2") },
      border: { light: color("line"), dark: color("line-strong") },
      text: { primary: color("text"), secondary: quiet },
      responses: { success: answer("ok"), error: answer("bad"), redirect: answer("warn") },
      http: Object.fromEntries(Object.entries(VERBS).map(([verb, name]) => [verb, colorsOf(place, "light")(name)])),
    },
    schema: {
      linesColor: color("line-strong"),
      typeNameColor: quiet,
      typeTitleColor: quiet,
      requireLabelColor: color("bad"),
      nestedBackground: color("surface"),
      arrow: { color: quiet },
    },
    typography: {
      fontSize: "15px",
      fontFamily: "var(--font)",
      smoothing: "auto",
      headings: { fontFamily: "var(--font)", fontWeight: "600" },
      code: { fontFamily: "var(--mono)", color: color("text"), backgroundColor: color("surface-2"), wrap: true },
      links: { color: color("accent"), visited: color("accent"), hover: color("accent-press") },
    },
    sidebar: {
      backgroundColor: color("surface"),
      textColor: color("text"),
      activeTextColor: color("accent"),
      arrow: { color: quiet },
    },
    rightPanel: {
      backgroundColor: dark("canvas"),
      textColor: dark("text"),
      servers: {
        overlay: { backgroundColor: dark("surface-2"), textColor: dark("text") },
        url: { backgroundColor: dark("surface") },
      },
    },
    codeBlock: { backgroundColor: dark("surface") },
  };
}

export function startRedoc(place, url) {
  mend(place, [["h5", { "aria-level": "3" }]]);
  globalThis.Redoc.init(url, { hideSchemaPattern: true, theme: themeOf(place) }, place);
  // It takes its colors once, at its start.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
}
