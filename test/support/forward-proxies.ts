import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Document } from "yaml";
import { caddyBinary } from "../../scripts/caddy-binary.ts";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { nginxBinary } from "../../scripts/nginx-binary.ts";
import { traefikBinary } from "../../scripts/traefik-binary.ts";
import { removeAtEnd } from "./at-end.ts";
import { LISTENER, startExample } from "./envoy.ts";
import { freeAddress } from "./latchkey.ts";
import { sendRaw } from "./raw-request.ts";

/** A proxy in front of a service, which asks a forward-auth listener. */
export interface ForwardProxy {
  readonly port: number;
  stop(): Promise<unknown>;
}

export interface ForwardProxyOptions {
  /** `host:port` of the forward-auth listener. */
  readonly auth: string;
  /** `host:port` of the service. */
  readonly service: string;
  /** The proxy speaks TLS with this certificate. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
}

const deploy = (path: string) => readFile(new URL(`../../deploy/${path}`, import.meta.url), "utf8");

/** Replaces the addresses of a shipped configuration. Fails if it does not have one of them. */
function withAddresses(text: string, addresses: Readonly<Record<string, string>>): string {
  return Object.entries(addresses).reduce((replaced, [from, to]) => {
    if (!replaced.includes(from)) throw new Error(`The configuration has no ${from}.`);
    return replaced.replaceAll(from, to);
  }, text);
}

async function newFolder(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `latchkey-${name}-`));
  removeAtEnd(folder);
  return folder;
}

/** On a busy machine Traefik, a program of 150 MB, takes half a minute to start for the first time. */
const START_LIMIT_MS = 90_000;

/** Resolves when the proxy has its routes. Without them Traefik responds 404. */
async function untilServing(child: Child, listen: string, tls: object | undefined): Promise<ForwardProxy> {
  let ended = false;
  void child.exited.then(() => {
    ended = true;
  });
  const port = Number(listen.split(":").at(-1));
  const probe = { path: "/", ...(tls && { tls: { rejectUnauthorized: false } }) };
  for (const endMs = Date.now() + START_LIMIT_MS; Date.now() < endMs && !ended; await pause(20)) {
    const answer = await sendRaw(port, probe).catch(() => undefined);
    if (answer !== undefined && answer.status !== 404) return { port, stop: () => child.stop() };
  }
  await child.stop("SIGKILL");
  throw new Error(`The proxy did not start:\n${child.output()}`);
}

/** Debian's nginx with the shipped deploy/nginx/latchkey.conf. */
export async function startNginx({ auth, service, tls }: ForwardProxyOptions): Promise<ForwardProxy> {
  const [binary, folder, listen] = [await nginxBinary(), await newFolder("nginx"), await freeAddress()];
  const certificate = tls && `ssl_certificate ${tls.certFile};\nssl_certificate_key ${tls.keyFile};`;
  const site = withAddresses(await deploy("nginx/latchkey.conf"), {
    "listen 127.0.0.1:10000;": tls ? `listen ${listen} ssl;\n${certificate}` : `listen ${listen};`,
    "127.0.0.1:9192": auth,
    "127.0.0.1:8080": service,
  }).replace(`AUTH_LISTEN=${auth}`, "AUTH_LISTEN");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join("\n");
  await writeFile(join(folder, "site.conf"), site);
  await writeFile(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr warn; events {}
http { access_log off; ${temporary}\ninclude ${folder}/site.conf; }`,
  );
  const child = await startChild(binary, ["-p", folder, "-c", join(folder, "nginx.conf")], { env: {} });
  return untilServing(child, listen, tls);
}

/** Debian's Caddy with the shipped deploy/caddy/Caddyfile. */
export async function startCaddy({ auth, service, tls }: ForwardProxyOptions): Promise<ForwardProxy> {
  const [binary, folder, listen] = [await caddyBinary(), await newFolder("caddy"), await freeAddress()];
  const port = listen.split(":").at(-1);
  const site = withAddresses(await deploy("caddy/Caddyfile"), {
    "http://127.0.0.1:10000 {": tls
      ? `https://:${port} {\ntls ${tls.certFile} ${tls.keyFile}`
      : `http://:${port} {\nbind 127.0.0.1`,
    "127.0.0.1:9192": auth,
    "127.0.0.1:8080": service,
  });
  const options = "{\nadmin off\nauto_https disable_redirects\ndefault_sni localhost\n}\n";
  await writeFile(join(folder, "Caddyfile"), options + site);
  const child = await startChild(binary, ["run", "--config", join(folder, "Caddyfile")], {
    env: { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
  });
  return untilServing(child, listen, tls);
}

/**
 * Traefik with the shipped files of deploy/traefik.
 * @param sanitisesPath whether it resolves dot segments and empty segments, as it does by default
 */
export async function startTraefik(
  { auth, service, tls }: ForwardProxyOptions,
  sanitisesPath = true,
): Promise<ForwardProxy> {
  const [binary, folder, listen] = [await traefikBinary(), await newFolder("traefik"), await freeAddress()];
  const dynamic = withAddresses(await deploy("traefik/latchkey.yaml"), {
    "127.0.0.1:9192": auth,
    "127.0.0.1:8080": service,
    "      service: service\n": `      service: service\n${tls ? "      tls: {}\n" : ""}`,
  });
  const certificates =
    tls && `\ntls:\n  certificates:\n    - { certFile: ${tls.certFile}, keyFile: ${tls.keyFile} }\n`;
  const dynamicFile = join(folder, "latchkey.yaml");
  await writeFile(dynamicFile, dynamic + (certificates ?? ""));
  const fixed = withAddresses(await deploy("traefik/traefik.yaml"), {
    "127.0.0.1:10000\n": `${listen}\n    http: { sanitizePath: ${sanitisesPath} }\n`,
    "/etc/traefik/latchkey.yaml": dynamicFile,
  });
  await writeFile(join(folder, "traefik.yaml"), fixed);
  const child = await startChild(binary, [`--configFile=${join(folder, "traefik.yaml")}`], { env: {} });
  return untilServing(child, listen, tls);
}

/** A real Envoy with the shipped envoy/http-service.yaml, or with sidecar.yaml, which asks over gRPC. */
export async function startEnvoyProxy(
  example: "http-service" | "sidecar",
  { auth, service, tls }: ForwardProxyOptions,
  edit: (bootstrap: Document) => void = () => undefined,
): Promise<ForwardProxy> {
  return startExample(example, {
    clusters: { latchkey: [auth], upstream: [service] },
    edit(bootstrap) {
      if (tls) bootstrap.setIn([...LISTENER, "filter_chains", 0, "transport_socket"], envoyTls(tls));
      edit(bootstrap);
    },
  });
}

function envoyTls({ certFile, keyFile }: NonNullable<ForwardProxyOptions["tls"]>) {
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
  const certificate = { certificate_chain: { filename: certFile }, private_key: { filename: keyFile } };
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: { "@type": type, common_tls_context: { tls_certificates: [certificate] } },
  };
}
