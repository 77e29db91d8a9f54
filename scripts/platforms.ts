import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { z } from "zod";
import { findOnPath } from "./tools.ts";

/**
 * The platforms on which tests run what we ship: a file of test/platforms for each. The ones in `built/` need programs that take
 * many minutes to build, and run with `--long`.
 */
export const PLATFORMS = {
  "image.test.ts": "container image",
  "compose.test.ts": "Compose",
  "compose-redis.test.ts": "Compose with Sentinels and with a Cluster",
  "package.test.ts": "npm package and release",
  "systemd.test.ts": "systemd unit",
  "built/envoy-gateway.test.ts": "Envoy Gateway",
  "built/kubernetes.test.ts": "Kubernetes API server and Helm",
} as const;

export type Platform = keyof typeof PLATFORMS;

const FOLDER = ".test-results/platforms";
const note = z.object({ versions: z.string(), notRun: z.string().optional() });
type Note = z.infer<typeof note>;

/** Removes the notes of an earlier run. */
export function forgetNotes(): void {
  rmSync(FOLDER, { recursive: true, force: true });
}

/** A test file writes down what it ran: the versions of the programs, or why it could not run. */
export function writeNote(platform: Platform, written: Note): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(noteFile(platform), JSON.stringify(written));
}

export function readNote(platform: Platform): Note | undefined {
  try {
    return note.parse(JSON.parse(readFileSync(noteFile(platform), "utf8")));
  } catch {
    return undefined;
  }
}

const noteFile = (platform: Platform): string => `${FOLDER}/${basename(platform, ".test.ts")}.json`;

/**
 * Why this machine cannot run a platform that needs root and Debian's packages, or undefined. In CI every platform must run, so
 * there it throws.
 */
export async function whyNotHere(): Promise<string | undefined> {
  const reason = await missingHere();
  if (reason !== undefined && process.env["CI"] !== undefined)
    throw new Error(`CI must run every platform: this one ${reason}.`);
  return reason;
}

async function missingHere(): Promise<string | undefined> {
  if (process.platform !== "linux") return "needs Linux";
  if (process.getuid?.() !== 0) return "needs root";
  return (await findOnPath("apt-get")) === undefined ? "needs Debian's apt-get" : undefined;
}
