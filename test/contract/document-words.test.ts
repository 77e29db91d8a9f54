import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { addCommands } from "../../src/cli/program.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { createInstruments } from "../../src/telemetry/metrics/instruments.ts";
import { codeOf, DOCUMENTS, readDocument } from "../support/documents.ts";

/** Words in capitals that are no settings of `serve`: of its commands, its scripts, and of other programs. */
const OTHER_WORDS = new Set([
  "LATCHKEY_URL",
  "LATCHKEY_TOKEN",
  "LATCHKEY_TOKEN_FILE",
  "ENVOY_BIN",
  "ENVOY_PORT",
  "API_AUDIT",
  "FUZZ_BATCH",
  "FUZZ_SECONDS",
  "HISTORY_SECONDS",
  "HISTORY_SEED",
  "HISTORY_LOG",
  "FUZZ_SEED",
  "SOAK_SECONDS",
  "SOAK_SEED",
  "KEY_ID",
  "NODE_EXTRA_CA_CERTS",
  "NODE_OPTIONS",
  "OTEL_EXPORTER_OTLP_CERTIFICATE",
  "STRICT_DNS",
  "ORIGINAL_DST",
  "REJECT_REQUEST",
  "ROUND_ROBIN",
  "NOT_SERVING",
]);

/** What stands in backticks or in a block of code, of all documents: each with where. */
const code = DOCUMENTS.flatMap((document) =>
  codeOf(readDocument(document)).map((piece) => ({ document, ...piece })),
);

test("every setting that a document names is one", () => {
  const isKnown = (word: string) =>
    [word, word.replace(/_FILE$/, ""), `${word}_FILE`].some((name) => Object.hasOwn(SETTINGS, name)) ||
    OTHER_WORDS.has(word);
  const unknown = code.flatMap(({ document, text }) =>
    [...text.matchAll(/(?<![\w$%-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w-])/g)]
      .map(([word]) => word)
      .filter((word) => !isKnown(word))
      .map((word) => `${document}: ${word}`),
  );
  expect([...new Set(unknown)]).toEqual([]);
});

test("every metric that a document names is exported, or made by a recording rule", () => {
  const exported = Object.values(createInstruments(new Registry())).map((metric) => {
    // What prom-client's types keep to themselves.
    const { name }: { name: string } = Object(metric);
    return name;
  });
  const rules = readFileSync(new URL("../../deploy/prometheus/recording.yaml", import.meta.url), "utf8");
  const recorded: readonly string[] = parse(rules).groups.flatMap((group: { rules: { record: string }[] }) =>
    group.rules.map(({ record }) => record),
  );
  const known = new Set([...exported, ...recorded]);
  const unknown = code.flatMap(({ document, text }) =>
    [...text.matchAll(/\blatchkey[_:][a-z][a-z_:0-9]+/g)]
      .map(([name]) => name)
      .filter((name) => !known.has(name) && !known.has(name.replace(/_(?:bucket|count|sum)$/, "")))
      .map((name) => `${document}: ${name}`),
  );
  expect([...new Set(unknown)]).toEqual([]);
});

test("every command line in a document is one that the program takes, and every command named is one", async () => {
  const refused: string[] = [];
  for (const { document, text, isBlock } of code) {
    for (const line of commandLines(text, isBlock)) {
      const problem = await problemOf(line);
      if (problem === undefined || (!isBlock && NAMED_WITHOUT_THE_REST.has(problem.code))) continue;
      refused.push(`${document}: latchkey ${line.join(" ")}: ${problem.message}`);
    }
  }
  expect(refused).toEqual([]);
});

/** In running text a command may be named without what it takes. */
const NAMED_WITHOUT_THE_REST = new Set([
  "commander.help",
  "commander.missingArgument",
  "commander.missingMandatoryOptionValue",
]);

/** The arguments of every `latchkey …` in a piece of code, up to what ends a command in a shell. */
function commandLines(text: string, isBlock: boolean): string[][] {
  const place = isBlock ? "(?<=^|\\| |npx |\\$\\()" : "(?<=^|^npx )";
  const line = new RegExp(`${place}latchkey ((?:"[^"]*"|[^|)#>&;\n])+)`, "gm");
  return [...text.matchAll(line)].map(([, rest = ""]) => {
    const plain = isBlock ? rest : rest.replaceAll(/[[\]…]/g, "");
    return [...plain.replace("TIME", "2026-01-01T00:00:00Z").matchAll(/"[^"]*"|\S+/g)].map(([word]) =>
      word.replaceAll('"', ""),
    );
  });
}

/** What the parser of the real commands says to these arguments; none of the commands is run. */
async function problemOf(args: readonly string[]): Promise<CommanderError | undefined> {
  const silent = { writeErr: () => {}, writeOut: () => {} };
  const program = new Command("latchkey").exitOverride().configureOutput(silent);
  addCommands(program, { environment: {}, print: () => {}, printError: () => {} }, () => {});
  const disarm = (command: Command) => {
    if (command.commands.length === 0) command.action(() => {});
    command.commands.forEach(disarm);
  };
  disarm(program);
  try {
    await program.parseAsync([...args], { from: "user" });
    return undefined;
  } catch (error) {
    // Help that was asked for is no problem.
    if (error instanceof CommanderError) return error.exitCode === 0 ? undefined : error;
    throw error;
  }
}
