import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { z } from "zod";

/**
 * The platforms on which tests run what we ship: a file of test/platforms for each. The ones in `built/` need programs that take
 * many minutes to build, and run with `--long`. test/support/machine-needs.ts has what each needs of the machine.
 */
export const PLATFORMS = {
  "image.test.ts": "container image",
  "compose.test.ts": "Compose",
  "compose-redis.test.ts": "Compose with Sentinels and with a Cluster",
  "package.test.ts": "npm package and release",
  "systemd.test.ts": "systemd unit",
  "nginx.test.ts": "nginx",
  "caddy.test.ts": "Caddy",
  "traefik.test.ts": "Traefik",
  "built/envoy-gateway.test.ts": "Envoy Gateway",
  "built/kubernetes.test.ts": "Kubernetes API server and Helm",
} as const;

export type Platform = keyof typeof PLATFORMS;

const FOLDER = ".test-results/platforms";
const note = z.object({ versions: z.string() });
type Note = z.infer<typeof note>;

/** Removes the note of an earlier run. */
export function forgetNote(platform: Platform): void {
  rmSync(noteFile(platform), { force: true });
}

/** A test file writes down what it ran: the versions of the programs. */
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
