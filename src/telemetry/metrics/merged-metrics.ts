import { Registry } from "prom-client";

export const METRICS_TYPE = new Registry().contentType;

/** One sample of Prometheus's text form: its name, its labels if it has any, its value. */
const SAMPLE = /^([\w:]+)(?:\{(.*)\})? (\S+)$/;

interface Family {
  readonly head: string[];
  readonly samples: string[];
}

/**
 * The metrics of several processes in one text, each sample with the number of its worker as a label: a sum would
 * look like a reset to Prometheus whenever a worker is started anew.
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
