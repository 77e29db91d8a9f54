import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Document } from "yaml";
import { isMap, isSeq, parseDocument } from "yaml";
import { z } from "zod";
import type { Child } from "./child.ts";
import { startChild } from "./child.ts";

/** Paths in the examples of envoy/, for `setIn` and `deleteIn` of their documents. */
export const ADMIN = ["admin", "address", "socket_address"];
export const LISTENER = ["static_resources", "listeners", 0];
export const HTTP_MANAGER = [...LISTENER, "filter_chains", 0, "filters", 0, "typed_config"];
export const EXT_AUTHZ = [...HTTP_MANAGER, "http_filters", 0, "typed_config"];

const CLUSTERS = ["static_resources", "clusters"];
const READY_WITHIN_MS = 60_000;

export interface EnvoyProcess extends Child {
  /** The port of the first listener. Most examples have only one. */
  readonly port: number;
  /** The port of each listener, by its name. */
  readonly ports: ReadonlyMap<string, number>;
  readonly adminPort: number;
}

export const EXAMPLES = [
  "sidecar",
  "edge",
  "grpc-services",
  "shadow",
  "fleet",
  "http-service",
  "llm-gateway",
] as const;

/** Reads a shipped example, to be changed in memory. `folders` maps folder names in the example to real folders. */
export async function readExample(
  name: (typeof EXAMPLES)[number],
  folders: Readonly<Record<string, string>> = {},
): Promise<Document> {
  const text = await readFile(new URL(`../envoy/${name}.yaml`, import.meta.url), "utf8");
  return parseDocument(
    Object.entries(folders).reduce(
      (replaced, [name, folder]) => replaced.replaceAll(`${name}/`, `${folder}/`),
      text,
    ),
  );
}

export function setListenerPort(bootstrap: Document, port: number): void {
  bootstrap.setIn([...LISTENER, "address", "socket_address", "port_value"], port);
}

/** Each target is `host:port` or `unix:/path`, the form of Latchkey's listener addresses. */
export function setClusterTargets(bootstrap: Document, cluster: string, ...targets: readonly string[]): void {
  const clusters = bootstrap.getIn(CLUSTERS);
  const items = isSeq(clusters) ? clusters.items : [];
  const index = items.findIndex((item) => isMap(item) && item.get("name") === cluster);
  if (index < 0) throw new Error(`The example has no cluster ${cluster}.`);
  const endpoints = ["load_assignment", "endpoints", 0, "lb_endpoints"];
  const placed = targets.map((target) => ({ endpoint: { address: addressOf(target) } }));
  bootstrap.setIn([...CLUSTERS, index, ...endpoints], bootstrap.createNode(placed));
}

function addressOf(target: string): object {
  if (target.startsWith("unix:")) return { pipe: { path: target.slice("unix:".length) } };
  const colon = target.lastIndexOf(":");
  const address = target.slice(0, colon).replace(/^\[|\]$/g, "");
  return { socket_address: { address, port_value: Number(target.slice(colon + 1)) } };
}

/** Starts Envoy with its admin listener on a free port of loopback, and waits until it serves. */
export async function startEnvoyProcess(
  binary: string,
  bootstrap: Document,
  options: { readonly ownGroup?: boolean } = {},
): Promise<EnvoyProcess> {
  bootstrap.setIn([...ADMIN, "port_value"], 0);
  const folder = await mkdtemp(join(tmpdir(), "latchkey-envoy-"));
  try {
    const addressFile = join(folder, "admin");
    const config = ["--config-yaml", JSON.stringify(bootstrap), "--admin-address-path", addressFile];
    const child = await startChild(binary, [...config, "--concurrency", "1", "--disable-hot-restart"], {
      env: { PATH: process.env["PATH"] },
      ...options,
    });
    const admin = await Promise.race([untilLive(addressFile), child.exited.then(() => undefined)]);
    if (admin === undefined) {
      await child.stop("SIGKILL");
      throw new Error(`Envoy did not start:\n${child.output()}`);
    }
    const ports = await listenerPorts(admin);
    const [port = 0] = ports.values();
    return { ...child, port, ports, adminPort: Number(admin.split(":").at(-1)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The address of the admin listener once Envoy reports LIVE, or undefined after a timeout. */
async function untilLive(addressFile: string): Promise<string | undefined> {
  const endMs = Date.now() + READY_WITHIN_MS;
  while (Date.now() < endMs) {
    try {
      const admin = (await readFile(addressFile, "utf8")).trim();
      if (admin !== "" && (await (await fetch(`http://${admin}/ready`)).text()).startsWith("LIVE"))
        return admin;
    } catch {
      // The file or the listener does not exist yet.
    }
    await pause(20);
  }
  return undefined;
}

const listeners = z.object({
  listener_statuses: z
    .array(
      z.object({
        name: z.string(),
        local_address: z.object({ socket_address: z.object({ port_value: z.number() }) }),
      }),
    )
    .min(1),
});

async function listenerPorts(admin: string): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`http://${admin}/listeners?format=json`);
  const { listener_statuses: all } = listeners.parse(await response.json());
  return new Map(all.map(({ name, local_address }) => [name, local_address.socket_address.port_value]));
}
