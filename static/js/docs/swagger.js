import { mend } from "./mend.js";

// The path of an operation stands inside the button that opens it, so it must not be a link.
const plainPaths = ({ React }) => ({
  wrapComponents: {
    DeepLink: (Link) => (props) =>
      props.path?.includes("/")
        ? React.createElement("span", null, props.text)
        : React.createElement(Link, props),
  },
});

function named(row) {
  return row.closest("[data-param-name]")?.dataset.paramName ?? "Value";
}

function operation(one) {
  return one.closest(".opblock")?.querySelector(".opblock-summary-path")?.dataset.path ?? "";
}

const RULES = [
  [".information-container", { role: "region", "aria-label": "About this API" }],
  [".scheme-container", { role: "region", "aria-label": "Your key" }],
  [".opblock-tag", { "aria-level": "2" }],
  [".opblock-section-header h4", { "aria-level": "3" }],
  [".responses-inner :is(h4, h5)", { "aria-level": "4" }],
  [".responses-table", (one) => ({ "aria-label": `Answers of ${operation(one)}, ${one.id}` })],
  [".parameters select, .parameters input, .parameters textarea", (one) => ({ "aria-label": named(one) })],
  [".body-param__text", { "aria-label": "Request body" }],
  [".opblock-section-request-body input[type=file]", { "aria-label": "File" }],
  [".models h4", { "aria-level": "2" }],
  [".live-responses-table pre", { tabindex: "0" }], // the one that may scroll
  [".modal-ux", { role: "dialog", "aria-modal": "true", "aria-label": "Available authorizations" }],
  [".modal-ux h3", { "aria-level": "2" }],
  [".modal-ux h4", { "aria-level": "3" }],
  [".close-modal", { "aria-label": "Close" }],
  [".modal-btn.authorize", (one) => ({ "aria-label": `${one.textContent}: apply this key` })],
];

export function startSwagger(place, url) {
  mend(place, RULES);
  globalThis.SwaggerUIBundle({
    url,
    domNode: place,
    deepLinking: true,
    validatorUrl: null,
    syntaxHighlight: { activated: false }, // its colors are written into the elements
    defaultModelsExpandDepth: 0, // the list of schemas opens when somebody wants it
    plugins: [plainPaths],
  });
}
