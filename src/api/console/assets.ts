import { readdirSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { brotliCompress, gzip } from "node:zlib";
import type { BundledFile } from "./bundle.ts";
import { bundleConsole } from "./bundle.ts";

/** A file of the console in each encoding. */
export interface Asset {
  readonly type: string;
  readonly encodings: Readonly<Record<"br" | "gzip" | "identity", Buffer>>;
}

/** Files by name; undefined if the console is not built. */
export type Assets = ReadonlyMap<string, Asset> | undefined;

const TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
};

/** Where the build puts the bundle: `dist/console`. From sources, the folder has the sources themselves. */
const FOLDER = new URL("../../console/", import.meta.url);

/**
 * Reads the console of the package. From sources it is bundled, in development only.
 * @returns a function that prepares the files once, on its first call
 */
export function createAssets({ development }: { readonly development: boolean }): () => Promise<Assets> {
  let prepared: Promise<Assets> | undefined;
  return () => {
    prepared ??= prepare(development);
    return prepared;
  };
}

async function prepare(development: boolean): Promise<Assets> {
  const built = readBuilt();
  if (built.length > 0) return compressAll(built);
  if (!development) return undefined;
  try {
    return await compressAll(await bundleConsole());
  } catch (error) {
    // An installation without development packages.
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

function readBuilt(): readonly BundledFile[] {
  const names = readdirSync(FOLDER).filter((name) => /-[A-Z0-9]{8}\.(?:js|css)$/.test(name));
  return names.map((name) => ({ name, bytes: readFileSync(new URL(name, FOLDER)) }));
}

async function compressAll(files: readonly BundledFile[]): Promise<ReadonlyMap<string, Asset>> {
  const entries = files.map(async ({ name, bytes }) => [name, await compress(name, bytes)] as const);
  return new Map(await Promise.all(entries));
}

async function compress(name: string, bytes: Uint8Array): Promise<Asset> {
  const [br, zipped] = await Promise.all([promisify(brotliCompress)(bytes), promisify(gzip)(bytes)]);
  const type = TYPES[name.split(".").at(-1) ?? ""] ?? "application/octet-stream";
  return { type, encodings: { br, gzip: zipped, identity: Buffer.from(bytes) } };
}
