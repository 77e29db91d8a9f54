import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { stringify } from "yaml";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { etcd, kubeApiserver } from "../../scripts/kubernetes-binaries.ts";
import { removeAtEnd } from "./at-end.ts";
import { freeAddress } from "./latchkey.ts";

/** A Kubernetes that has an API server and nothing that would start a pod. */
export interface Kubernetes {
  /** The path of a KUBECONFIG with all rights. */
  readonly kubeconfig: string;
  /** Calls the API and returns the status and the body, which is JSON or text. */
  call(
    method: string,
    path: string,
    body?: object,
  ): Promise<{ readonly status: number; readonly body: string }>;
  stop(): Promise<void>;
}

const READY_TRIES = 240;
const READY_INTERVAL_MS = 500;

export async function startKubernetes(): Promise<Kubernetes> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-kubernetes-"));
  removeAtEnd(folder);
  const store = await startEtcd(join(folder, "etcd"));
  const address = await freeAddress();
  const token = randomBytes(16).toString("hex");
  const server = await startServer(folder, address, store.url, token);
  const call: Kubernetes["call"] = (method, path, body) => send(address, token, method, path, body);
  await untilReady(call, server);
  const kubeconfig = join(folder, "kubeconfig");
  await writeFile(kubeconfig, kubeconfigOf(address, token));
  const stop = async () => {
    await server.stop();
    await store.child.stop();
  };
  return { kubeconfig, call, stop };
}

async function startEtcd(folder: string): Promise<{ readonly url: string; readonly child: Child }> {
  const [client, peer] = [`http://${await freeAddress()}`, `http://${await freeAddress()}`];
  const urls = [
    ["--listen-client-urls", client],
    ["--advertise-client-urls", client],
    ["--listen-peer-urls", peer],
    ["--initial-advertise-peer-urls", peer],
    ["--initial-cluster", `default=${peer}`],
  ].flat();
  const child = await startChild(await etcd(), ["--data-dir", folder, ...urls], { env: {} });
  return { url: client, child };
}

async function startServer(folder: string, address: string, store: string, token: string): Promise<Child> {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = join(folder, "accounts.pem");
  const tokens = join(folder, "tokens.csv");
  await mkdir(join(folder, "certificates"));
  await writeFile(key, privateKey.export({ type: "pkcs8", format: "pem" }));
  await writeFile(tokens, `${token},admin,admin,system:masters\n`);
  const options = {
    "etcd-servers": store,
    "bind-address": "127.0.0.1",
    "secure-port": address.split(":")[1] ?? "",
    "cert-dir": join(folder, "certificates"),
    "token-auth-file": tokens,
    "authorization-mode": "RBAC",
    "service-cluster-ip-range": "10.0.0.0/24",
    "service-account-issuer": "https://kubernetes.default.svc",
    "service-account-key-file": key,
    "service-account-signing-key-file": key,
    // There is no controller that would create the default account of a namespace.
    "disable-admission-plugins": "ServiceAccount",
  };
  const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  return startChild(await kubeApiserver(), args, {
    env: { PATH: process.env["PATH"] },
    stopWithinMs: 20_000,
  });
}

async function untilReady(call: Kubernetes["call"], server: Child): Promise<void> {
  const ended = server.exited.then(() => true);
  for (let left = READY_TRIES; left > 0; left -= 1) {
    const { status } = await call("GET", "/readyz").catch(() => ({ status: 0 }));
    if (status === 200) return;
    if (await Promise.race([ended, pause(READY_INTERVAL_MS, false)])) break;
  }
  throw new Error(`The API server is not ready:\n${server.output()}`);
}

/** The server makes its own certificate at the first start. */
function send(
  address: string,
  token: string,
  method: string,
  path: string,
  body?: object,
): ReturnType<Kubernetes["call"]> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const url = `https://${address}${path}`;
    const call = request(url, { method, headers, rejectUnauthorized: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    call.on("error", reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function kubeconfigOf(address: string, token: string): string {
  const cluster = { server: `https://${address}`, "insecure-skip-tls-verify": true };
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster }],
    users: [{ name: "admin", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "admin", namespace: "default" } }],
    "current-context": "test",
  });
}
