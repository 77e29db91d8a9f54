#!/usr/bin/env node
// By default SIGUSR1 makes Node open its inspector, which gives full control of this process.
process.on("SIGUSR1", () => undefined);

const MINIMUM = 24;

if (Number(process.versions.node.split(".")[0]) < MINIMUM) {
  console.error(`latchkey needs Node ${MINIMUM} or newer. This is Node ${process.versions.node}.`);
  process.exit(1);
}

// A SIGHUP before the program is loaded must not stop the service. It requests a reload of files, which are read later.
if (process.argv[2] === "serve") process.on("SIGHUP", () => undefined);

// Suppresses the experimental warning of node:sqlite, which would precede every log.
const { emitWarning } = process;
process.emitWarning = (warning, ...rest) => {
  if (rest[0] === "ExperimentalWarning" && String(warning).startsWith("SQLite")) return;
  emitWarning.call(process, warning, ...rest);
};

const { existsSync } = await import("node:fs");
const source = new URL("../src/main.ts", import.meta.url);
await import(existsSync(source) ? source.href : new URL("../dist/main.js", import.meta.url).href);
