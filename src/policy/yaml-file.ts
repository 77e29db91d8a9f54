import type { Document } from "yaml";
import { isAlias, isScalar, LineCounter, parseDocument, visit } from "yaml";
import { visible } from "../core/escape-text.ts";
import { lineOfPath } from "./lines.ts";

/** Maximum number of characters. A policy of 10,000 routes has about 1 MB. */
const MAX_TEXT_LENGTH = 16 * 1024 * 1024;
const MAX_PROBLEMS = 100;
/** V8's message, which the parser reports as a syntax error. */
const STACK_OVERFLOW = "Maximum call stack size exceeded";

export type YamlResult =
  | {
      readonly ok: true;
      /** Undefined for an empty file. */
      readonly value: unknown;
      /** The line, from 1, of the deepest part of the path that the file has. */
      lineOf(path: readonly PropertyKey[]): number;
      /** A problem of the content, as one line `FILE:LINE: what is wrong`. */
      problemAt(path: readonly PropertyKey[], what: string): string;
    }
  /** Each problem is a line `FILE:LINE: what is wrong`. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads one YAML document. Never throws, whatever the text is, because a reload must not end the process. */
export function readYaml(text: string, fileName: string): YamlResult {
  const reject = (...problems: readonly string[]): YamlResult => ({
    ok: false,
    problems: problems.map(visible),
  });
  if (text.length > MAX_TEXT_LENGTH)
    return reject(`${fileName}:1: the file is longer than ${MAX_TEXT_LENGTH} characters`);
  const lines = new LineCounter();
  const at = (offset: number) => `${fileName}:${Math.max(1, lines.linePos(offset).line)}`;
  try {
    // The parser must not print warnings. They are reported as problems, like errors.
    const yaml = parseDocument(text, { lineCounter: lines, uniqueKeys: true, logLevel: "error" });
    const problems = [
      ...[...yaml.errors, ...yaml.warnings].map(({ pos, message }) => `${at(pos[0])}: ${explain(message)}`),
      ...referenceProblems(yaml, at),
      ...versionProblems(yaml, fileName),
    ];
    // One mistake can cause a thousand follow-up problems.
    if (problems.length > 0) return reject(...[...new Set(problems)].slice(0, MAX_PROBLEMS));
    const lineOf = (path: readonly PropertyKey[]) => lineOfPath(yaml.contents, path, lines);
    return {
      ok: true,
      value: yaml.toJS() ?? undefined,
      lineOf,
      problemAt: (path, what) => visible(`${fileName}:${lineOf(path)}: ${what}`),
    };
  } catch (error) {
    return reject(`${fileName}:1: the file cannot be read as YAML: ${parserProblem(error)}`);
  }
}

/** YAML 1.1 reads `010` as 8, `yes` as true and `1:30` as 90. */
function versionProblems({ directives }: Document.Parsed, fileName: string): string[] {
  const version = directives.yaml.explicit === true ? directives.yaml.version : "1.2";
  return version === "1.2"
    ? []
    : [`${fileName}:1: the file is read as YAML 1.2, not ${version}: remove %YAML`];
}

/** Problems of aliases (unknown or recursive; mostly patterns without quotes) and of merge keys. */
function referenceProblems(yaml: Document.Parsed, at: (offset: number) => string): string[] {
  const problems: string[] = [];
  visit(yaml, {
    Alias(_, alias, ancestors) {
      const place = at(alias.range?.[0] ?? 0);
      const target = alias.resolve(yaml);
      if (target === undefined)
        problems.push(
          `${place}: *${alias.source} is a YAML alias, and the file has no anchor of that name: if it is text, write it in quotes: "*${alias.source}"`,
        );
      else if (ancestors.includes(target))
        problems.push(`${place}: the alias *${alias.source} stands within its own anchor`);
    },
    Pair(_, { key }) {
      // The parser compares the texts of names, so that it would not find a second one behind an alias.
      if (isAlias(key))
        problems.push(`${at(key.range?.[0] ?? 0)}: the alias *${key.source} is a name: write the name out`);
      if (isScalar(key) && key.source === "<<")
        problems.push(
          `${at(key.range?.[0] ?? 0)}: YAML merge keys (<<) are not supported: write the fields out`,
        );
    },
  });
  return problems;
}

function parserProblem(error: unknown): string {
  return explain(
    error instanceof RangeError ? STACK_OVERFLOW : error instanceof Error ? error.message : "unknown error",
  );
}

/** The first line of the parser's message. */
function explain(message: string): string {
  if (message.startsWith(STACK_OVERFLOW)) return "it is nested too deeply";
  return message.split("\n")[0]?.replace(/ at line \d+, column \d+:$/, "") ?? message;
}
