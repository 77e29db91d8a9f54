import { readFileSync } from "node:fs";
import { Command } from "commander";
import { expect, test } from "vitest";
import { EXIT } from "../../src/cli/exit-codes.ts";
import { addCommands } from "../../src/cli/program.ts";

const program = new Command("latchkey");
addCommands(
  program,
  { environment: {}, print: () => undefined, printError: () => undefined },
  () => undefined,
);
const document = readFileSync(new URL("../../docs/reference/cli.md", import.meta.url), "utf8");

/** Every command that does something, with the words that lead to it. */
function* commandsOf(parent: Command, path: string): Generator<readonly [path: string, command: Command]> {
  if (parent.commands.length === 0) yield [path, parent];
  for (const child of parent.commands) yield* commandsOf(child, `${path} ${child.name()}`);
}

/** What docs/reference/cli.md says of a command: its heading, what it is for, its options. */
function entryOf([path, { registeredArguments, options, description }]: ReturnType<
  typeof listed
>[number]): string {
  const args = registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
    return argument.required ? ` <${name}>` : ` [${name}]`;
  });
  const rows = options.map((option) => `| \`${option.flags}\` | ${option.description} |`);
  const table = rows.length === 0 ? [] : ["", "| option | meaning |", "|---|---|", ...rows];
  return [`### \`${path}${args.join("")}\``, "", description, ...table].join("\n");
}

function listed() {
  return [...commandsOf(program, "latchkey")].map(
    ([path, found]) =>
      [
        path,
        {
          registeredArguments: found.registeredArguments,
          options: found.options,
          description: found.description(),
        },
      ] as const,
  );
}

test("docs/reference/cli.md has every command, with what it is for and its options, and no other", () => {
  const [, reference = ""] = document.split("\n## Reference\n");
  expect(reference.trim()).toBe(listed().map(entryOf).join("\n\n"));
});

test("docs/reference/cli.md says how commands end", () => {
  const codes = [...document.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
  expect(codes).toEqual(Object.values(EXIT));
});

test("every command that gives an answer gives it as JSON too", () => {
  // They run until they are stopped, or write JSON in any case.
  const others = ["latchkey serve", "latchkey keys export"];
  const without = listed().filter(([, { options }]) => !options.some(({ long }) => long === "--json"));
  expect(without.map(([path]) => path).sort()).toEqual(others.sort());
});

test("no option takes a secret", () => {
  const takers = listed().flatMap(([path, { options }]) =>
    options
      .filter(({ flags }) => /secret|token|password|key <(?!->)/.test(flags))
      .map(({ flags }) => `${path} ${flags}`),
  );
  expect(takers).toEqual([]);
});
