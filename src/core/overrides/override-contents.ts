import type { OverrideContent } from "./override.ts";

/** The contents of many overrides. Overrides that only name a plan share one content per plan. */
export interface OverrideContents {
  /** Returns the place of the content, from 1. */
  add(content: OverrideContent): number;
  get(place: number): OverrideContent | undefined;
  remove(place: number): void;
}

export function createOverrideContents(): OverrideContents {
  const contents: (OverrideContent | undefined)[] = [undefined];
  const free: number[] = [];
  /** Places by plan. They are never removed: only plans that the policy has had are stored. */
  const ofPlans = new Map<string, number>();
  const append = (content: OverrideContent) => {
    const place = free.pop() ?? contents.length;
    contents[place] = content;
    return place;
  };
  const isShared = ({ plan, quotas, note }: OverrideContent): boolean =>
    plan !== undefined && quotas === undefined && note === undefined;
  return {
    add(content) {
      const { plan = "" } = content;
      if (!isShared(content)) return append(content);
      const place = ofPlans.get(plan) ?? append(content);
      ofPlans.set(plan, place);
      return place;
    },
    get: (place) => contents[place],
    remove(place) {
      const content = contents[place];
      if (content === undefined || isShared(content)) return;
      contents[place] = undefined;
      free.push(place);
    },
  };
}
