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

/** Every command that does something itself, with its full path. A command with subcommands may have options of its own. */
function* commandsOf(parent: Command, path: string): Generator<readonly [path: string, command: Command]> {
  if (parent.commands.length === 0 || parent.options.length > 0) yield [path, parent];
  for (const child of parent.commands) yield* commandsOf(child, `${path} ${child.name()}`);
}

/** The entry of a command in docs/reference/cli.md: heading, description, options. */
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

test("docs/reference/cli.md lists exactly the existing commands, with their descriptions and options", () => {
  const [, reference = ""] = document.split("\n## Reference\n");
  expect(reference.trim()).toBe(listed().map(entryOf).join("\n\n"));
});

test("docs/reference/cli.md lists the exit codes", () => {
  const codes = [...document.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
  expect(codes).toEqual(Object.values(EXIT));
});

test("every command that prints a result can print it as JSON", () => {
  // `serve` runs until it is stopped, and the exports have formats of their own.
  const others = ["latchkey serve", "latchkey audit export", "latchkey keys export"];
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
