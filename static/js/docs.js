// Starts the reader of the API description that the page loaded: Swagger UI or ReDoc.
const place = document.getElementById("api");
const { url, reader } = place.dataset;

if (reader === "redoc") {
  globalThis.Redoc.init(url, { hideDownloadButton: false }, place);
} else {
  globalThis.SwaggerUIBundle({ url, domNode: place, deepLinking: true, validatorUrl: null });
}
