import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { z } from "zod";

export const COMPOSE_FOLDER = fileURLToPath(new URL("../../deploy/compose", import.meta.url));

const condition = z.enum(["service_started", "service_healthy", "service_completed_successfully"]);
const STARTED: { condition: z.infer<typeof condition> } = { condition: "service_started" };
const service = z.object({
  image: z.string().optional(),
  build: z.object({ context: z.string() }).optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  secrets: z.array(z.string()).default([]),
  read_only: z.boolean().default(false),
  depends_on: z
    .union([
      z.array(z.string()).transform((names) => Object.fromEntries(names.map((name) => [name, STARTED]))),
      z.record(z.string(), z.object({ condition })),
    ])
    .default({}),
  healthcheck: z.object({ test: z.array(z.string()), retries: z.int() }).optional(),
  networks: z.object({ default: z.object({ ipv4_address: z.ipv4() }) }).optional(),
});
const file = z.object({
  services: z.record(z.string(), service),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
  networks: z
    .object({
      default: z.object({
        ipam: z.object({ config: z.tuple([z.object({ subnet: z.cidrv4(), ip_range: z.cidrv4() })]) }),
      }),
    })
    .optional(),
});

export type ComposeService = z.infer<typeof service>;
export type ComposeFile = z.infer<typeof file>;

/** The files of deploy/compose that replace the one Redis of compose.yaml. */
export const OVERLAYS = ["sentinel.yaml", "cluster.yaml"] as const;

/** The parts of deploy/compose/compose.yaml that the tests read, with one of the files that change it. */
export function readCompose(overlay?: (typeof OVERLAYS)[number]): ComposeFile {
  const base = file.parse(readFile("compose.yaml"));
  if (overlay === undefined) return base;
  const over = file.parse(readFile(overlay));
  const services = { ...base.services };
  for (const [name, changed] of Object.entries(over.services))
    services[name] = mergeServices(services[name], changed);
  return {
    services,
    secrets: { ...base.secrets, ...over.secrets },
    ...(over.networks && { networks: over.networks }),
  };
}

function readFile(name: string): unknown {
  return parse(readFileSync(`${COMPOSE_FOLDER}/${name}`, "utf8"), { merge: true });
}

/** As Compose does. A test compares the result with that of Compose's own loader. */
function mergeServices(base: ComposeService | undefined, over: ComposeService): ComposeService {
  if (base === undefined) return over;
  const byTarget = [...base.volumes, ...over.volumes].map(
    (volume) => [volume.split(":")[1], volume] as const,
  );
  return {
    ...base,
    ...over,
    environment: { ...base.environment, ...over.environment },
    volumes: [...new Map(byTarget).values()],
    ports: [...base.ports, ...over.ports],
    secrets: [...new Set([...base.secrets, ...over.secrets])],
    read_only: base.read_only || over.read_only,
    depends_on: { ...base.depends_on, ...over.depends_on },
  };
}
