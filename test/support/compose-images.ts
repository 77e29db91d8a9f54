import { realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { envoyBinary } from "../../scripts/envoy-binary.ts";
import { prometheusBinaries } from "../../scripts/prometheus-binary.ts";
import { redisBinaries } from "../../scripts/redis-binary.ts";
import { run } from "../../scripts/run.ts";
import type { ComposeFile } from "./compose.ts";
import type { ServiceImage } from "./compose-runner.ts";
import type { Mount } from "./container.ts";
import { imageEnvironment, imageSettings } from "./dockerfile.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const words = z.array(z.string());

/** An upstream in place of the image that only its registry has. */
const WHOAMI = `require("node:http").createServer((request, response) => response.end(JSON.stringify(request.headers)))
  .listen(Number(process.env.WHOAMI_PORT_NUMBER));
process.once("SIGTERM", () => process.exit());`;

const program = (source: string, name: string): Mount => ({
  source: realpathSync(source),
  target: `/usr/local/bin/${name}`,
  readOnly: true,
});

/** What the images would bring, from this machine. Grafana cannot be had here. */
export async function imagesHere(): Promise<Readonly<Record<string, ServiceImage>>> {
  const [envoy, redis, prometheus] = await Promise.all([
    envoyBinary(),
    redisBinaries(),
    prometheusBinaries(),
  ]);
  const settings = imageSettings();
  const list = (name: string) => words.parse(JSON.parse(settings.get(name) ?? "[]"));
  const app = (source: string, target: string): Mount => ({
    source: realpathSync(join(ROOT, source)),
    target: `/app/${target}`,
    readOnly: true,
  });
  const node = program(process.execPath, "node");
  return {
    envoy: { entrypoint: [], mounts: [program(envoy, "envoy")] },
    latchkey: {
      entrypoint: list("ENTRYPOINT"),
      command: list("CMD"),
      env: { ...imageEnvironment() },
      user: Number(settings.get("USER")?.split(":")[0]),
      cwd: "/data",
      mounts: [
        node,
        ...["bin", "src", "proto", "node_modules", "package.json", "latchkey.yaml"].map((name) =>
          app(name, name),
        ),
        app("deploy/container/healthy.js", "healthy.js"),
      ],
      healthcheck: ["CMD", ...words.parse(JSON.parse(settings.get("HEALTHCHECK")?.split(" CMD ")[1] ?? ""))],
    },
    redis: redisImage(redis),
    upstream: { entrypoint: ["node", "-e", WHOAMI], mounts: [node] },
    prometheus: {
      entrypoint: ["prometheus"],
      command: ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
      mounts: [program(prometheus.server, "prometheus")],
    },
  };
}

function redisImage({ server, cli, env }: Awaited<ReturnType<typeof redisBinaries>>): ServiceImage {
  return {
    entrypoint: [],
    env: { ...env },
    cwd: "/data",
    mounts: [program(server, "redis-server"), program(cli, "redis-cli")],
  };
}

/** The images of Latchkey and of every service with the image of Redis. */
export async function imagesOfStore({
  services,
}: ComposeFile): Promise<Readonly<Record<string, ServiceImage>>> {
  const [{ latchkey }, redis] = [await imagesHere(), redisImage(await redisBinaries())];
  if (latchkey === undefined) throw new Error("Latchkey has no image");
  const ofRedis = Object.keys(services).filter((name) => services[name]?.image?.startsWith("redis:"));
  return { ...Object.fromEntries(ofRedis.map((name) => [name, redis])), latchkey };
}

/** The versions of the programs that these images bring. */
export async function versionsHere(): Promise<string> {
  const [redis, { server }] = await Promise.all([redisBinaries(), prometheusBinaries()]);
  const version = async (path: string, env = {}) =>
    /\d+\.\d+\.\d+/.exec(await run(path, ["--version"], { env }))?.[0] ?? "";
  const parts = [
    `Envoy ${await version(await envoyBinary())}`,
    `Redis ${await version(redis.server, redis.env)}`,
    `Prometheus ${await version(server)}`,
  ];
  return parts.join(", ");
}
