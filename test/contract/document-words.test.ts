import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { addCommands } from "../../src/cli/program.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { createInstruments } from "../../src/telemetry/metrics/instruments.ts";
import { codeOf, DOCUMENTS, readDocument } from "../support/documents.ts";

/** Words in capitals that are not settings of `serve`. They belong to its commands, its scripts and other programs. */
const OTHER_WORDS = new Set([
  "LATCHKEY_URL",
  "LATCHKEY_TOKEN",
  "LATCHKEY_TOKEN_FILE",
  "ENVOY_BIN",
  "REDIS_SERVER_BINARY",
  "ENVOY_PORT",
  "API_AUDIT",
  "FUZZ_BATCH",
  "FUZZ_SECONDS",
  "HISTORY_SECONDS",
  "HTTP2_MODEL_SECONDS",
  "MUTANTS_CONCURRENCY",
  "HISTORY_SEED",
  "HISTORY_LOG",
  "FUZZ_SEED",
  "GUIDED_SECONDS",
  "GUIDED_SEED",
  "GUIDED_KEEP",
  "SOAK_SECONDS",
  "SOAK_SEED",
  "KEY_ID",
  "SENTINEL_FAILOVERS",
  "MODEL_CHECKING",
  "CLUSTER_FAILOVERS",
  "NODE_EXTRA_CA_CERTS",
  "NODE_OPTIONS",
  "OTEL_EXPORTER_OTLP_CERTIFICATE",
  "STRICT_DNS",
  "ORIGINAL_DST",
  "REJECT_REQUEST",
  "ROUND_ROBIN",
  "NOT_SERVING",
  "DRAFT_VERSION_03",
]);

/** The text in backticks and in code blocks of all documents, with the document of each. */
const code = DOCUMENTS.flatMap((document) =>
  codeOf(readDocument(document)).map((piece) => ({ document, ...piece })),
);

test("every setting that a document names exists", () => {
  const isKnown = (word: string) => {
    // `latchkey store copy` takes the settings of each side with a prefix.
    const setting = word.replace(/^(?:FROM|TO)_(?=REDIS_)/, "");
    const names = [setting, setting.replace(/_FILE$/, ""), `${setting}_FILE`];
    return names.some((name) => Object.hasOwn(SETTINGS, name)) || OTHER_WORDS.has(word);
  };
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
    // The types of prom-client do not declare this member.
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

test("the program accepts every command line in a document, and every named command exists", async () => {
  const rejected: string[] = [];
  for (const { document, text, isBlock } of code) {
    for (const line of commandLines(text, isBlock)) {
      const problem = await problemOf(line);
      if (problem === undefined || (!isBlock && NAMED_WITHOUT_THE_REST.has(problem.code))) continue;
      rejected.push(`${document}: latchkey ${line.join(" ")}: ${problem.message}`);
    }
  }
  expect(rejected).toEqual([]);
});

/** Running text may name a command without its arguments. */
const NAMED_WITHOUT_THE_REST = new Set([
  "commander.help",
  "commander.missingArgument",
  "commander.missingMandatoryOptionValue",
]);

/** The arguments of every `latchkey …` in a piece of code, up to the character that ends a command in a shell. */
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

/** The error of the real command parser for these arguments. No command runs. */
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
    // A request for help is not an error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? undefined : error;
    throw error;
  }
}
