import { readFileSync } from "node:fs";

/** The text of a Lua script, with the parts that it includes. Redis cannot load one script from another. */
export function scriptText(name: string): string {
  return fileText(`${name}.lua`).replace(/^-- @include (\S+)$/gm, (_, part: string) => fileText(part));
}

function fileText(file: string): string {
  return readFileSync(new URL(`./scripts/${file}`, import.meta.url), "utf8");
}
