import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { helm } from "../../scripts/checkers.ts";
import { removeAtEnd } from "./at-end.ts";

export const CHART = fileURLToPath(new URL("../../deploy/helm/latchkey", import.meta.url));

const resource = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), labels: z.record(z.string(), z.string()).optional() }),
});
export type Resource = z.infer<typeof resource>;
export type Values = Readonly<Record<string, unknown>>;

/** The result of a Helm command. */
export interface Helm {
  readonly status: number | null;
  readonly said: string;
  /** The output of `template`. */
  readonly resources: readonly Resource[];
}

/** Runs `helm COMMAND … CHART -f VALUES`, for a release called `latchkey`. */
export async function runHelm(command: readonly string[], values: Values, chart = CHART): Promise<Helm> {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-chart-"));
  removeAtEnd(folder);
  const file = join(folder, "values.json");
  writeFileSync(file, JSON.stringify(values));
  const { PATH } = process.env;
  const { status, stdout, stderr } = spawnSync(await helm(), [...command, chart, "-f", file], {
    encoding: "utf8",
    // Its own caches and no cluster.
    env: { PATH, HOME: folder },
    maxBuffer: 1 << 26,
  });
  const rendered = status === 0 && command[0] === "template";
  return { status, said: `${stdout}${stderr}`, resources: rendered ? readResources(stdout) : [] };
}

/** Renders the chart with these values. Throws with Helm's error. */
export async function renderChart(values: Values, chart = CHART): Promise<readonly Resource[]> {
  const { status, said, resources } = await runHelm(["template", "latchkey"], values, chart);
  if (status !== 0) throw new Error(said);
  return resources;
}

/** Every document of a manifest. */
export function readResources(text: string): readonly Resource[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error) throw error;
    const value: unknown = document.toJS();
    return value === null ? [] : [resource.parse(value)];
  });
}

const container = z.looseObject({
  name: z.string(),
  image: z.string(),
  restartPolicy: z.string().optional(),
  env: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })).default([]),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).default([]),
  securityContext: z.looseObject({}),
});
const pod = z.looseObject({
  terminationGracePeriodSeconds: z.number(),
  enableServiceLinks: z.boolean(),
  automountServiceAccountToken: z.boolean(),
  securityContext: z.looseObject({}),
  initContainers: z.array(container).default([]),
  containers: z.array(container),
  volumes: z.array(z.looseObject({ name: z.string() })),
});
const template = z.object({
  spec: z.object({
    template: z.object({
      metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
      spec: pod,
    }),
  }),
});

/** The pod of the only Deployment in the manifest. */
export function podOf(resources: readonly Resource[]) {
  const { metadata, spec } = template.parse(byKind(resources, "Deployment")).spec.template;
  return { labels: metadata.labels, ...spec, all: [...spec.initContainers, ...spec.containers] };
}

const service = z.object({
  spec: z.object({
    clusterIP: z.string().optional(),
    selector: z.record(z.string(), z.string()),
    ports: z.array(z.object({ name: z.string(), port: z.number(), targetPort: z.string() })),
  }),
});

/** The fields of a Service. */
export function serviceOf(one: Resource) {
  return service.parse(one).spec;
}

/** The only resource of this kind and, if given, of this name. */
export function byKind(resources: readonly Resource[], kind: string, name?: string): Resource {
  const found = resources.filter(
    (one) => one.kind === kind && (name ?? one.metadata.name) === one.metadata.name,
  );
  const [first] = found;
  if (first === undefined || found.length > 1)
    throw new Error(`${found.length} of kind ${kind} ${name ?? ""}`);
  return first;
}
