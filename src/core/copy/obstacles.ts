import type { CopiedStore } from "./ports.ts";

/** From this difference on a store denies keys that the other one has dated. Verifiers allow 5 s. */
const MAX_CLOCK_DIFFERENCE_MS = 5000;

/** Generated secrets without which the keys of the source are not valid. */
const OF_KEYS: readonly string[] = ["jwt_secret", "key_hash_secret"];

export interface Sides {
  readonly source: CopiedStore;
  readonly target: CopiedStore;
  /** Whether the target may have keys of its own. */
  readonly mayMerge: boolean;
}

/** Why nothing can be copied: a sentence that says what to check; undefined if there is no obstacle. */
export async function findObstacle(sides: Sides): Promise<string | undefined> {
  const id = await sides.source.id();
  if (id === undefined)
    return "the source has no registry: check its address and its database number in --from";
  return (
    (await sameStore(sides, id)) ??
    (await clocksDiffer(sides)) ??
    (await fleetsDiffer(sides)) ??
    (await secretsDiffer(sides)) ??
    (await hasOtherKeys(sides, id))
  );
}

async function sameStore({ target }: Sides, sourceId: string): Promise<string | undefined> {
  if ((await target.id()) !== sourceId) return undefined;
  return "both sides are the same store, or one is a clone of the other: check --from and --to";
}

async function clocksDiffer({ source, target }: Sides): Promise<string | undefined> {
  const [sourceMs, targetMs] = await Promise.all([source.nowMs(), target.nowMs()]);
  const differenceMs = sourceMs - targetMs;
  if (Math.abs(differenceMs) < MAX_CLOCK_DIFFERENCE_MS) return undefined;
  const seconds = Math.round(Math.abs(differenceMs) / 1000);
  return `the clock of the source is ${seconds} s ${differenceMs > 0 ? "ahead of" : "behind"} the target's: check the time synchronization of both machines`;
}

/** Instances publish digests of the settings that a fleet shares. */
async function fleetsDiffer({ source, target }: Sides): Promise<string | undefined> {
  const [here, there] = await Promise.all([source.instances(), target.instances()]);
  const digestsOf = (instances: typeof here, name: string) =>
    new Set(instances.flatMap((settings) => settings.get(name) ?? []));
  const names = [...new Set(here.flatMap((settings) => [...settings.keys()]))];
  const differing = names.filter((name) => {
    const [ours, theirs] = [digestsOf(here, name), digestsOf(there, name)];
    return ours.size > 0 && theirs.size > 0 && ours.isDisjointFrom(theirs);
  });
  if (differing.length === 0) return undefined;
  return `the target belongs to another fleet: its instances have another ${differing.join(" and ")}; check --to, or give them the settings of the source's instances`;
}

async function secretsDiffer({ source, target }: Sides): Promise<string | undefined> {
  for await (const rows of source.rows.secrets.pages()) {
    const stored = await target.rows.secrets.find(rows);
    const other = rows.find(
      ({ name, value }, at) => OF_KEYS.includes(name) && (stored[at]?.value ?? value) !== value,
    );
    if (other !== undefined)
      return `the target belongs to another fleet: it has generated another ${other.name.toUpperCase()}, with which the keys of the source are not valid; check --to, or copy into an empty store`;
  }
  return undefined;
}

/** Two stores belong together if one has copies of the other, or both have copies of a third one. */
async function hasOtherKeys(
  { source, target, mayMerge }: Sides,
  sourceId: string,
): Promise<string | undefined> {
  if (mayMerge || (await target.rows.keys.count()) === 0) return undefined;
  const [ofSource, ofTarget, targetId] = await Promise.all([source.origins(), target.origins(), target.id()]);
  const isKin = ofTarget.has(sourceId) || ofSource.has(targetId ?? "") || !ofSource.isDisjointFrom(ofTarget);
  return isKin
    ? undefined
    : "the target has keys that do not come from this source: check --to, or accept them with --merge";
}
