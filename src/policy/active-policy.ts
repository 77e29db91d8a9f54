import { existsSync, readFileSync } from "node:fs";
import type { Settings } from "../config/settings.ts";
import { SETTINGS } from "../config/settings.ts";
import { textOf } from "../config/text-file.ts";
import { watchFiles } from "../config/watched-files.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { PolicySource } from "./file.ts";
import { BUILT_IN_POLICY_FILE, parsePolicy } from "./file.ts";
import { loadPolicy } from "./load.ts";

/** The result of a reload. */
export type Reload =
  | { readonly kind: "taken"; readonly policy: Policy }
  | { readonly kind: "unchanged" }
  /** The old policy stays. */
  | { readonly kind: "refused"; readonly problems: readonly string[] };

/** The current policy. Every user reads it at each use, so that a reload applies at once. */
export interface ActivePolicy {
  current(): Policy;
  /** The text of the current policy. */
  source(): { readonly fileName: string; readonly text: string };
  /** Reads the file now and loads it if it is valid. Checks are decided meanwhile. */
  reload(): Promise<Reload>;
  /** Watches the file until `close`. */
  watch(): void;
  /** Called after every reload that found a change. */
  onReload(listener: (reload: Exclude<Reload, { kind: "unchanged" }>) => void): void;
  close(): void;
}

export type OpenedPolicy =
  | { readonly ok: true; readonly policy: ActivePolicy }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads the policy that the settings name, or the built-in policy if there is no file. */
export function openPolicy(settings: Settings): OpenedPolicy {
  const source = readSource(settings);
  if (typeof source === "string") return { ok: false, problems: [source] };
  const parsed = parsePolicy(source);
  return parsed.ok ? { ok: true, policy: createActivePolicy(settings, source, parsed.policy) } : parsed;
}

function createActivePolicy(settings: Settings, firstSource: PolicySource, first: Policy): ActivePolicy {
  const { POLICY_FILE: fileName } = settings;
  let source = firstSource;
  let policy = first;
  let stopWatching = () => {};
  const listeners: Parameters<ActivePolicy["onReload"]>[0][] = [];
  let reloading: Promise<unknown> = Promise.resolve();
  const take = async (found: PolicySource): Promise<Reload> => {
    const loaded = await loadPolicy(found);
    if (!loaded.ok) return { kind: "refused", problems: loaded.problems };
    [source, policy] = [found, loaded.policy];
    return { kind: "taken", policy };
  };
  const look = async (): Promise<Reload> => {
    // If the file disappears, the current policy stays. It must not turn into the built-in policy.
    const found =
      existsSync(fileName) || source.fileName === BUILT_IN ? readSource(settings) : missing(fileName);
    if (typeof found !== "string" && found.text === source.text) return { kind: "unchanged" };
    const reload: Reload =
      typeof found === "string" ? { kind: "refused", problems: [found] } : await take(found);
    if (reload.kind !== "unchanged") for (const listener of listeners) listener(reload);
    return reload;
  };
  const reload = (): Promise<Reload> => {
    // Reloads run one after the other, so that the last file read wins.
    const looked = reloading.then(look);
    reloading = looked.catch(() => undefined);
    return looked;
  };
  return {
    current: () => policy,
    source: () => ({ fileName: source.fileName, text: source.text }),
    reload,
    watch() {
      stopWatching = watchFiles([fileName], () => void reload());
    },
    onReload: (listener) => void listeners.push(listener),
    close: () => stopWatching(),
  };
}

const BUILT_IN = "the built-in policy";

/** The policy's text and file name, or why the file cannot be read. */
function readSource(settings: Settings): PolicySource | string {
  const { POLICY_FILE: fileName } = settings;
  const known = { ttlSeconds: ttlsOf(settings), ownIssuer: settings.JWT_ISSUER };
  const requireComplete = settings.POLICY_REQUIRE_COMPLETE;
  const text = textOf(fileName);
  if (text !== undefined) return { text, fileName, requireComplete, ...known };
  // A missing policy file that the settings name must not turn into the built-in policy.
  if (existsSync(fileName) || fileName !== SETTINGS.POLICY_FILE.default) return missing(fileName);
  return { text: readFileSync(BUILT_IN_POLICY_FILE, "utf8"), fileName: BUILT_IN, ...known };
}

function missing(fileName: string): string {
  const why = existsSync(fileName) ? "it cannot be read, or is no UTF-8 text" : "there is no such file";
  return `POLICY_FILE: ${fileName}: ${why}`;
}

function ttlsOf(settings: Settings): ReadonlyMap<string, number> {
  const ttls: [string, number | undefined][] = [
    ["basic", settings.TTL_BASIC],
    ["contributor", settings.TTL_CONTRIBUTOR],
    ["node_operator", settings.TTL_NODE_OPERATOR],
  ];
  return new Map(ttls.flatMap(([role, seconds]) => (seconds === undefined ? [] : [[role, seconds]])));
}
