import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./run.ts";
import { isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

/** The sources of the HTTP/2 servers that the tests compare with ours. */
const SOURCES = fileURLToPath(new URL("../test/peers/", import.meta.url));

const PEER = "peer";

interface Source {
  readonly folder: string;
  readonly files: readonly string[];
  /** Builds the program at `output`. */
  readonly build: (source: string, output: string) => Promise<unknown>;
}

/** The path of the server on `golang.org/x/net/http2`. Builds it in seconds if it has not been built yet. */
export function goPeer(): Promise<string> {
  return peer({
    folder: "go",
    files: ["go.mod", "go.sum", "main.go"],
    build: (cwd, output) =>
      run("go", ["build", "-o", output, "."], { cwd, env: { GOFLAGS: "-mod=readonly -buildvcs=false" } }),
  });
}

/** The path of the server on Rust's `h2`. Builds it in less than a minute if it has not been built yet. */
export function rustPeer(): Promise<string> {
  return peer({
    folder: "rust",
    files: ["Cargo.toml", "Cargo.lock", "src/main.rs"],
    async build(cwd, output) {
      const target = `${output}-target`;
      await run("cargo", ["build", "--quiet", "--locked", "--target-dir", target], { cwd });
      await rename(join(target, "debug", PEER), output);
      await rm(target, { recursive: true, force: true });
    },
  });
}

/** Builds a program once for each version of its sources. */
async function peer({ folder, files, build }: Source): Promise<string> {
  const source = join(SOURCES, folder);
  const hash = createHash("sha256");
  for (const file of files) hash.update(await readFile(join(source, file)));
  const kept = join(TOOLS, `http2-peer-${folder}-${hash.digest("hex").slice(0, 16)}`);
  const binary = join(kept, PEER);
  if (await isExecutable(binary)) return binary;
  process.stderr.write(`Building the HTTP/2 peer in ${folder}, once.\n`);
  await mkdir(TOOLS, { recursive: true });
  const output = await mkdtemp(join(TOOLS, ".peer-"));
  try {
    await build(source, join(output, PEER));
    await moveIntoPlace(output, kept, PEER);
  } finally {
    await rm(output, { recursive: true, force: true });
  }
  return binary;
}
