// Starts the reader of the API description that the page loaded: Swagger UI or ReDoc.
import { startRedoc } from "./docs/redoc.js";
import { startSwagger } from "./docs/swagger.js";

const place = document.getElementById("api");
const { url, reader } = place.dataset;
(reader === "redoc" ? startRedoc : startSwagger)(place, url);
