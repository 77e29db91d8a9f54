import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { debianTool } from "./debian.ts";
import { run } from "./run.ts";
import { isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

const KUBERNETES = "k8s.io/kubernetes";
export const KUBERNETES_VERSION = "v1.37.2";
const ENVOY_GATEWAY = "github.com/envoyproxy/gateway@v1.9.1";
const ISTIO_API = "istio.io/api@v1.32.0";

/** The path of Debian's etcd. */
export async function etcd(): Promise<string> {
  const program = "usr/bin/etcd";
  return join(await debianTool({ name: "etcd", packages: ["etcd-server"], program }), program);
}

/** The path of Kubernetes' API server. Builds it once from Go's module proxy, which takes many minutes. */
export async function kubeApiserver(): Promise<string> {
  const kept = join(TOOLS, `kube-apiserver-${KUBERNETES_VERSION}`);
  const binary = join(kept, "kube-apiserver");
  if (await isExecutable(binary)) return binary;
  process.stderr.write(`Building kube-apiserver ${KUBERNETES_VERSION} from Go's module proxy, once.\n`);
  await mkdir(TOOLS, { recursive: true });
  const folder = await mkdtemp(join(TOOLS, ".kubernetes-"));
  try {
    await writeFile(join(folder, "go.mod"), await goModule());
    const out = join(folder, "out");
    const [major, minor] = KUBERNETES_VERSION.slice(1).split(".");
    const values = { gitVersion: KUBERNETES_VERSION, gitMajor: major, gitMinor: minor };
    const flags = Object.entries(values).map(
      ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
    );
    await run(
      "go",
      ["build", "-ldflags", flags.join(" "), "-o", `${out}/`, `${KUBERNETES}/cmd/kube-apiserver`],
      {
        cwd: folder,
        env: { GOFLAGS: "-mod=mod" },
      },
    );
    await moveIntoPlace(out, kept, "kube-apiserver");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return binary;
}

/** A module that names the versions of Kubernetes' own libraries, which its go.mod replaces by folders beside it. */
async function goModule(): Promise<string> {
  const source = await readFile(
    join(await moduleFolder(`${KUBERNETES}@${KUBERNETES_VERSION}`), "go.mod"),
    "utf8",
  );
  const libraries = new Set(
    [...source.matchAll(/^\t(k8s\.io\/[a-z-]+) v0\.0\.0$/gm)].map(([, name]) => name),
  );
  const libraryVersion = KUBERNETES_VERSION.replace("v1", "v0");
  const replaced = [...libraries].map((name) => `replace ${name} => ${name} ${libraryVersion}`);
  const go = /^go .*$/m.exec(source)?.[0] ?? "";
  return ["module built", go, `require ${KUBERNETES} ${KUBERNETES_VERSION}`, ...replaced, ""].join("\n");
}

/** The files with the CRDs of the Gateway API, Envoy Gateway and Istio. */
export async function customResourceFiles(): Promise<readonly string[]> {
  const [gateway, istio] = await Promise.all([moduleFolder(ENVOY_GATEWAY), moduleFolder(ISTIO_API)]);
  const crds = join(gateway, "charts/gateway-helm/charts/crds/crds");
  const kinds = ["securitypolicies", "clienttrafficpolicies"];
  return [
    join(crds, "gatewayapi-crds.yaml"),
    ...kinds.map((kind) => join(crds, `generated/gateway.envoyproxy.io_${kind}.yaml`)),
    join(istio, "kubernetes/customresourcedefinitions.gen.yaml"),
  ];
}

async function moduleFolder(module: string): Promise<string> {
  await mkdir(TOOLS, { recursive: true });
  const output = await run("go", ["mod", "download", "-json", module], {
    env: { GOFLAGS: "-mod=mod" },
    cwd: TOOLS,
  });
  return z.object({ Dir: z.string() }).parse(JSON.parse(output)).Dir;
}
