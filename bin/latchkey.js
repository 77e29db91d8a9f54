#!/usr/bin/env node
// Node would open its inspector, which may do everything in this process.
process.on("SIGUSR1", () => undefined);

const MINIMUM = 24;

if (Number(process.versions.node.split(".")[0]) < MINIMUM) {
  console.error(`latchkey needs Node ${MINIMUM} or newer; this is Node ${process.versions.node}.`);
  process.exit(1);
}

// A SIGHUP before the rest of the program is loaded must not end a service: it asks to reload files, which are read later.
if (process.argv[2] === "serve") process.on("SIGHUP", () => undefined);

// node:sqlite works and says that it is new; in front of every log that would only worry people.
const { emitWarning } = process;
process.emitWarning = (warning, ...rest) => {
  if (rest[0] === "ExperimentalWarning" && String(warning).startsWith("SQLite")) return;
  emitWarning.call(process, warning, ...rest);
};

const { existsSync } = await import("node:fs");
const source = new URL("../src/main.ts", import.meta.url);
await import(existsSync(source) ? source.href : new URL("../dist/main.js", import.meta.url).href);
