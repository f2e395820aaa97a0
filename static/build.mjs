// Makes static/dist and static/vendor from what lies beside this file and in node_modules.
//
//   node static/build.mjs
//
// Each file carries the hash of its content in its name, so it may be cached for ever, and
// lies there compressed too, so that the server never compresses while somebody waits.

import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "..", "node_modules");

// gzip -9, in KiB: what a first visit may cost (docs: performance budget of pages).
const BUNDLES = {
  "app.css": { from: "css/app.css", budget: 18 },
  "catalogue.css": { from: "css/catalogue.css", budget: 3 },
  "docs.css": { from: "css/docs.css", budget: 4 },
  "app.js": { from: "js/app.js", budget: 30 },
  "live.js": { from: "js/live.js", budget: 18 },
  "builder.js": { from: "js/builder.js", budget: 9 },
  "docs.js": { from: "js/docs.js", budget: 2 },
};
const COPIES = {
  "icons.svg": { from: "icons/icons.svg", budget: 4 },
  "logo.svg": { from: "logo/logo.svg", budget: 1 },
};
const VENDOR = {
  "swagger-ui.css": "swagger-ui-dist/swagger-ui.css",
  "swagger-ui-bundle.js": "swagger-ui-dist/swagger-ui-bundle.js",
  "redoc.standalone.js": "redoc/bundles/redoc.standalone.js",
};
const LICENCES = {
  "swagger-ui.LICENSE.txt": "swagger-ui-dist/LICENSE",
  "swagger-ui.NOTICE.txt": "swagger-ui-dist/NOTICE",
  "redoc.LICENSE.txt": "redoc/LICENSE",
  "redoc.standalone.LICENSE.txt": "redoc/bundles/redoc.standalone.js.LICENSE.txt",
};

async function bundle(from) {
  const built = await esbuild.build({
    entryPoints: [join(here, from)],
    bundle: true,
    minify: true,
    write: false,
    format: from.endsWith(".js") ? "iife" : undefined,
    target: ["es2022", "chrome123", "firefox128", "safari17.5"],
    legalComments: "none",
    logLevel: "warning",
  });
  return Buffer.from(built.outputFiles[0].contents);
}

function hashedName(name, content) {
  const dot = name.lastIndexOf(".");
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 12);
  return `${name.slice(0, dot)}.${hash}${name.slice(dot)}`;
}

async function put(folder, name, content) {
  const file = hashedName(name, content);
  const gzip = gzipSync(content, { level: 9 });
  const brotli = brotliCompressSync(content, {
    params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length },
  });
  await writeFile(join(folder, file), content);
  await writeFile(join(folder, `${file}.gz`), gzip);
  await writeFile(join(folder, `${file}.br`), brotli);
  const integrity = `sha384-${createHash("sha384").update(content).digest("base64")}`;
  return { file, integrity, bytes: content.length, gzip: gzip.length };
}

// The list is replaced last and in one move: a server that reads it meanwhile sees the
// old files or the new ones, never a name without its file. Old files go after that.
async function publish(folder, manifest, others = []) {
  const fresh = join(folder, "manifest.json.new");
  await writeFile(fresh, `${JSON.stringify(manifest, null, 2)}\n`);
  await rename(fresh, join(folder, "manifest.json"));
  const kept = new Set(["manifest.json", ...others]);
  for (const { file } of Object.values(manifest)) {
    for (const ending of ["", ".gz", ".br"]) kept.add(file + ending);
  }
  for (const file of await readdir(folder)) {
    if (!kept.has(file)) await rm(join(folder, file), { recursive: true });
  }
}

async function makeDist() {
  const folder = join(here, "dist");
  await mkdir(folder, { recursive: true });
  const manifest = {};
  const tooBig = [];
  for (const [name, { from, budget }] of Object.entries({ ...BUNDLES, ...COPIES })) {
    const content = name in BUNDLES ? await bundle(from) : await readFile(join(here, from));
    manifest[name] = await put(folder, name, content);
    if (manifest[name].gzip > budget * 1024) tooBig.push(`${name}: over ${budget} KiB`);
  }
  await publish(folder, manifest);
  return { manifest, tooBig };
}

async function makeVendor() {
  const folder = join(here, "vendor");
  await mkdir(folder, { recursive: true });
  const manifest = {};
  for (const [name, from] of Object.entries(VENDOR)) {
    manifest[name] = await put(folder, name, await readFile(join(modules, from)));
  }
  for (const [name, from] of Object.entries(LICENCES)) {
    await copyFile(join(modules, from), join(folder, name));
  }
  await publish(folder, manifest, Object.keys(LICENCES));
  return manifest;
}

const { manifest, tooBig } = await makeDist();
const vendor = process.argv.includes("--no-vendor") ? {} : await makeVendor();
for (const { file, bytes, gzip } of Object.values({ ...manifest, ...vendor })) {
  const kib = (n) => `${(n / 1024).toFixed(1)} KiB`.padStart(11);
  console.log(`${file.padEnd(42)}${kib(bytes)}${kib(gzip)} gzip`);
}
if (tooBig.length) {
  console.error(`Too heavy for the page budget:\n${tooBig.join("\n")}`);
  process.exitCode = 1;
}
