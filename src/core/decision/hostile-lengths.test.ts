import { describe, expect, test } from "vitest";
import { clientAddress } from "./client-address.ts";
import { withoutCookies } from "./cookies.ts";
import { presentedCredential } from "./credential.ts";
import { normalisePath } from "./path.ts";

/** The maximum that Envoy accepts of a client's headers. */
const LENGTH = 60 * 1024;
/** A pass takes at most 20 yardsticks on a quiet machine. Work that grows with the square of the length would take thousands. */
const MOST = 100;
const SOURCES = ["authorization", "cookie:lk", "cookie:other", "query:k", "query:key"] as const;
const NAMES = new Set(["lk", "other"]);

function ofLength(unit: string): string {
  return unit.repeat(Math.ceil(LENGTH / unit.length));
}

/** The best of several runs in milliseconds, to exclude the other load of the machine. */
function bestOf(runs: number, work: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    work();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

/** The time to split a text of this length, on this machine at this time. */
const yardstick = () =>
  bestOf(9, () =>
    ofLength("a&")
      .split("&")
      .map((part) => part.trim()),
  );

function withCookies(line: string, joined: boolean) {
  const lines = new Map([["cookie", [line]]]);
  return { headers: { get: (name: string) => lines.get(name), keys: () => lines.keys(), joined } };
}

describe("a request of maximum length is parsed in the time of one pass:", () => {
  test.each([";", ",", "=;", "lk=;", "a=;lk=;", "\u00a0lk=;", "\u00a0", "lk ", "lk=,"])(
    "cookies of %j",
    (unit) => {
      for (const joined of [true, false]) {
        const request = withCookies(ofLength(unit), joined);
        const took = bestOf(9, () => {
          presentedCredential(request, SOURCES);
          withoutCookies(request, NAMES);
        });
        expect(took).toBeLessThan(MOST * yardstick());
      }
    },
  );

  test.each(["&", "%&", "%ff&", "%6B&", "%k&", "k=%&", "k&", "k=%ff&"])("a query of %j", (unit) => {
    const request = { headers: new Map(), path: { query: ofLength(unit) } };
    const took = bestOf(9, () => presentedCredential(request, SOURCES));
    expect(took).toBeLessThan(MOST * yardstick());
  });

  test.each([",", " ,", "1.1.1.1,"])("an X-Forwarded-For of %j", (unit) => {
    const took = bestOf(9, () => clientAddress("192.0.2.1", [ofLength(unit)], 1));
    expect(took).toBeLessThan(MOST * yardstick());
  });

  test.each(["/a", "/%41", "/%26", "/%c3%a9", "/%41;", "%41", "/a%"])("a path of %j", (unit) => {
    const took = bestOf(9, () => normalisePath(`/a${ofLength(unit)}`, "strip"));
    expect(took).toBeLessThan(MOST * yardstick());
  });
});
