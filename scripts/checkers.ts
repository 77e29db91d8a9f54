import { access, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { startChild } from "./child.ts";
import { isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

/** What checks our files and doors: programs of other projects, fetched once into `.tools/` by their registries' clients. */
const GO_PROGRAMS = {
  helm: { module: "helm.sh/helm/v3/cmd/helm", version: "v3.22.0", built: "helm" },
  /** The loader that `docker compose` reads its files by. */
  compose: { module: "github.com/compose-spec/compose-go/v2/cmd", version: "v2.16.2", built: "cmd" },
  /** Envoy's rate limit service, which bench/ measures Latchkey beside. */
  ratelimit: {
    module: "github.com/envoyproxy/ratelimit/src/service_cmd",
    version: "v1.4.1-0.20260122083618-3fb702589d36",
    built: "service_cmd",
  },
} as const;
const KUBERNETES_VALIDATE = "1.37.0";
const GRPCIO = "1.85.1";

/** The path of a program, built from Go's module proxy where it is not there yet. */
export async function goProgram(name: keyof typeof GO_PROGRAMS): Promise<string> {
  const { module, version, built } = GO_PROGRAMS[name];
  const kept = join(TOOLS, `${name}-${version}`);
  const binary = join(kept, built);
  if (await isExecutable(binary)) return binary;
  process.stderr.write(`Building ${name} ${version} from Go's module proxy, once.\n`);
  await beside(async (folder) => {
    await run("go", ["install", `${module}@${version}`], { GOBIN: folder, GOFLAGS: "" });
    await moveIntoPlace(folder, kept, built);
  });
  return binary;
}

/** The folder for PYTHONPATH in which `kubernetes_validate` lies, with the schemas of every Kubernetes version. */
export function kubernetesValidate(): Promise<string> {
  return pythonPackage("kubernetes-validate", KUBERNETES_VALIDATE);
}

/** The folder for PYTHONPATH with Google's gRPC for Python, which has an HTTP/2 of its own. */
export function grpcForPython(): Promise<string> {
  return pythonPackage("grpcio", GRPCIO);
}

async function pythonPackage(name: string, version: string): Promise<string> {
  const kept = join(TOOLS, `${name}-${version}`);
  if (await isThere(kept)) return kept;
  process.stderr.write(`Fetching ${name} ${version} from PyPI, once.\n`);
  await beside(async (folder) => {
    const pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--target", folder];
    await run("python3", [...pip, `${name}==${version}`], {});
    await rename(folder, kept).catch(async (error: unknown) => {
      if (!(await isThere(kept))) throw error;
    });
  });
  return kept;
}

async function beside(work: (folder: string) => Promise<void>): Promise<void> {
  await mkdir(TOOLS, { recursive: true });
  const folder = await mkdtemp(join(TOOLS, ".checker-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function run(command: string, args: readonly string[], env: Record<string, string>): Promise<void> {
  const child = await startChild(command, args, { env: { ...process.env, ...env } }).catch(
    (error: unknown) => {
      throw new Error(`${command} is not installed: it fetches what the tests check with`, {
        cause: error,
      });
    },
  );
  if ((await child.exited) !== 0) throw new Error(`${command} ${args.join(" ")}:\n${child.output()}`);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
