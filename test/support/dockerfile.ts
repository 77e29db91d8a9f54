import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The instructions of our Dockerfile, with continued lines joined and without comments. */
function instructions(): readonly { readonly name: string; readonly text: string }[] {
  const lines = readFileSync(fileURLToPath(new URL("../../Dockerfile", import.meta.url)), "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^\s*#/.test(line))
    .join("\n")
    .replaceAll(/\\\n\s*/g, "");
  return lines.split("\n").map((line) => {
    const [, name = "", text = ""] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    return { name, text };
  });
}

/** The last of each instruction: USER, CMD, … */
export function imageSettings(): ReadonlyMap<string, string> {
  return new Map(instructions().map(({ name, text }) => [name, text]));
}

/** The environment that our Dockerfile sets in the image. */
export function imageEnvironment(): Readonly<Record<string, string>> {
  const settings = instructions().filter(({ name }) => name === "ENV");
  return Object.fromEntries(
    settings.flatMap(({ text }) =>
      [...text.matchAll(/(\w+)=(\S+)/g)].map(([, name = "", value = ""]) => [name, value] as const),
    ),
  );
}
