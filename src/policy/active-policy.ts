import { existsSync, readFileSync } from "node:fs";
import type { Reload, Reloadable, ReloadCause } from "../config/reloadable.ts";
import { createReloadable } from "../config/reloadable.ts";
import type { Settings } from "../config/settings.ts";
import { SETTINGS } from "../config/settings.ts";
import { textOf } from "../config/text-file.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { PolicySource } from "./file.ts";
import { BUILT_IN_POLICY_FILE, parsePolicy } from "./file.ts";
import { loadPolicy } from "./load.ts";

/** The current policy. Checks are decided while it reloads. */
export interface ActivePolicy extends Omit<Reloadable<LoadedPolicy>, "current"> {
  current(): Policy;
  /** The text of the current policy. */
  source(): { readonly fileName: string; readonly text: string };
  /** When the current policy was loaded, and what caused it. */
  loaded(): PolicyLoad;
  /** Why the file is not the current policy. Undefined if it is, as far as this instance knows. */
  rejected(): RejectedPolicy | undefined;
  /** What a file with this text would be checked with. */
  candidate(text: string): PolicySource;
}

export interface PolicyLoad {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly cause: ReloadCause | { readonly kind: "start" };
}

export interface RejectedPolicy {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly problems: readonly string[];
}

export interface LoadedPolicy {
  readonly source: PolicySource;
  readonly policy: Policy;
  readonly load: PolicyLoad;
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

function createActivePolicy(settings: Settings, source: PolicySource, policy: Policy): ActivePolicy {
  let rejected: RejectedPolicy | undefined;
  const { current, ...reloadable } = createReloadable<LoadedPolicy>({
    files: [settings.POLICY_FILE],
    first: { source, policy, load: { atMs: Date.now(), cause: { kind: "start" } } },
    async read(loaded, cause) {
      const reload = await reloadPolicy(settings, loaded, cause);
      rejected = reload.kind === "refused" ? { atMs: Date.now(), problems: reload.problems } : undefined;
      return reload;
    },
  });
  return {
    ...reloadable,
    current: () => current().policy,
    source: () => ({ fileName: current().source.fileName, text: current().source.text }),
    loaded: () => current().load,
    rejected: () => rejected,
    candidate: (text) => ({ text, fileName: "policy", ...factsOf(settings) }),
  };
}

async function reloadPolicy(
  settings: Settings,
  { source }: LoadedPolicy,
  cause: ReloadCause,
): Promise<Reload<LoadedPolicy>> {
  const { POLICY_FILE: fileName } = settings;
  // If the file disappears, the current policy stays. It must not turn into the built-in policy.
  const found =
    existsSync(fileName) || source.fileName === BUILT_IN ? readSource(settings) : missing(fileName);
  if (typeof found === "string") return { kind: "refused", problems: [found] };
  if (found.text === source.text) return { kind: "unchanged" };
  const loaded = await loadPolicy(found);
  return loaded.ok
    ? { kind: "taken", value: { source: found, policy: loaded.policy, load: { atMs: Date.now(), cause } } }
    : { kind: "refused", problems: loaded.problems };
}

const BUILT_IN = "the built-in policy";

/** The policy's text and file name, or why the file cannot be read. */
function readSource(settings: Settings): PolicySource | string {
  const { POLICY_FILE: fileName } = settings;
  const { requireComplete, ...known } = factsOf(settings);
  const text = textOf(fileName);
  if (text !== undefined) return { text, fileName, requireComplete, ...known };
  // A missing policy file that the settings name must not turn into the built-in policy.
  if (existsSync(fileName) || fileName !== SETTINGS.POLICY_FILE.default) return missing(fileName);
  return { text: readFileSync(BUILT_IN_POLICY_FILE, "utf8"), fileName: BUILT_IN, ...known };
}

/** What the settings say about every policy file. */
function factsOf(settings: Settings) {
  return {
    ttlSeconds: ttlsOf(settings),
    ownIssuer: settings.JWT_ISSUER,
    requireComplete: settings.POLICY_REQUIRE_COMPLETE,
  };
}

function missing(fileName: string): string {
  const why = existsSync(fileName)
    ? "it cannot be read, or is no UTF-8 text"
    : "there is no such file, or its folder cannot be read";
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
