import { memoize } from "../core/cache/memoize.ts";
import type { HeaderLines } from "../core/decision/request.ts";
import { asciiLowerCase } from "../core/field-text.ts";

/** The headers of one request, in their order. */
export interface ReceivedHeaders extends HeaderLines {
  add(name: string, line: string): void;
  joined: boolean;
}

/** Requests repeat the same names. */
export const lowerCaseName = memoize(256, asciiLowerCase);

/** Has no index, because few headers are ever looked up. */
export function createReceivedHeaders(): ReceivedHeaders {
  const names: string[] = [];
  const lines: string[] = [];
  return {
    joined: false,
    add(name, line) {
      names.push(lowerCaseName(name));
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
    /** Contains a name once for each of its lines. */
    keys: () => names,
  };
}
