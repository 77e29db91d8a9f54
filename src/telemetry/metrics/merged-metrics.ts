import { Registry } from "prom-client";

export const METRICS_TYPE = new Registry().contentType;

/** One sample of Prometheus's text form: name, optional labels, value. */
const SAMPLE = /^([\w:]+)(?:\{(.*)\})? (\S+)$/;

interface Family {
  readonly head: string[];
  readonly samples: string[];
}

/**
 * Merges the metrics of several processes. Each sample gets the label `worker`, because a sum would look like a counter
 * reset to Prometheus whenever a worker restarts.
 */
export function mergeMetrics(texts: ReadonlyMap<number, string>): string {
  const families = new Map<string, Family>();
  for (const [worker, text] of texts) {
    let family: Family | undefined;
    for (const line of text.split("\n")) {
      const [, kind, name = ""] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? [];
      if (kind !== undefined) {
        family = families.get(name) ?? { head: [], samples: [] };
        families.set(name, family);
        if (!family.head.includes(line)) family.head.push(line);
        continue;
      }
      const [, sample, labels, value] = SAMPLE.exec(line) ?? [];
      if (sample === undefined) continue;
      family?.samples.push(`${sample}{worker="${worker}"${labels ? `,${labels}` : ""}} ${value}`);
    }
  }
  return [...families.values()].map(({ head, samples }) => [...head, ...samples, ""].join("\n")).join("\n");
}
