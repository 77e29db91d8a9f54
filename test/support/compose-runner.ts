import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { run } from "../../scripts/run.ts";
import { removeAtEnd } from "./at-end.ts";
import type { ComposeFile, ComposeService } from "./compose.ts";
import type { Container, Mount } from "./container.ts";
import { startContainer } from "./container.ts";

/** What an image would bring: its programs, its command, and its environment. */
export interface ServiceImage {
  readonly entrypoint: readonly string[];
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: number;
  readonly cwd?: string;
  readonly mounts?: readonly Mount[];
  /** The words of its HEALTHCHECK, which a service may replace. */
  readonly healthcheck?: readonly string[];
}

export interface ComposeProject {
  readonly services: ReadonlyMap<string, Container>;
  /** Starts a service that has ended, with its volumes. Resolves once it is healthy. */
  restart(name: string): Promise<void>;
  /** Runs a program of Node in the project's network and returns what it prints. */
  node(program: string, ...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
}

export interface ComposeOptions {
  readonly file: ComposeFile;
  /** The folder of the compose file. */
  readonly folder: string;
  /** The image of each service to start. */
  readonly images: Readonly<Record<string, ServiceImage>>;
}

const HEALTH_INTERVAL_MS = 500;
const HEALTH_TRIES = 120;

/**
 * Starts services of a compose file in the order of their dependencies, each in a container of its own, with the command, the
 * environment, the mounts, the secrets and the health check that the file gives it. All share one network, in which the name of
 * each service is the loopback, and which has all addresses of the file's subnet.
 */
export async function startCompose(options: ComposeOptions): Promise<ComposeProject> {
  const work = await mkdtemp(join(tmpdir(), "latchkey-project-"));
  removeAtEnd(work);
  const hosts = join(work, "hosts");
  const names = ["localhost", ...Object.keys(options.file.services)];
  await writeFile(hosts, `127.0.0.1 ${names.join(" ")}\n`);
  // No name server: each name that the hosts file lacks fails at once.
  const resolver = join(work, "resolv.conf");
  await writeFile(resolver, "nameserver 127.0.0.1\n");
  const nameMounts = [
    { source: hosts, target: "/etc/hosts", readOnly: true },
    { source: resolver, target: "/etc/resolv.conf", readOnly: true },
  ];
  const nodeMount = { source: process.execPath, target: "/usr/local/bin/node", readOnly: true };
  const network = await startContainer({
    readOnly: false,
    user: { uid: 0, gid: 0 },
    args: ["sleep", "infinity"],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    cwd: "/",
    mounts: [...nameMounts, nodeMount],
    network: "new",
  });
  if (network.firstPid === 0) throw new Error(network.output());
  await addSubnet(options.file, network);
  const services = new Map<string, Container>();
  const start = async (name: string): Promise<void> => {
    const service = options.file.services[name];
    const image = options.images[name];
    if (service === undefined || image === undefined) throw new Error(`The compose file has no ${name}.`);
    const mounts = [
      ...nameMounts,
      ...(image.mounts ?? []),
      ...(await mountsOf(service, image, options, work)),
    ];
    const container = await startContainer({
      readOnly: service.read_only,
      user: { uid: image.user ?? 0, gid: image.user ?? 0 },
      args: commandOf(service, image),
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", ...image.env, ...service.environment },
      cwd: image.cwd ?? "/",
      mounts,
      network,
    });
    services.set(name, container);
    if (mustComplete(options.file, name)) await completed(name, container);
    else await untilHealthy(name, container, service, image);
  };
  for (const name of inOrder(options.file, Object.keys(options.images))) await start(name);
  return {
    services,
    restart: start,
    node: async (program, ...args) => {
      const { code, output } = await network.exec(["node", "--input-type=module", "-e", program, ...args]);
      if (code !== 0) throw new Error(output);
      return output;
    },
    stop: async () => {
      for (const container of [...services.values()].reverse()) {
        await container.signal("TERM").catch(() => undefined);
        await container.exited;
      }
      await network.signal("KILL");
      await network.exited;
    },
  };
}

/** Makes the whole subnet local, as 127.0.0.0/8 is. */
async function addSubnet({ networks }: ComposeFile, { firstPid }: Container): Promise<void> {
  if (networks === undefined) return;
  const [{ subnet }] = networks.default.ipam.config;
  const inNetwork = ["--target", String(firstPid), "--net", "ip", "address", "add", subnet, "dev", "lo"];
  await run("nsenter", inNetwork);
}

function mustComplete({ services }: ComposeFile, name: string): boolean {
  return Object.values(services).some(
    ({ depends_on }) => depends_on[name]?.condition === "service_completed_successfully",
  );
}

async function completed(name: string, { exited, output }: Container): Promise<void> {
  const code = await exited;
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${output()}`);
}

function commandOf(service: ComposeService, image: ServiceImage): readonly string[] {
  return [...image.entrypoint, ...(service.command ?? image.command ?? [])];
}

/** The named services, each after those on which it depends. */
function inOrder({ services }: ComposeFile, names: readonly string[]): readonly string[] {
  const ordered = new Set<string>();
  const add = (name: string): void => {
    for (const dependency of Object.keys(services[name]?.depends_on ?? {})) add(dependency);
    if (names.includes(name)) ordered.add(name);
  };
  for (const name of names) add(name);
  return [...ordered];
}

/** Paths are relative to the compose file. A volume with a name is a new folder that belongs to the image's user. */
async function mountsOf(
  service: ComposeService,
  { user = 0 }: ServiceImage,
  { file, folder }: ComposeOptions,
  work: string,
): Promise<readonly Mount[]> {
  const mounts: Mount[] = service.secrets.map((name) => ({
    source: join(folder, file.secrets[name]?.file ?? ""),
    target: `/run/secrets/${name}`,
    readOnly: true,
  }));
  for (const volume of service.volumes) {
    const [from = "", target = "", mode] = volume.split(":");
    const isPath = from.startsWith(".");
    const source = isPath ? join(folder, from) : join(work, from);
    if (!isPath) {
      await mkdir(source, { recursive: true });
      await run("chown", [`${user}:${user}`, source]);
    }
    mounts.push({ source, target, readOnly: mode === "ro" });
  }
  return mounts;
}

/** As Compose does: a service that depends on it starts after the first success. */
async function untilHealthy(
  name: string,
  container: Container,
  service: ComposeService,
  image: ServiceImage,
): Promise<void> {
  const test = service.healthcheck?.test ?? image.healthcheck;
  if (test === undefined) return;
  const [kind, ...words] = test;
  // In a compose file, $$ is a dollar sign.
  const plain = words.map((word) => word.replaceAll("$$", "$"));
  const command = kind === "CMD-SHELL" ? ["sh", "-c", ...plain] : plain;
  const ended = container.exited.then(() => true);
  for (let left = HEALTH_TRIES; ; left -= 1) {
    const { code, output } = await container.exec(command);
    if (code === 0) return;
    const hasEnded = await Promise.race([ended, pause(HEALTH_INTERVAL_MS, false)]);
    if (hasEnded || left === 0) throw new Error(`${name} is not healthy: ${output}\n${container.output()}`);
  }
}
