import type { OverrideContent } from "./override.ts";

/** The contents of many overrides. Those with the same plan and without quotas share it, because most overrides are such. */
export interface OverrideContents {
  /** Returns the places of the content and of its note; 0 for no note. */
  add(content: OverrideContent): readonly [place: number, notePlace: number];
  /** Undefined at place 0. */
  get(place: number, notePlace: number): OverrideContent | undefined;
  remove(place: number, notePlace: number): void;
}

export function createOverrideContents(): OverrideContents {
  const contents = createPlaces<Omit<OverrideContent, "note">>();
  const notes = createPlaces<string>();
  /** Places by plan. They are never removed: only plans that the policy has had are stored. */
  const shared = new Map<string, number>();
  const placeOf = (content: Omit<OverrideContent, "note">): number => {
    const { plan = "" } = content;
    if (content.quotas !== undefined) return contents.add(content);
    const place = shared.get(plan) ?? contents.add(content);
    shared.set(plan, place);
    return place;
  };
  return {
    add: ({ note, ...content }) => [placeOf(content), note === undefined ? 0 : notes.add(note)],
    get(place, notePlace) {
      const content = contents.get(place);
      const note = notes.get(notePlace);
      return content === undefined || note === undefined ? content : { ...content, note };
    },
    remove(place, notePlace) {
      if (contents.get(place)?.quotas !== undefined) contents.remove(place);
      notes.remove(notePlace);
    },
  };
}

/** A list whose places are reused, from 1. */
function createPlaces<Value>() {
  const values: (Value | undefined)[] = [undefined];
  const free: number[] = [];
  return {
    add(value: Value): number {
      const place = free.pop() ?? values.length;
      values[place] = value;
      return place;
    },
    get: (place: number): Value | undefined => values[place],
    remove(place: number): void {
      if (values[place] === undefined) return;
      values[place] = undefined;
      free.push(place);
    },
  };
}
