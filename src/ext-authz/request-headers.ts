import { memoize } from "../core/cache/memoize.ts";
import type { HeaderLines } from "../core/decision/request.ts";
import { asciiLowerCase } from "../core/field-text.ts";

/** The headers of one request, as they came. */
export interface ReceivedHeaders extends HeaderLines {
  add(name: string, line: string): void;
  joined: boolean;
}

/** Names come again with every request. */
const lowerCase = memoize(256, asciiLowerCase);

/** Few of them are ever asked for, so no index is made. */
export function createReceivedHeaders(): ReceivedHeaders {
  const names: string[] = [];
  const lines: string[] = [];
  return {
    joined: false,
    add(name, line) {
      names.push(lowerCase(name));
      lines.push(line);
    },
    get(name) {
      let found: string[] | undefined;
      for (let at = names.indexOf(name); at !== -1; at = names.indexOf(name, at + 1)) {
        const line = lines[at] ?? "";
        if (found === undefined) found = [line];
        else found.push(line);
      }
      return found;
    },
    /** A name stands here as often as it came. */
    keys: () => names,
  };
}
