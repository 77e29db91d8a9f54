import { LatchkeyUnreachable } from "../../src/client/problem.ts";
import type { Instance } from "./fleet.ts";
import type { Change, End, KnownKey, Switch } from "./key-model.ts";
import type { NamedKey } from "./names.ts";
import { registerNamed, useName } from "./names.ts";
import type { Random } from "./random.ts";

/** Enough owners that a key of one is observed before its owner is revoked again. */
const OWNERS = Array.from({ length: 20 }, (_, at) => `owner-${at}`);
const MAX_KEYS = 400;
/**
 * The allowed difference between the clocks of this process and Redis in an incident's `before`, and its whole
 * seconds.
 */
const CUT_OFF_SLACK_MS = 2000;
/** Ends every key: rarely, because otherwise few keys remain to observe. */
const ALL_OF_THEM = 0.02;

export interface History {
  readonly keys: KnownKey[];
  /** Changes of the migration phase: `removed` denies V1 keys. */
  readonly phases: Switch[];
  /**
   * Every end that was sent. Each is compared with every key registered later, because the two may overlap.
   */
  readonly ends: ((key: KnownKey) => void)[];
  /** Keys whose name several clients change and read. */
  readonly names: NamedKey[];
  /** When Checks of the limited key were admitted, in milliseconds. */
  readonly admittedMs: number[];
  /** How many Checks of the limited key were answered with each reason. */
  readonly reasons: Map<string, number>;
  /** When the store may have lost tokens of a bucket. */
  readonly lossesMs: number[];
  /** Counts the starts and ends of faults of the store. */
  storeFaults: number;
  /** Milliseconds for which an instance may still read a primary that was replaced. */
  readonly splitMs: number;
  readonly random: Random;
  /** The events, line by line, for the reader of a violation. */
  note(line: string): void;
}

export type Operation = (history: History, instance: Instance) => Promise<void>;

const now = () => performance.now();

/** Runs a change that may take effect even if its response is lost. */
async function carryOut(
  change: Change,
  history: History,
  at: Instance,
  call: () => Promise<unknown>,
): Promise<void> {
  try {
    await call();
    change.ackedMs = now();
    history.note(`${change.what} at ${at.name}`);
  } catch (error) {
    if (error instanceof LatchkeyUnreachable) change.isOpen = true;
    history.note(`${change.what} at ${at.name}: ${error instanceof Error ? error.message : error}`);
  }
}

const register: Operation = (history, at) =>
  registerFor(history, at, history.random.below(3) === 0 ? undefined : history.random.pick(OWNERS));

async function registerFor(
  history: History,
  { client, name }: Instance,
  owner: string | undefined,
): Promise<void> {
  const { random, keys } = history;
  if (keys.length >= MAX_KEYS) return;
  const isLegacy = owner === undefined && random.below(2) === 0;
  const key_type = random.below(4) === 0 ? "other" : "basic";
  const sentMs = now();
  const issued = await (isLegacy
    ? client.registerLegacy({ name: "history", key_type })
    : client.register({ name: "history", key_type, ...(owner !== undefined && { owner }) })
  ).catch(() => undefined);
  if (issued === undefined) return;
  const { api_key: token, key_id: keyId } = issued;
  add(history, {
    token,
    keyId,
    owner,
    isLegacy,
    sentMs,
    ackedMs: now(),
    ends: [],
    switches: [],
    isRecordLost: false,
  });
  history.note(`register ${keyId} for ${owner ?? "no owner"} at ${name}`);
}

/** A V1 key of an owner, imported by an operator. */
async function importOne(history: History, { client, name }: Instance): Promise<void> {
  const { random, keys } = history;
  if (keys.length >= MAX_KEYS) return;
  const owner = random.pick(OWNERS);
  const token = `old_${Array.from({ length: 40 }, () => random.below(36).toString(36)).join("")}`;
  const sentMs = now();
  const line = JSON.stringify({ api_key: token, name: "imported", role: "basic", owner });
  const report = await client.keys.import(`${line}\n`).catch(() => undefined);
  if (report === undefined || report.refused.length > 0) return;
  const valid = await client.validate(token).catch(() => undefined);
  if (valid === undefined) return;
  const { key_id: keyId } = valid;
  add(history, {
    token,
    keyId,
    owner,
    isLegacy: true,
    sentMs,
    ackedMs: now(),
    ends: [],
    switches: [],
    isRecordLost: false,
  });
  history.note(`import ${keyId} for ${owner} at ${name}`);
}

function add(history: History, key: KnownKey): void {
  history.keys.push(key);
  for (const look of history.ends) look(key);
}

/** The time during which an end was in progress. */
interface Span {
  readonly sentMs: number;
  /** The time of its response, successful or not; infinite without one. */
  finishedMs: number;
}

type Covers = (key: KnownKey, span: Span) => "certainly" | "perhaps" | "not";

/** Ends the keys that `covers` selects: with certainty those that existed before. */
async function end(
  history: History,
  at: Instance,
  what: string,
  covers: Covers,
  call: () => Promise<unknown>,
): Promise<void> {
  const span: Span = { sentMs: now(), finishedMs: Number.POSITIVE_INFINITY };
  const change: Change = { what, sentMs: span.sentMs, ackedMs: Number.POSITIVE_INFINITY };
  const covered: End[] = [];
  const look = (key: KnownKey) => {
    const how = covers(key, span);
    if (how === "not") return;
    const known: End = { ...change, isCertain: how === "certainly" };
    covered.push(known);
    key.ends.push(known);
  };
  for (const key of history.keys) look(key);
  history.ends.push(look);
  await carryOut(change, history, at, call);
  if (!change.isOpen) span.finishedMs = now();
  for (const known of covered) known.ackedMs = change.ackedMs;
}

/** A key that was registered while the end was in progress may be covered. */
const overlaps: Covers = (key, { sentMs, finishedMs }) => {
  if (key.sentMs > finishedMs) return "not";
  return key.ackedMs <= sentMs ? "certainly" : "perhaps";
};

const revokeKey: Operation = (history, at) => {
  const key = history.random.pick(history.keys);
  const call = () =>
    history.random.below(2) === 0 ? at.client.revoke(key.token) : at.client.keys.revoke(key.keyId);
  return end(history, at, `revoke ${key.keyId}`, (other) => (other === key ? "certainly" : "not"), call);
};

const revokeOwner: Operation = (history, at) => revokeAllOf(history, at, history.random.pick(OWNERS));

/** Mostly within one second: the second end must cover a key whose time of issue is after the first end. */
const revokeOwnerTwice: Operation = async (history, at) => {
  const owner = history.random.pick(OWNERS);
  await revokeAllOf(history, at, owner);
  await registerFor(history, at, owner);
  await revokeAllOf(history, at, owner);
};

function revokeAllOf(history: History, at: Instance, owner: string): Promise<void> {
  const covers: Covers = (key, span) => (key.owner === owner ? overlaps(key, span) : "not");
  return end(history, at, `revoke owner ${owner}`, covers, () => at.client.keys.revokeOwner(owner));
}

const revokeIssuedBefore: Operation = (history, at) => {
  const { random } = history;
  const owner = random.next() < ALL_OF_THEM ? undefined : random.pick(OWNERS);
  const covers: Covers = (key, { sentMs, finishedMs }) => {
    if (owner !== undefined && key.owner !== owner) return "not";
    // A moment of the last seconds counts as now, which is the time at which the call takes effect.
    if (key.sentMs > Math.max(sentMs + CUT_OFF_SLACK_MS, finishedMs)) return "not";
    return key.ackedMs + CUT_OFF_SLACK_MS <= sentMs ? "certainly" : "perhaps";
  };
  const before = new Date().toISOString();
  return end(history, at, `revoke what was issued before ${before} for ${owner ?? "everybody"}`, covers, () =>
    at.client.keys.revokeIssuedBefore({ before, ...(owner !== undefined && { owner }) }),
  );
};

const switching = new WeakSet<KnownKey>();

const disableOrEnable: Operation = async (history, at) => {
  const key = history.random.pick(history.keys);
  if (switching.has(key)) return;
  switching.add(key);
  const disabled = history.random.below(2) === 0;
  const change: Switch = {
    what: `${disabled ? "disable" : "enable"} ${key.keyId}`,
    denies: disabled,
    sentMs: now(),
    ackedMs: Number.POSITIVE_INFINITY,
  };
  key.switches.push(change);
  await carryOut(change, history, at, () => at.client.keys.change(key.keyId, { disabled }));
  switching.delete(key);
};

let isChangingPhase = false;

const changePhase: Operation = async (history, at) => {
  if (isChangingPhase) return;
  isChangingPhase = true;
  const phase = history.random.pick(["silent", "gradual", "active", "removed"] as const);
  const change: Switch = {
    what: `phase ${phase}`,
    denies: phase === "removed",
    sentMs: now(),
    ackedMs: Number.POSITIVE_INFINITY,
  };
  history.phases.push(change);
  await carryOut(change, history, at, () => at.client.migration.set(phase));
  isChangingPhase = false;
};

const WEIGHTED: readonly (readonly [weight: number, operation: Operation])[] = [
  [10, register],
  [2, importOne],
  [2, revokeKey],
  [2, revokeOwner],
  [1, revokeOwnerTwice],
  [1, revokeIssuedBefore],
  [5, disableOrEnable],
  [1, changePhase],
  [1, registerNamed],
  [6, useName],
];
const OPERATIONS = WEIGHTED.flatMap(([weight, operation]) => Array<Operation>(weight).fill(operation));

/** One operation at one running instance, if there is one. */
export async function operate(history: History, instances: readonly Instance[]): Promise<void> {
  const up = instances.filter(({ process }) => process !== undefined);
  if (up.length === 0) return;
  const operation = history.keys.length === 0 ? register : history.random.pick(OPERATIONS);
  await operation(history, history.random.pick(up));
}
