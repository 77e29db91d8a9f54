import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../support/documents.ts";

/** Words of a private language, as patterns of whole words in any case, with the plain words for each. */
const FORBIDDEN: readonly (readonly [pattern: string, instead: string])[] = [
  ["whoever|whosoever", "the caller, a client, any user"],
  ["whose (?:it|they) (?:is|are)", "the identity, the owner"],
  ["nobody|somebody", "no caller, a user"],
  ["told|tells?|telling|untold", "notified, published, logged, reported"],
  ["heard|hears?|hearing|unheard", "received, subscribes to"],
  ["heed|heeds|heeded|heeding", "ignore, respect"],
  ["(?<!there )(?:is|are) none", "is invalid, does not exist"],
  ["that (?:is|are) there", "that exists"],
  ["mend|mends|mended|mending", "fix, repair"],
  ["doors?", "listener"],
  ["rooms?", "module, window, capacity"],
  ["strangers?", "unauthenticated caller"],
  ["(?:good|bad) (?:keys?|tokens?|credentials?)", "valid, invalid"],
  ["refus(?:e|es|ed|ing|als?)", "deny a request, reject input, files and settings"],
  ["(?:give|gives|given|gave|giving|hand|hands|handed|handing) (?:\\w+ ){0,3}back", "return"],
  ["(?:take|takes|taken|took|taking) up", "load, reload"],
  ["beats?", "heartbeat"],
  ["(?:store|database|redis|primary|issuer)(?: that)? (?:is|was|has|be) (?:away|gone)", "is unavailable"],
  ["anew", "again"],
  ["at hand", "available, present"],
  ["of late|lately", "recently"],
  ["(?:is|are) said|(?:is|are) known of|comes? of", "is logged, is known about, results from"],
  ["so (?:many|long)(?!(?: [\\w.,]+){0,8} (?:as|that)\\b)", "this many, for this long"],
  ["(?<=[,:;] )for (?:they|we|nothing|there|it (?:is|was|has|may|can|does))", "because"],
  // A question as the subject of a comment's sentence.
  [
    "(?<=^\\s*(?:/?\\*\\*?|//|--|#) )(?:what|who|where) (?:is|are|was|has|comes?|came|becomes|stands?|asks?)",
    "a noun",
  ],
];

/** Uses of these words that stay, because users and other programs rely on the names. `in` limits them to some files. */
const ALLOWED: readonly { readonly use: RegExp; readonly in?: RegExp; readonly because: string }[] = [
  {
    use: /\\?["'`](?:[\w|]*\|)?refused(?:\|[\w|]*)?\\?["'`]/g,
    because: "the value of a label, of an audit outcome and of a result",
  },
  {
    use: /\brefused: rejected\b|"refused":|\$\{refused\}/g,
    in: /\.ts$/,
    because: "the member of an import's response",
  },
  { use: /`\{[\w, ]*\brefused\b[\w, ]*\}`/g, because: "the member of an import's response" },
  {
    use: /(?<=^\s*|[{,(:] ?|readonly )(?:refused|refused_lines)(?=\??:| \}|, )|\.refused(?:_lines)?\b/g,
    in: /\.(?:ts|js)$/,
    because: "the members of an import's response and of its report",
  },
  { use: /\b(?:latchkey_)?token_refusals_total\b|\btokenRefusals\b/g, because: "the name of a metric" },
  { use: /\blatchkey:refusals:\w+/g, because: "the name of a recording rule" },
  { use: /\blatchkey(?:policyrefused|refusalsurge)\b/gi, because: "the names of alerts" },
  { use: /\b(?:grant|policy)[_-]refused\b/g, because: "the names of problems" },
  {
    use: /["'`]refusals["'`]|\brequests: refusals\b|\bREFUSALS_RENAMED\b/g,
    in: /^src\/policy\/|^CHANGELOG\.md$/,
    because: "the former value of audit.requests, which still loads",
  },
  { use: /\bauth\.refused\b|\brefused\(key/g, because: "a method of the browser client" },
  {
    use: /\b(?:NGHTTP2_)?REFUSED_STREAM\b|\brefused-stream\b/g,
    because: "an error code of RFC 9113 and Envoy's name for it",
  },
  {
    use: /\bECONNREFUSED\b|\brefus(?:e|es|ed|ing) (?:the )?connections?\b|\bconnections? (?:is |are |was |were )?refused\b/gi,
    because: "TCP's term, and an error code of Node",
  },
  {
    use: /\btold(?=\??:|, )|\bmessage: told\b|\{told\}|["'`]told["'`]/g,
    in: /^src\/cli\/secrets\/|^docs\/(?:guides|reference)\//,
    because: "the JSON member of a secret rotation's output",
  },
  {
    use: /\buntold(?:_because)?\b/g,
    in: /^src\/cli\/policy\//,
    because: "the JSON members of a replay's report",
  },
  {
    use: /`(?:door|doors|beat|again|told|saw|refusals|[\w./-]*(?:door|doors|beat)[\w./-]*)`/g,
    in: /^CHANGELOG\.md$/,
    because: "the former name of something that was renamed",
  },
];

const FOLDERS = ["src", "docs", "deploy", "envoy"];
const DOCUMENTS = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"];

const files: readonly string[] = [
  ...FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/\.(?:png|pb|tgz)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length)),
  ),
  ...DOCUMENTS,
].sort();

const words = FORBIDDEN.map(
  ([pattern, instead]) => [new RegExp(`(?<!\\w)(?:${pattern})(?!\\w)`, "gi"), instead] as const,
);

/** A line as its words: without allowed uses, and with the parts of identifiers separated. */
function plain(file: string, line: string): string {
  const rest = ALLOWED.filter((allowed) => allowed.in?.test(file) ?? true).reduce(
    (text, { use }) => text.replaceAll(use, "…"),
    line,
  );
  return rest
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll(/([A-Z])([A-Z][a-z])/g, "$1 $2")
    .replaceAll("_", " ");
}

/** The start of a line that continues a comment or a paragraph. */
const CONTINUATION = /^\s*(?:\*|\/\/|--|#|>)?\s*/;

function findingsOf(file: string): string[] {
  const lines = readFileSync(join(ROOT, file), "utf8")
    .split("\n")
    .map((line) => plain(file, line));
  return lines.flatMap((line, index) => {
    // A phrase may continue on the next line, but it must begin on this one.
    const text = `${line.trimEnd()} ${(lines[index + 1] ?? "").replace(CONTINUATION, "")}`;
    return words.flatMap(([word, instead]) =>
      [...text.matchAll(word)]
        .filter((match) => match.index < line.length)
        .map((match) => `${file}:${index + 1}: "${match[0]}" (write: ${instead})`),
    );
  });
}

test("code and documents use plain technical English", () => {
  expect(files.length).toBeGreaterThan(500);
  expect(files.flatMap(findingsOf)).toEqual([]);
});

test("every allowed use of a forbidden word occurs", () => {
  const unused = ALLOWED.filter(
    ({ use, in: place }) =>
      !files.some(
        (file) => (place?.test(file) ?? true) && readFileSync(join(ROOT, file), "utf8").search(use) >= 0,
      ),
  );
  expect(unused.map(({ because }) => because)).toEqual([]);
});
