import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { z } from "zod";

export const COMPOSE_FOLDER = fileURLToPath(new URL("../../deploy/compose", import.meta.url));

const service = z.object({
  image: z.string(),
  build: z.object({ context: z.string() }).optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  secrets: z.array(z.string()).default([]),
  read_only: z.boolean().default(false),
  depends_on: z
    .union([
      z.array(z.string()).transform((names) => Object.fromEntries(names.map((name) => [name, {}]))),
      z.record(z.string(), z.object({ condition: z.enum(["service_started", "service_healthy"]) })),
    ])
    .default({}),
  healthcheck: z.object({ test: z.array(z.string()), retries: z.int() }).optional(),
});
const file = z.object({
  services: z.record(z.string(), service),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
});

export type ComposeService = z.infer<typeof service>;
export type ComposeFile = z.infer<typeof file>;

/** The parts of deploy/compose/compose.yaml that the tests read. */
export function readCompose(): ComposeFile {
  return file.parse(parse(readFileSync(`${COMPOSE_FOLDER}/compose.yaml`, "utf8")));
}
